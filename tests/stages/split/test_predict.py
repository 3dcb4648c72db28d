"""Windows over tiny frames, odds a frame, and the boundaries that they mean."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages.models.transnet import TransNet
from stages.split.predict import PredictBoundaries, cuts_of, odds_of
from stages.split.tiny import packed

Array = np.ndarray[Any, Any]


def film(count: int, first: int = 0) -> Array:
    """Frames whose first two bytes are their number."""
    frames = np.zeros((count, 27, 48, 3), np.uint8)
    frames[:, 0, 0, 0], frames[:, 0, 0, 1] = np.divmod(np.arange(first, first + count), 256)
    return frames


def numbers(windows: Array) -> Array:
    """A network that gives the number that each frame shows."""
    assert (100, 27, 48, 3) == windows.shape[1:]
    shown = windows[:, :, 0, 0].astype(np.float32)
    return np.asarray(shown[..., 0] * 256 + shown[..., 1])


@pytest.mark.parametrize("count", [1, 49, 50, 51, 99, 100, 101, 1000])
@pytest.mark.parametrize("batch", [1, 8])
def test_every_frame_has_its_own_odds(count: int, batch: int) -> None:
    """From the first frame to the last, whatever the length of the film."""
    (found,) = odds_of([film(count)], numbers, batch)
    assert list(range(count)) == found.tolist()


def test_films_share_batches_but_no_window() -> None:
    """A batch holds windows of several films; around a film stand copies of its own first and last frame."""
    firsts, counts, batches = [0, 5000, 6000, 7000], [120, 1, 0, 50], list[int]()

    def network(windows: Array) -> Array:
        shown = numbers(windows)
        batches.append(len(windows))
        assert all(len({number // 1000 for number in window}) == 1 for window in shown.tolist())
        return shown

    found = odds_of((film(n, k) for k, n in zip(firsts, counts, strict=True)), network, 2)
    assert [list(range(k, k + n)) for k, n in zip(firsts, counts, strict=True)] == [f.tolist() for f in found]
    assert [2, 2, 1] == batches
    assert [] == odds_of([], numbers, 2)


def test_context_of_the_windows() -> None:
    """Of 60 frames the windows are -25 to 74 and 25 to 124; those outside are the first or the last."""
    seen: list[list[int]] = []

    def network(windows: Array) -> Array:
        seen.extend(numbers(windows).astype(int).tolist())
        return numbers(windows)

    odds_of([film(60)], network, 8)
    assert [[0] * 25 + list(range(60)) + [59] * 15, list(range(25, 60)) + [59] * 65] == seen


def odds(pattern: str) -> list[float]:
    return [0.9 if mark == "#" else 0.1 for mark in pattern]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("......", []),
        ("..#...", [(3, 3, "hard")]),
        ("..##..", [(3, 4, "gradual")]),
        (".####.", [(2, 5, "gradual")]),
        ("..#.#.", [(3, 3, "hard"), (5, 5, "hard")]),
        ("#.....", [(0, 1, "gradual")]),
        ("##....", [(0, 2, "gradual")]),
        (".....#", []),
        ("....##", [(5, 6, "gradual")]),
        ("######", []),
        ("#", []),
        ("", []),
    ],
)
def test_runs_of_odds_are_boundaries(pattern: str, expected: list[tuple[int, int, str]]) -> None:
    """By hand, by the published rule: shots are [0, 2], [3, 5] for the second pattern, [0, 2], [4, 5] for the
    third."""
    assert expected == cuts_of(odds(pattern), 0.5)


def test_odds_at_the_threshold_are_no_boundary() -> None:
    """As the published rule compares: more than the threshold."""
    assert [] == cuts_of([0.1, 0.5, 0.1], 0.5)
    assert [(2, 2, "hard")] == cuts_of(np.array([0.1, 0.3, 0.1], np.float32), threshold=0.25)


def stage(**settings: Any) -> PredictBoundaries:
    return PredictBoundaries(detector="transnet", transnet_model="net.safetensors", **settings)


def worked(
    monkeypatch: pytest.MonkeyPatch, network: Callable[[Array], Array], films: list[Array]
) -> pa.Table:
    monkeypatch.setattr(TransNet, "open", lambda self: network)
    rows = [{"id": f"{n}", "kind": "video", "tiny_frames": packed(frames)} for n, frames in enumerate(films)]
    tensors = stage().prepare()(columns.table(rows, ["id", *PredictBoundaries.reads]))
    return stage().forward()({**tensors, "id": np.array([row["id"] for row in rows], object)})


def test_rows_get_one_number_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded to six digits, whatever the batch."""
    found = worked(monkeypatch, lambda w: numbers(w) / 3000, [film(3), film(120)])
    assert ["id", "shot_odds"] == found.column_names
    expected = [[n / 3000 for n in range(count)] for count in (3, 120)]
    for one, odds in zip(expected, found["shot_odds"].to_pylist(), strict=True):
        assert one == pytest.approx(odds, abs=1e-6)


def test_what_is_no_number_fails_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that overflows in its dtype has found no boundaries, which is not the same as none."""
    with pytest.raises(RowError, match="no_odds"):
        worked(monkeypatch, lambda w: np.full((len(w), 100), np.nan, np.float32), [film(3)])


def test_settings_are_checked(tmp_path: Path) -> None:
    """No model named, one that is missing, numbers that are none; other detectors need nothing."""
    assert not PredictBoundaries().active and stage().active
    assert {} == PredictBoundaries().identity()
    with pytest.raises(RecipeError, match="transnet_model names no file; write the path"):
        PredictBoundaries(detector="transnet").check()
    with pytest.raises(RecipeError, match="there is no model file"):
        stage().check()
    with pytest.raises(RecipeError, match=r"split\.transnet_batch is a multiple of 4, found 6"):
        stage(transnet_batch=6).check()
    with pytest.raises(RecipeError, match=r"split\.transnet_threads is 0, expected 1 or more"):
        stage(transnet_threads=0).check()


def test_the_model_decides_the_fingerprint_and_resources_do_not(tmp_path: Path) -> None:
    """By the content of its file and its name, wherever it lies."""
    prints = []
    for folder, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.onnx").write_bytes(content)
        path = str(tmp_path / folder / "net.onnx")
        stages = [PredictBoundaries(4 * n, "transnet", path, transnet_batch=8 * n) for n in (1, 2)]
        assert stages[0].fingerprint() == stages[1].fingerprint()
        assert "net" == stages[0].model_label
        prints.append(stages[0].fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_images_have_no_boundaries() -> None:
    """Their rows are left as they are."""
    applies = stage().applies(pa.table({"kind": ["image", "video"]}))
    assert applies is not None and [False, True] == applies.to_pylist()

"""The step caption: frames and words as the recipe says, every answer recorded under its own row."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages.caption.captions import CaptionClips, read_prompt, status
from stages.models.protocols import Caption
from tests.models import tiny_captioner
from tests.stages.conftest import draw

VIDEO, PICTURE = "Describe this clip.", "Describe this picture."


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> CaptionClips:
    """The stage with a captioner of random weights."""
    folder = tiny_captioner(tmp_path_factory.mktemp("models") / "tiny")
    return CaptionClips(captioner=str(folder), engine="transformers", batch=4, max_tokens=24)


def clips(folder: Path, count: int) -> pa.Table:
    """Clips of one video, each of four frames, and one picture at the end."""
    from PIL import Image

    path = draw(folder / "a.mp4", frames=32)
    Image.new("RGB", (50, 40), (200, 30, 40)).save(folder / "a.png")
    tick = 512
    rows: list[dict[str, object]] = [
        {
            "id": f"{n:032x}",
            "location": {"path": str(path)},
            "kind": "video",
            "time_base": "1/12288",
            "start_pts": 4 * n * tick,
            "end_pts": 4 * (n + 1) * tick,
            "start_s": n / 6,
            "end_s": (n + 1) / 6,
            "rotation": 0,
        }
        for n in range(count - 1)
    ]
    rows.append({"id": f"{count - 1:032x}", "location": {"path": str(folder / "a.png")}, "kind": "image"})
    return columns.table(rows, ["id", *CaptionClips.reads])


def captioned(stage: CaptionClips, rows: pa.Table) -> dict[str, dict[str, Any]]:
    """The caption of each row, by id."""
    tensors = {**stage.prepare()(rows), "id": np.array(rows["id"].to_pylist(), object)}
    done = stage.forward()(tensors)
    assert ["id", "captions"] == done.column_names
    return {row["id"]: row["captions"][0] for row in done.to_pylist() if len(row["captions"]) == 1}


def test_preparation_gives_frames(stage: CaptionClips, tmp_path: Path) -> None:
    """Four squashed RGB pictures a clip, one a picture, with what they are and how long they last."""
    tensors = stage.prepare()(clips(tmp_path, 3))
    assert [(4, 64, 64, 3), (4, 64, 64, 3), (1, 64, 64, 3)] == [f.shape for f in tensors["frames"]]
    assert np.uint8 == tensors["frames"][0].dtype
    # The drawn video's frame n has the gray level 8 n.
    assert [32, 40, 48, 56] == pytest.approx(tensors["frames"][1].mean((1, 2, 3)).tolist(), abs=3)
    assert [200, 30, 40] == tensors["frames"][2][0, 0, 0].tolist()
    assert [True, True, False] == tensors["video"].tolist()
    assert [1 / 6, 1 / 6, 0] == pytest.approx(tensors["seconds"].tolist())


def test_every_caption_stands_on_its_own_row(stage: CaptionClips, tmp_path: Path) -> None:
    """Rows in another order, and in other batches, get the same captions under the same ids."""
    rows = clips(tmp_path, 8)
    in_order = captioned(stage, rows)
    shuffled = captioned(stage, rows.take(pa.array([5, 0, 7, 2, 6, 1, 4, 3])))
    assert in_order == shuffled
    assert in_order == {**captioned(stage, rows.slice(0, 3)), **captioned(stage, rows.slice(3))}
    assert len({caption["text"] for caption in in_order.values()}) > 4


def test_a_caption_says_where_it_comes_from(stage: CaptionClips, tmp_path: Path) -> None:
    """Model, engine, prompt and frames are recorded, and how the answer ended."""
    found = captioned(stage, clips(tmp_path, 2))
    clip, picture = found["0" * 32], found["0" * 31 + "1"]
    assert ("tiny", "transformers", 4) == (clip["model"], clip["engine"], clip["frames"])
    assert read_prompt("caption").label == clip["prompt"] == picture["prompt"]
    assert 1 == picture["frames"]
    ended = {"length": "truncated", "stop": "ok"}[picture["finish_reason"]]
    assert (ended if picture["text"] else "empty") == picture["status"]
    # Two grids of 8 x 8 patches, four a token, are 32 tokens; a picture is 16. One byte is one token.
    rest = len("user\n" + "\n" + "assistant\n") + len(["start", "end", "start", "vision", "vision"])
    assert (32 + rest + len(VIDEO), 16 + rest + len(PICTURE)) == (
        clip["prompt_tokens"],
        picture["prompt_tokens"],
    )


def test_every_ending_is_recorded(stage: CaptionClips) -> None:
    """A caption that says nothing is empty, one that was cut off is truncated; both are kept."""
    answers = [
        Caption("a dog", "stop", 9, 3),
        Caption("", "stop", 9, 1),
        Caption("a d", "length", 9, 2),
        Caption("  ", "length", 9, 2),
    ]
    frames = np.empty(4, object)
    frames[:] = [np.zeros((n + 1, 2, 2, 3), np.uint8) for n in range(4)]
    done = stage.recorded({"id": np.array(list("abcd"), object), "frames": frames}, answers, "vllm")
    kept = [(r["id"], r["captions"][0]["status"], r["captions"][0]["frames"]) for r in done.to_pylist()]
    assert [("a", "ok", 1), ("b", "empty", 2), ("c", "truncated", 3), ("d", "empty", 4)] == kept
    assert ["ok", "empty", "truncated", "empty"] == [status(answer) for answer in answers]
    assert columns.column("captions").type == done.schema.field("captions").type


def test_frames_are_shown_as_the_recipe_says() -> None:
    """One video, or so many images; a picture is an image in both; the words follow the media."""
    as_video, as_images = CaptionClips(), CaptionClips(caption_framing="images")
    image, video = {"type": "image"}, {"type": "video"}
    assert [video, {"type": "text", "text": VIDEO}] == as_video.messages(True, 4)[0]["content"]
    assert [image] * 4 == as_images.messages(True, 4)[0]["content"][:4]
    for stage in (as_video, as_images):
        assert [image, {"type": "text", "text": PICTURE}] == stage.messages(False, 1)[0]["content"]
    assert ["user"] == [message["role"] for message in as_video.messages(True, 4)]


def test_images_in_place_of_a_video_are_captioned_too(stage: CaptionClips, tmp_path: Path) -> None:
    """Four images of a clip are four times sixteen tokens instead of two times sixteen."""
    other = dataclasses.replace(stage, caption_framing="images")
    rows = clips(tmp_path, 2).slice(0, 1)
    as_video, as_images = captioned(stage, rows)["0" * 32], captioned(other, rows)["0" * 32]
    # Three more pictures, of 16 tokens and two marks each, where the video has 32 tokens.
    assert as_video["prompt_tokens"] + 32 + 3 * 2 == as_images["prompt_tokens"]
    assert 4 == as_images["frames"]


def test_a_bad_row_fails_by_its_own_word(stage: CaptionClips, tmp_path: Path) -> None:
    """A missing file is that row's failure; the worker tries the others alone."""
    rows = clips(tmp_path, 2)
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(RowError, match="unreadable"):
        stage.prepare()(rows)


def test_the_recipe_may_leave_out_what_fits() -> None:
    """ "recaption" takes rows on that route and rows without a text; "all" takes all."""
    rows = columns.table(
        [
            {"source_texts": ["a"], "route": "keep"},
            {"source_texts": ["a"], "route": "recaption"},
            {"source_texts": [], "route": "keep"},
            {"source_texts": None, "route": None},
            {"source_texts": ["a"], "route": None},
        ],
        ["source_texts", "route"],
    )
    assert CaptionClips().applies(rows) is None
    chosen = CaptionClips(caption_rows="recaption").applies(rows)
    assert chosen is not None
    assert [False, True, True, True, False] == chosen.to_pylist()


def test_a_prompt_is_known_by_its_words(stage: CaptionClips, tmp_path: Path) -> None:
    """Equal words under an equal name are one prompt wherever the file lies; other words are another."""
    (tmp_path / "mine.toml").write_text('video = "What moves?"\nimage = "What is it?"\n')
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.toml").write_text('# a note\nimage = "What is it?"\nvideo = "What moves?"\n')
    names = ("mine.toml", "b/mine.toml")
    one, two = (dataclasses.replace(stage, prompt_file=str(tmp_path / name)) for name in names)
    assert one.prompt() == two.prompt()
    assert one.fingerprint() == two.fingerprint() != stage.fingerprint()
    assert ("What moves?", "What is it?") == (one.prompt().video, one.prompt().image)
    (tmp_path / "mine.toml").write_text('video = "What moves!"\nimage = "What is it?"\n')
    assert one.fingerprint() != two.fingerprint()
    assert "mine-" == one.prompt().label[:5]
    assert 12 == len(one.prompt().label) - 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("video = 3", "holds two texts"),
        ('video = "a"', "found video"),
        ('video = "a"\nimage = " "', "holds two texts"),
        ('video = "a"\nimage = "b"\nsystem = "c"', "found video, image, system"),
        ("video =", "is not TOML"),
    ],
)
def test_a_wrong_prompt_file_is_told(tmp_path: Path, content: str, message: str) -> None:
    """One sentence says what was found and what is expected."""
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(RecipeError, match=message):
        read_prompt(str(tmp_path / "mine.toml"))


def test_a_missing_prompt_and_a_wrong_number_are_told() -> None:
    """A misspelt name offers the nearest; numbers are 1 or more."""
    with pytest.raises(RecipeError, match="did you mean 'caption'"):
        read_prompt("captoin")
    with pytest.raises(RecipeError, match="caption_frames is 1 or more, found 0"):
        CaptionClips(caption_frames=0).check()


def test_the_model_is_known_by_its_content(stage: CaptionClips, tmp_path: Path) -> None:
    """A captioner in another folder of that name is the same one; another precision is another result."""
    copy = tmp_path / "tiny"
    shutil.copytree(stage.captioner, copy)
    moved = dataclasses.replace(stage, captioner=str(copy))
    assert moved.fingerprint() == stage.fingerprint()
    assert "tiny" == moved.model_label
    assert dataclasses.replace(stage, captioner_dtype="bfloat16").fingerprint() != stage.fingerprint()
    other = dataclasses.replace(stage, captioner=str(tiny_captioner(tmp_path / "b" / "tiny", seed=1)))
    assert other.fingerprint() != stage.fingerprint()


def test_vllm_is_not_run_in_this_process() -> None:
    """Ray runs vLLM; opened here, the stage says so."""
    with pytest.raises(RecipeError, match="runs under Ray only"):
        CaptionClips(engine="vllm").forward()
    assert "vllm" == CaptionClips(engine="vllm").engine_with(0)

"""One very long video among short ones: cut into segments, and whole again as clips of one asset."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from manifests.views import ask
from pipeline.inspect import summary
from pipeline.verify import verify
from tests.pipeline.local import run_here

RATE = 2
SETTINGS = ["split.segment_s=60"]
ONLY = ("ingest", "split")

pytestmark = pytest.mark.xdist_group("segments")


def pictures(seed: int, shots: list[int]) -> Iterator[np.ndarray[Any, Any]]:
    """Shots of so many frames, each of tiles of its own."""
    for n, length in enumerate(shots):
        tiles = np.random.default_rng([seed, n]).integers(0, 255, (6, 8, 3), np.uint8)
        for frame in range(length):
            yield np.roll(np.repeat(np.repeat(tiles, 16, 0), 16, 1), frame % 5, 1)


def draw(path: Path, seed: int, shots: list[int]) -> None:
    with av.open(str(path), "w") as container:
        options = {"bf": "2", "g": "20", "sc_threshold": "0", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for picture in pictures(seed, shots):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of five minutes and three of ten seconds."""
    made = tmp_path_factory.mktemp("in")
    draw(made / "long.mp4", 1, [25, 15, 30, 20] * 6 + [60])
    for n in range(3):
        draw(made / f"short{n}.mp4", 10 + n, [10, 10])
    return made


@pytest.fixture(scope="module")
def parted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of a run that cuts segments of a minute."""
    out = tmp_path_factory.mktemp("parted") / "out"
    assert 4 < run_here(folder, out, settings=SETTINGS, only=ONLY).steps["split"]["decodes"]
    return out


def clips(out: Path) -> list[tuple[str, str, str, int, int]]:
    columns = "parent_id, asset_id, id, start_pts, end_pts"
    rows = ask(out, f"select {columns} from split order by asset_id, start_pts").to_pylist()
    return [tuple(row.values()) for row in rows]


def test_clips_of_segments_are_clips_of_the_asset(folder: Path, parted: Path, tmp_path: Path) -> None:
    """Every clip's parent is its asset, whose clips lie one behind the other; and the same clips come of a
    run without segments."""
    run_here(folder, tmp_path, settings=["split.segment_s=1e6"], only=ONLY)
    found = clips(parted)
    assert found == clips(tmp_path)
    assert all(parent == asset for parent, asset, *_ in found)
    assets = {asset for _, asset, *_ in found}
    assert 4 == len(assets)
    for one in assets:
        spans = [(start, end) for _, asset, _, start, end in found if asset == one]
        assert all(before[1] == after[0] for before, after in pairwise(spans))


def test_verify_is_clean(folder: Path, parted: Path) -> None:
    """Rows are conserved, nothing failed, and a second run has nothing to do."""
    assert [] == verify(parted)
    assert 0 == sum(summary(parted)["steps"]["split"]["failed"].values())
    again = run_here(folder, parted, settings=SETTINGS, only=ONLY)
    assert (0, 0) == (again.steps["split"]["rows"], again.steps["split"]["decodes"])

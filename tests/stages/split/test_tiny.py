"""Tiny frames: every frame at 48 x 27, upright, scaled as by the ffmpeg command, stored without loss."""

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import columns
from manifests.errors import RowError
from stages.media import Limits
from stages.split.tiny import StoreTinyFrames, packed, store, unpacked
from tests.stages.conftest import draw


def asset(path: Path, **more: Any) -> dict[str, Any]:
    location = {"path": str(path), "offset": None, "size": None}
    known = {"location": location, "kind": "video", "asset_id": "a" * 32, "rotation": 0}
    return {**dict.fromkeys(StoreTinyFrames.reads), **known, **more}


def stored(path: Path, **more: Any) -> tuple[np.ndarray[Any, Any], list[int]]:
    (row,) = store(Limits(), asset=asset(path, **more)).to_pylist()
    return unpacked(row["tiny_frames"]), row["tiny_pts"]


def scenes(path: Path, *, frames: int = 40, size: tuple[int, int] = (320, 180)) -> Path:
    """A video of key frames every 10 frames; frame n shows tiles that are its own, at time 2 * n."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "2", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 50)
        for n in range(frames):
            tiles = np.random.default_rng(n).integers(0, 255, (size[1] // 20, size[0] // 20, 3), np.uint8)
            image = np.repeat(np.repeat(tiles, 20, 0), 20, 1)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 2 * n, Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_every_frame_is_stored(tmp_path: Path) -> None:
    """More than are compressed at once, in their order, each with its time."""
    frames, pts = stored(draw(tmp_path / "a.mp4", frames=300))
    assert (300, 27, 48, 3) == frames.shape
    levels = (8 * np.arange(300) % 256)[:, None, None, None]
    assert np.abs(frames.astype(int) - levels).max() <= 4
    assert [pts[0] + n * (pts[1] - pts[0]) for n in range(300)] == pts


def test_the_pixels_are_those_of_the_ffmpeg_command(tmp_path: Path) -> None:
    """The published network is given `ffmpeg -i FILE -pix_fmt rgb24 -s 48x27 -f rawvideo`.

    Chroma lies a little elsewhere, which is most of what differs at edges of strong colours; by a bilinear
    filter it would be 7 levels.
    """
    path = scenes(tmp_path / "a.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "rawvideo"]
    made = subprocess.run(
        [*command, "-pix_fmt", "rgb24", "-s", "48x27", "-"], capture_output=True, check=True
    )
    expected = np.frombuffer(made.stdout, np.uint8).reshape(-1, 27, 48, 3)
    found, _ = stored(path)
    assert expected.shape == found.shape
    assert np.abs(expected.astype(int) - found).mean() < 2.5


@pytest.mark.parametrize(("rotation", "right"), [(90, True), (360 + 90, True), (360 + 270, False)])
def test_frames_are_upright(tmp_path: Path, rotation: int, right: bool) -> None:
    """A clockwise turn of a quarter brings the bright top to the right, mirrored before or not."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 160, "yuv420p"
        image = np.zeros((160, 96, 3), np.uint8)
        image[:80] = 255
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    frames, _ = stored(path, rotation=rotation)
    frames = frames if right else frames[:, :, ::-1]
    assert (1, 27, 48, 3) == frames.shape
    assert frames[0, :, :20].max() < 10 and frames[0, :, 28:].min() > 245


@pytest.mark.parametrize(("begin", "end"), [(20, 60), (20, 61), (26, 80), (None, 20), (60, None)])
def test_a_segment_holds_the_frames_of_its_time(tmp_path: Path, begin: int | None, end: int | None) -> None:
    """From the first tick to before the last one, the same pixels as of the whole file."""
    path = scenes(tmp_path / "a.mkv")
    with av.open(str(path)) as container:
        ticks = int(1 / (50 * Fraction(container.streams.video[0].time_base or 1)))
    frames, pts = stored(path)
    assert [2 * n * ticks for n in range(40)] == pts
    bounds = [None if at is None else at * ticks for at in (begin, end)]
    some, times = stored(path, segment_start_pts=bounds[0], segment_end_pts=bounds[1])
    expected = [n for n in range(40) if (begin or 0) <= 2 * n < (80 if end is None else end)]
    assert [pts[n] for n in expected] == times
    assert np.array_equal(frames[expected], some)


@given(st.sampled_from([0, 1, 2, 255, 256, 257, 513]), st.integers(0, 255), st.integers(0, 2**32))
def test_nothing_is_lost(count: int, spread: int, seed: int) -> None:
    """Any frames come back from their compressed form."""
    frames = np.random.default_rng(seed).integers(0, spread + 1, (count, 27, 48, 3), np.uint8)
    assert np.array_equal(frames, unpacked(packed(iter(frames))))


@pytest.mark.parametrize("spoilt", [b"no", packed(np.ones((3, 27, 48, 3), np.uint8))[:-9]])
def test_spoilt_frames_are_told(spoilt: bytes) -> None:
    """A disk may have spoilt them."""
    with pytest.raises(RowError, match=r"^bad_frame: .*; run split again"):
        unpacked(spoilt)


def test_the_decode_child_does_the_work(tmp_path: Path) -> None:
    """Row by row; a file that cannot be read fails alone."""
    rows = [{"id": n, **asset(tmp_path / n)} for n in ("a.mp4", "none.mp4")]
    draw(tmp_path / "a.mp4", frames=3)
    place = [("segment_start_pts", pa.int64()), ("segment_end_pts", pa.int64()), ("id", pa.string())]
    known = [n for n in StoreTinyFrames.reads if not n.startswith("segment_")]
    schema = pa.schema([*columns.schema(known), *place])
    good, bad = StoreTinyFrames().open()(pa.Table.from_pylist(rows, schema)).to_pylist()
    assert 3 == len(unpacked(good["tiny_frames"])) == len(good["tiny_pts"])
    assert good["error"] is None and str(bad["error"]).startswith("unreadable: ")


def test_pictures_over_the_limit_fail(tmp_path: Path) -> None:
    """As everywhere else that media is decoded."""
    path = draw(tmp_path / "a.mp4", frames=3)
    with pytest.raises(RowError, match="too_many_pixels"):
        store(Limits(max_pixels=63 * 48), asset=asset(path))


def test_only_the_network_asks_for_them() -> None:
    """Another detector leaves the stage out; images have no frames to store."""
    assert [False, True] == [StoreTinyFrames(d).active for d in ("adaptive", "transnet")]
    applies = StoreTinyFrames("transnet").applies(pa.table({"kind": ["video", "image"]}))
    assert applies is not None and [True, False] == applies.to_pylist()

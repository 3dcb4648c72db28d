"""Time is the container's: the first and the last frame of each clip, taken from the source by time, are of
its shot, however the file tells its times."""

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from manifests.errors import RowError
from stages.caption.sample import sampled
from stages.ingest.probe import probe_file
from stages.media import Limits
from tests.stages.split.drawn import (
    encoded,
    ends_of,
    gapless,
    places,
    scene,
    scenes,
    shows,
    split_here,
)

THREE = [1] * 30 + [2] * 40 + [3] * 26


def ffmpeg(*arguments: str | Path) -> None:
    """The command, with nothing to say."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    subprocess.run([*command, *map(str, arguments)], check=True)


def shots_are_whole(clips: Sequence[dict[str, Any]], path: Path, numbers: Sequence[int] = (1, 2, 3)) -> None:
    """Asserts that clip n begins and ends with a picture of its scene, and that no frame lies between."""
    assert len(numbers) == len(clips)
    for (first, last), number in zip(ends_of(clips, path), numbers, strict=True):
        assert shows(first, number) and shows(last, number)
    assert gapless(clips)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_variable_rate_and_start_offset(tmp_path: Path, name: str, effort: str) -> None:
    """Times are those of the container, wherever it starts and however uneven it runs."""
    pts = [100 + 2 * n + (n // 30) * 7 for n in range(96)]
    path = encoded(tmp_path / name, scenes(THREE), pts=pts, rate=30)
    clips = split_here(path, effort=effort)
    shots_are_whole(clips, path)
    assert [pts[0] / 30, pts[30] / 30, pts[70] / 30] == [
        pytest.approx(c["start_s"], abs=0.002) for c in clips
    ]
    assert [30, 40, 26] == [c["frame_count"] for c in clips]


def test_a_pause_does_not_part_a_shot(tmp_path: Path) -> None:
    """Two seconds without a new picture are no boundary; the clip before it ends where the next frame
    begins."""
    pts = [n + 60 * (n >= 30) for n in range(60)]
    (clip,) = split_here(encoded(tmp_path / "a.mkv", scenes([1] * 60), pts=pts))
    assert 60 == clip["frame_count"]
    at_pause = encoded(tmp_path / "b.mkv", scenes([1] * 30 + [2] * 30), pts=pts)
    first, second = split_here(at_pause)
    assert first["end_pts"] == second["start_pts"]
    assert first["duration_s"] == pytest.approx(90 / 24, abs=0.002)


@pytest.mark.parametrize(
    "options", [{"bf": "0"}, {"bf": "3"}, {"x264-params": "bframes=8:b-pyramid=normal:scenecut=0"}]
)
def test_order_of_b_frames(tmp_path: Path, options: dict[str, str]) -> None:
    """Frames count as they are shown, not as they are stored."""
    path = encoded(tmp_path / "a.mp4", scenes(THREE), **options)
    clips = split_here(path)
    assert [(30, "start", "hard"), (40, "hard", "hard"), (26, "hard", "end")] == places(clips)
    shots_are_whole(clips, path)


@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_an_edit_list(tmp_path: Path, effort: str) -> None:
    """A copy from the middle keeps the frames before, from the key frame on, behind an edit list: they are
    not shown, so they are in no clip."""
    whole = encoded(tmp_path / "a.mp4", scenes(THREE), g="24", bf="2")
    path = tmp_path / "b.mp4"
    ffmpeg("-ss", "0.8", "-i", whole, "-c", "copy", path)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert any(p.is_discard for p in packets)
    clips = split_here(path, effort=effort)
    shots_are_whole(clips, path)
    assert len(packets) > sum(c["frame_count"] for c in clips)
    assert [40, 26] == [c["frame_count"] for c in clips[1:]]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_turns_the_pictures_alone(tmp_path: Path, rotation: int) -> None:
    """Stored frames stand upright when the asset is turned; shots and measures are as without."""
    path = encoded(tmp_path / "a.mp4", scenes(THREE))
    plain, turned = split_here(path), split_here(path, facts={"rotation": rotation})
    same = ("id", "luma_mean", "motion", "blur", "start_pts", "end_pts")
    assert [[c[k] for k in same] for c in plain] == [[c[k] for k in same] for c in turned]
    first, other = (
        cv2.imdecode(np.frombuffer(c[0]["frames"][0]["jpeg"], np.uint8), 1) for c in (plain, turned)
    )
    expected = np.rot90(first, -rotation // 90)
    assert expected.shape == other.shape
    assert np.abs(expected.astype(int) - other).mean() < 6


@pytest.mark.parametrize("turn", ["0", "90", "180", "270"])
@pytest.mark.parametrize("flip", ["-display_hflip", "-display_vflip"])
def test_mirrored_pictures_are_those_of_a_player(tmp_path: Path, flip: str, turn: str) -> None:
    """A front camera's matrix mirrors, and may turn as well: what is stored is what ffmpeg shows."""
    path, mirrored, shown = (tmp_path / name for name in ("a.mp4", "b.mp4", "b.png"))
    encoded(path, [scene(3)] * 24)
    ffmpeg("-display_rotation", turn, flip, "-i", path, "-c", "copy", mirrored)
    ffmpeg("-i", mirrored, "-frames:v", "1", shown)
    expected = cv2.imread(str(shown))
    location = {"path": str(mirrored), "offset": None, "size": None}
    (facts,) = probe_file(Limits(), location=location, source_uri="b.mp4").to_pylist()
    assert (expected.shape[1], expected.shape[0]) == (facts["width_px"], facts["height_px"])
    (clip,) = split_here(mirrored, facts={"rotation": facts["rotation"]})
    stored = cv2.imdecode(np.frombuffer(clip["frames"][0]["jpeg"], np.uint8), 1)
    assert expected.shape == stored.shape
    assert np.abs(expected.astype(int) - stored).mean() < 6


@pytest.mark.parametrize("effort", ["exact", "fast", "keyframes"])
def test_frames_that_stay_take_their_time(tmp_path: Path, effort: str) -> None:
    """Theora repeats a picture by a packet without content: two seconds of gray are two pictures, at 0 and,
    as a key frame is due, at 1.2 s."""
    path = tmp_path / "a.ogv"
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x48:r=10:d=2", "-c:v", "libtheora", path)
    location = {"path": str(path), "offset": None, "size": None}
    (facts,) = probe_file(Limits(), location=location, source_uri="a.ogv").to_pylist()
    assert (2, 2.0, 1.0) == (facts["frame_count"], facts["duration_s"], facts["fps"])
    (clip,) = split_here(path, effort=effort)
    assert (2, 0, 20, 2.0) == tuple(clip[k] for k in ("frame_count", "start_pts", "end_pts", "end_s"))
    row = {name: clip[name] for name in ("start_pts", "end_pts", "end_s")}
    pixels = sampled(
        {"location": location, "kind": "video", "rotation": 0, **row}, frames=4, frame_px=16, shape="square"
    )
    assert (4, 16, 16, 3) == pixels.shape


def test_an_attached_picture_is_no_film(tmp_path: Path) -> None:
    """A cover beside the film is passed over."""
    path = encoded(tmp_path / "a.mkv", scenes(THREE))
    cover, both = tmp_path / "cover.jpg", tmp_path / "b.mp4"
    Image.fromarray(scene(7)).save(cover)
    inputs = ("-i", cover, "-i", path, "-map", "0", "-map", "1")
    ffmpeg(*inputs, "-c", "copy", "-disposition:v:0", "attached_pic", both)
    with av.open(str(both)) as container:
        assert 2 == len(container.streams.video)
    shots_are_whole(split_here(both), both)


@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_the_first_of_two_films_counts(tmp_path: Path, effort: str) -> None:
    """Of several streams of moving pictures it is the first that becomes clips."""
    one = encoded(tmp_path / "a.mp4", scenes(THREE))
    two = encoded(tmp_path / "b.mp4", scenes([5] * 50 + [6] * 46))
    both = tmp_path / "c.mp4"
    ffmpeg("-i", one, "-i", two, "-map", "0", "-map", "1", "-c", "copy", both)
    with av.open(str(both)) as container:
        assert 2 == len(container.streams.video)
    shots_are_whole(split_here(both, effort=effort), both)


def test_a_header_that_promises_less(tmp_path: Path) -> None:
    """A duration that is too short hides no frame; one that is too long is told by what is missing."""
    path = encoded(tmp_path / "a.mp4", scenes(THREE))
    assert 96 == sum(c["frame_count"] for c in split_here(path, facts={"duration_s": 1.0}))
    with pytest.raises(RowError, match=r"truncated: 4\.0 of 9\.0 s"):
        split_here(path, facts={"duration_s": 9.0})


@pytest.mark.parametrize("units", [1, 10**6])
def test_a_header_that_lies(tmp_path: Path, units: int) -> None:
    """Written over in the file: what frames say counts."""
    path = encoded(tmp_path / "a.mp4", scenes(THREE))
    content = bytearray(path.read_bytes())
    for box, skip in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = content.index(box) + skip
        content[at : at + 4] = units.to_bytes(4, "big")
    path.write_bytes(content)
    location = {"path": str(path), "offset": None, "size": None}
    (facts,) = probe_file(Limits(), location=location, source_uri=path.name).to_pylist()
    clips = split_here(path, facts={"duration_s": facts["duration_s"]})
    shots_are_whole(clips, path)
    assert 96 == sum(c["frame_count"] for c in clips)


@pytest.mark.parametrize("effort", ["exact", "fast", "keyframes"])
def test_a_size_that_changes_in_the_middle(tmp_path: Path, effort: str) -> None:
    """One stream of two sizes: every frame is in a clip, and pictures have the size of the first."""
    small = encoded(tmp_path / "a.ts", scenes([1] * 48), bf="2")
    large = encoded(
        tmp_path / "b.ts",
        (np.pad(p, ((0, 0), (0, 32), (0, 0)), "wrap") for p in scenes([2] * 48)),
        pts=range(50, 98),
        bf="2",
    )
    path = tmp_path / "c.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    clips = split_here(path, effort=effort)
    assert 96 == sum(c["frame_count"] for c in clips)
    if effort == "exact":
        assert [48, 48] == [c["frame_count"] for c in clips]
    assert all(0 <= c["motion"] < 1 for c in clips if c["motion"] is not None)
    sizes = {Image.open(io.BytesIO(f["jpeg"])).size for c in clips for f in c["frames"]}
    assert {(128, 96)} == sizes


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_a_clip_ends_where_its_last_frame_does(tmp_path: Path, codec: str) -> None:
    """The end of the film is the end of its last frame, whether packets say how long that is or not."""
    path = encoded(tmp_path / "a.mkv", scenes([1] * 48), codec=codec)
    (clip,) = split_here(path)
    assert clip["duration_s"] == pytest.approx(2.0, abs=0.01)


def test_delayed_start(real_media: Path) -> None:
    """A real file whose first frame is shown after a second: the clip begins there."""
    path = real_media / "PySceneDetect" / "tests" / "resources" / "delayed_start.mp4"
    for effort in ("exact", "fast", "keyframes"):
        (clip,) = split_here(path, effort=effort)
        assert (13760, 24, "start", "end") == tuple(
            clip[k] for k in ("start_pts", "frame_count", "starts_with", "ends_with")
        )


def test_counter(real_media: Path) -> None:
    """A real film of numbers: every frame is in a clip, and every effort that decodes finds the same
    frames."""
    path = real_media / "PySceneDetect" / "tests" / "resources" / "counter.mp4"
    for effort in ("exact", "fast"):
        clips = split_here(path, effort=effort)
        assert 30 == sum(c["frame_count"] for c in clips)
        assert gapless(clips)
        ends_of(clips, path)

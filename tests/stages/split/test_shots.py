"""The step split on drawn and real media: shots at the right frames, times by PTS, one decode."""

import io
import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from manifests import columns
from manifests.ids import clip_id
from stages.split.shots import SplitShots

READS = ["id", *SplitShots.reads]


def split(
    path: Path, *, kind: str = "video", stage: SplitShots | None = None, **facts: Any
) -> list[dict[str, Any]]:
    location = {"path": str(path), "offset": None, "size": None}
    row = {"id": "a" * 32, "asset_id": "a" * 32, "location": location, "kind": kind, "rotation": 0, **facts}
    return list((stage or SplitShots()).open()(columns.table([row], READS)).to_pylist())


def film(
    path: Path, levels: list[int], *, pts: list[int] | None = None, rate: int = 24, **options: str
) -> Path:
    """A video whose frame n shows a pattern that depends on levels[n] alone, at time pts[n] / rate."""
    codec = options.pop("codec", "libx264")
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        for n, level in enumerate(levels):
            tiles = np.random.default_rng(level).integers(0, 255, (6, 8, 3), np.uint8)
            image = np.repeat(np.repeat(tiles, 16, 0), 16, 1)
            frame = av.VideoFrame.from_ndarray(np.roll(image, n, 1), format="rgb24")
            frame.pts, frame.time_base = (pts[n] if pts else n), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


THREE = [1] * 30 + [2] * 40 + [3] * 26


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "mpeg4"])
def test_hard_cuts_are_frame_exact(tmp_path: Path, codec: str) -> None:
    """Three scenes are three clips that begin at the frames where they were drawn; ids come from place."""
    clips = split(film(tmp_path / "a.mkv", THREE, codec=codec))
    assert [(30, "start", "hard"), (40, "hard", "hard"), (26, "hard", "end")] == [
        (c["frame_count"], c["starts_with"], c["ends_with"]) for c in clips
    ]
    assert clips[1]["start_s"] == pytest.approx(30 / 24, abs=0.002)
    assert all(c["id"] == clip_id("a" * 32, c["start_pts"], c["end_pts"]) for c in clips)
    assert all(c["end_pts"] == d["start_pts"] for c, d in itertools.pairwise(clips))


def test_frames_stay_in_their_shot(tmp_path: Path) -> None:
    """Every stored frame shows the scene of its clip, lies within it, and there are eight."""
    for number, clip in enumerate(split(film(tmp_path / "a.mp4", THREE)), 1):
        assert 8 == len(clip["frames"])
        times = [frame["time_s"] for frame in clip["frames"]]
        assert times == sorted(times)
        assert clip["start_s"] <= times[0] and times[-1] < clip["end_s"]
        scene = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8).mean((0, 1))
        for frame in clip["frames"]:
            seen = np.asarray(Image.open(io.BytesIO(frame["jpeg"]))).mean((0, 1))
            assert np.abs(seen - scene).max() < 8


def test_variable_rate_and_start_offset(tmp_path: Path) -> None:
    """Times are those of the container, wherever it starts and however uneven it runs."""
    pts = [100 + 2 * n + (n // 30) * 7 for n in range(96)]
    clips = split(film(tmp_path / "a.mkv", THREE, pts=pts, rate=30))
    assert [100 / 30, pts[30] / 30, pts[70] / 30] == [pytest.approx(c["start_s"], abs=0.002) for c in clips]


def test_a_remux_has_equal_content(tmp_path: Path) -> None:
    """The same stream in another container has the same content hashes; an encoding anew has others."""
    film(tmp_path / "a.mp4", THREE)
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    film(tmp_path / "c.mp4", THREE, crf="35")
    first, second = split(tmp_path / "a.mp4"), split(tmp_path / "b.mkv")
    assert [c["content_hash"] for c in first] == [c["content_hash"] for c in second]


def test_min_and_max_length(tmp_path: Path) -> None:
    """Scenes shorter than the minimum join the one before; longer than the maximum are divided evenly."""
    path = film(tmp_path / "a.mp4", [1] * 30 + [2] * 6 + [3] * 60)
    assert [36, 60] == [c["frame_count"] for c in split(path, stage=SplitShots(min_shot_s=0.4))] or [
        30,
        66,
    ] == [c["frame_count"] for c in split(path, stage=SplitShots(min_shot_s=0.4))]
    parts = split(path, stage=SplitShots(detector="none", max_shot_s=1.0))
    assert [24, 24, 24, 24] == [c["frame_count"] for c in parts]
    assert ["limit"] * 3 == [c["ends_with"] for c in parts[:-1]]


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    """A video of a single frame is one clip with one picture and unknown motion."""
    (clip,) = split(film(tmp_path / "a.mp4", [1]))
    assert (1, 1, None) == (clip["frame_count"], len(clip["frames"]), clip["motion"])


def test_rotation_turns_the_pictures(tmp_path: Path) -> None:
    """Stored frames stand upright when the asset is turned."""
    (clip,) = split(film(tmp_path / "a.mp4", [1] * 24), rotation=90)
    assert (96, 128) == Image.open(io.BytesIO(clip["frames"][0]["jpeg"])).size


def test_clips_of_an_avi_can_be_cut(tmp_path: Path) -> None:
    """AVI has no presentation times; split and pack agree on when its frames are shown."""
    from stages.pack.cut import CutMedia

    path = film(tmp_path / "a.avi", THREE, codec="mpeg4")
    clips = split(path)
    assert [30, 40, 26] == [c["frame_count"] for c in clips]
    location = {"path": str(path), "offset": None, "size": None}
    rows = [{**c, "kind": "video", "location": location, "fps": 24.0} for c in clips]
    made = CutMedia().open()(columns.table(rows, ["id", *CutMedia.reads])).to_pylist()
    assert [None] * 3 == [m["error"] for m in made]


def test_an_early_end_is_a_failure(tmp_path: Path) -> None:
    """A video that decodes to less than its packets promised is truncated."""
    (row,) = split(film(tmp_path / "a.mp4", [1] * 24), duration_s=5.0)
    assert str(row["error"]).startswith("truncated: 1.0 of 5.0 s")


def test_image_passes_as_itself(tmp_path: Path) -> None:
    """An image keeps its id, has one picture, and nulls where time would stand; transparency is white."""
    Image.new("RGBA", (60, 40), (255, 0, 0, 0)).save(tmp_path / "a.png")
    (row,) = split(tmp_path / "a.png", kind="image")
    assert ("a" * 32, 1, None, None, None, 1.0) == tuple(
        row[k] for k in ("id", "frame_count", "start_pts", "duration_s", "motion", "luma_mean")
    )


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    """A kind that no rule set aside fails with a word that says so."""
    (row,) = split(tmp_path / "a.txt", kind="text")
    assert str(row["error"]).startswith("unsupported_kind: ")


def test_real_scenes(real_media: Path) -> None:
    """PySceneDetect's test video has its boundaries where the golden list of its own detector has them."""
    folder = real_media / "PySceneDetect" / "tests" / "resources"
    clips = split(folder / "testvideo.mp4")
    assert 720 == sum(c["frame_count"] for c in clips)
    assert [30, 180, 394] == [sum(c["frame_count"] for c in clips[: n + 1]) for n in range(len(clips) - 1)]

"""The step split on drawn and real media: shots at the right frames, times by PTS, one decode."""

import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from manifests import columns
from manifests.errors import RecipeError
from manifests.ids import clip_id
from stages.split.effort import Effort
from stages.split.shots import SplitByModel, SplitShots
from tests.stages.split.drawn import Pixels, encoded, gapless, places, scenes, shows, split, split_here

THREE = [1] * 30 + [2] * 40 + [3] * 26


def pictures(clip: dict[str, Any]) -> list[Pixels]:
    return [np.asarray(Image.open(io.BytesIO(frame["jpeg"]))) for frame in clip["frames"]]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "mpeg4"])
def test_hard_cuts_are_frame_exact(tmp_path: Path, codec: str) -> None:
    """Three scenes are three clips that begin at the frames where they were drawn; ids come from place."""
    clips = split(encoded(tmp_path / "a.mkv", scenes(THREE), codec=codec))
    assert [(30, "start", "hard"), (40, "hard", "hard"), (26, "hard", "end")] == places(clips)
    assert clips[1]["start_s"] == pytest.approx(30 / 24, abs=0.002)
    assert all(c["id"] == clip_id("a" * 32, c["start_pts"], c["end_pts"]) for c in clips)
    assert gapless(clips)
    assert {"exact"} == {c["effort"] for c in clips}


def test_frames_stay_in_their_shot(tmp_path: Path) -> None:
    """Every stored frame shows the scene of its clip and lies within it; there are about five a second, and
    eight at most."""
    for number, clip in enumerate(split(encoded(tmp_path / "a.mp4", scenes(THREE), rate=24)), 1):
        assert clip["duration_s"] * 5 - 1 <= len(clip["frames"]) <= 8
        times = [frame["time_s"] for frame in clip["frames"]]
        assert times == sorted(set(times))
        assert clip["start_s"] <= times[0] and times[-1] < clip["end_s"]
        assert all(shows(picture, number) for picture in pictures(clip))


def test_a_long_clip_has_eight_frames(tmp_path: Path) -> None:
    """Spread over it: in each eighth of the clip one."""
    (clip,) = split(encoded(tmp_path / "a.mp4", scenes([1] * 120)))
    assert list(range(8)) == [int(frame["time_s"] * 8 / clip["duration_s"]) for frame in clip["frames"]]


def test_very_short_shots_have_frames(tmp_path: Path) -> None:
    """Where everything changes at once a picture is taken, so that a shot of three frames is seen, too."""
    path = encoded(tmp_path / "a.mp4", scenes([1] * 21 + [2] * 3 + [3] * 3 + [4] * 20))
    clips = split(path, SplitShots(min_shot_s=0.0))
    assert [21, 3, 3, 20] == [c["frame_count"] for c in clips]
    for number, clip in enumerate(clips, 1):
        assert clip["frames"] and all(shows(picture, number) for picture in pictures(clip))


def test_a_short_shot_between_long_ones_has_frames(tmp_path: Path) -> None:
    """The pictures of a long shot are thinned out, those of its neighbours are not."""
    path = encoded(tmp_path / "a.mp4", scenes([1] * 400 + [2] * 20 + [3] * 300), preset="veryfast")
    clips = split_here(path)
    assert [400, 20, 300] == [c["frame_count"] for c in clips]
    assert 4 <= len(clips[1]["frames"])


def test_a_remux_has_equal_content(tmp_path: Path) -> None:
    """The same stream in another container has the same content hashes; an encoding anew has others."""
    encoded(tmp_path / "a.mp4", scenes(THREE))
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    encoded(tmp_path / "c.mp4", scenes(THREE), crf="35")
    first, second, other = (
        {c["content_hash"] for c in split(tmp_path / name)} for name in ("a.mp4", "b.mkv", "c.mp4")
    )
    assert 3 == len(first) and first == second and not first & other


def test_min_and_max_length(tmp_path: Path) -> None:
    """A boundary behind a shorter shot is dropped; a longer shot is divided evenly."""
    path = encoded(tmp_path / "a.mp4", scenes([1] * 30 + [2] * 6 + [3] * 60))
    assert [30, 6, 60] == [c["frame_count"] for c in split(path)]
    assert [30, 66] == [c["frame_count"] for c in split(path, SplitShots(min_shot_s=0.4))]
    parts = split(path, SplitShots(detector="none", max_shot_s=1.0))
    assert [24, 24, 24, 24] == [c["frame_count"] for c in parts]
    assert ["limit"] * 3 == [c["ends_with"] for c in parts[:-1]]


def test_trim(tmp_path: Path) -> None:
    """Three frames off each end of each shot, in seconds."""
    clips = split(encoded(tmp_path / "a.mp4", scenes(THREE)), SplitShots(trim_s=0.125))
    assert [(24, "limit", "limit"), (34, "limit", "limit"), (20, "limit", "limit")] == places(clips)
    assert [3 / 24, 33 / 24, 73 / 24] == [pytest.approx(c["start_s"], abs=0.002) for c in clips]


def test_trim_is_exact(tmp_path: Path) -> None:
    """0.4 s are ten frames of 25 a second, though its binary value is a little more."""
    (clip,) = split(encoded(tmp_path / "a.mkv", scenes([1] * 60), rate=25), SplitShots(trim_s=0.4))
    assert (0.4, 40) == (clip["start_s"], clip["frame_count"])


def test_the_longest_is_not_shorter_than_the_shortest() -> None:
    """No shot could be both."""
    with pytest.raises(RecipeError, match="min_shot_s is 5"):
        SplitShots(min_shot_s=5.0, max_shot_s=1.0)


@pytest.mark.parametrize("chunk", [16, 25])
def test_chunks(tmp_path: Path, chunk: int) -> None:
    """Of exactly so many frames, within shots; the last frame of one is the first of the next."""
    clips = split(encoded(tmp_path / "a.mp4", scenes(THREE)), SplitShots(chunk_frames=chunk, chunk_overlap=1))
    starts = [first for a, b in ((0, 30), (30, 70), (70, 96)) for first in range(a, b - chunk + 1, chunk - 1)]
    assert [(n, chunk) for n in starts] == [(round(c["start_s"] * 24), c["frame_count"]) for c in clips]
    assert len(clips) == len({c["id"] for c in clips})


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    """A video of a single frame is one clip with one picture and unknown motion."""
    (clip,) = split(encoded(tmp_path / "a.mp4", scenes([1])))
    assert (1, 1, None) == (clip["frame_count"], len(clip["frames"]), clip["motion"])


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_clips_of_an_avi_can_be_cut(tmp_path: Path, b_frames: str) -> None:
    """AVI has no presentation times; split and pack agree on when its frames are shown."""
    from stages.pack.cut import CutMedia

    path = encoded(tmp_path / "a.avi", scenes(THREE), codec="mpeg4", bf=b_frames)
    clips = split(path)
    assert [30, 40, 26] == [c["frame_count"] for c in clips]
    location = {"path": str(path), "offset": None, "size": None}
    rows = [{**c, "kind": "video", "location": location, "fps": 24.0, "format": "avi"} for c in clips]
    made = CutMedia().open()(columns.table(rows, ["id", *CutMedia.reads])).to_pylist()
    assert [None] * 3 == [m["error"] for m in made]


def test_by_the_boundaries_of_a_model(tmp_path: Path) -> None:
    """Odds of the tiny frames become boundaries: of a cut the last frame before it is certain, of a
    transition its middle."""
    path = encoded(tmp_path / "a.mkv", scenes(THREE))
    with av.open(str(path)) as container:
        times = [frame.pts for frame in container.decode(video=0)]
    odds = [0.0] * 96
    odds[29] = odds[69] = 0.9
    clips = split(path, SplitByModel(detector="transnet"), tiny_pts=times, shot_odds=odds)
    assert [(30, "start", "hard"), (40, "hard", "hard"), (26, "hard", "end")] == places(clips)
    (whole,) = split(path, SplitByModel(detector="transnet"), tiny_pts=times, shot_odds=[0.0] * 96)
    assert 96 == whole["frame_count"]


def test_only_one_of_the_two_stages_is_active() -> None:
    """Split by the pass's own detector, or by a model's."""
    assert (True, False) == (SplitShots().active, SplitByModel().active)
    assert (False, True) == tuple(s(detector="transnet").active for s in (SplitShots, SplitByModel))


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 3.0},
        {"detector": "none", "threshold": 3.0},
        {"chunk_frames": 16, "chunk_overlap": 16},
        {"max_shot_s": 0.0},
        {"trim_s": -1.0},
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    """Each is refused before anything is decoded."""
    with pytest.raises(RecipeError, match="split"):
        SplitShots(**wrong)


def test_an_early_end_is_a_failure(tmp_path: Path) -> None:
    """A video that decodes to less than its packets promised is truncated."""
    (row,) = split(encoded(tmp_path / "a.mp4", scenes([1] * 24)), duration_s=5.0)
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


@pytest.fixture(scope="session")
def resources(real_media: Path) -> Path:
    """Films and golden lists of PySceneDetect."""
    return real_media / "PySceneDetect" / "tests" / "resources"


def golden(resources: Path, name: str) -> list[int]:
    cuts: list[int] = json.loads((resources / "goldens" / f"testvideo.mp4.{name}.json").read_text())["cuts"]
    return cuts


@pytest.mark.parametrize(("effort", "near"), [("exact", 4), ("fast", 10)])
def test_a_real_film_with_fades(resources: Path, effort: Effort, near: int) -> None:
    """testvideo.mp4 has hard cuts at 30 and 180 (a cut to black) and five ramps: in from black, out and in
    again, a dissolve, and out at the end. No clip holds frames of a ramp, one clip each shot between them,
    and what PySceneDetect's detectors tell lies at a boundary."""
    clips = split(resources / "testvideo.mp4", SplitShots(effort=effort))
    spans = [(round(c["start_s"] * 30000 / 1001), round(c["end_s"] * 30000 / 1001)) for c in clips]
    assert [(0, 30), (30, 180)] == spans[:2]
    for shot in ((241, 331), (424, 528), (560, 664)):
        assert 1 == sum(np.abs(np.subtract(shot, span)).max() <= near for span in spans)
    for first, end in ((211, 241), (331, 361), (395, 424), (528, 560), (664, 694)):
        assert all(b <= first + near or end - near <= a for a, b in spans)
    told = [n for name in ("Adaptive", "Histogram") for n in golden(resources, f"{name}Detector.default")]
    assert not [n for n in told for a, b in spans if a + near < n < b - near]


def test_a_real_film_by_another_detector(resources: Path) -> None:
    """Those of its own golden list are among its cuts; PySceneDetect's defaults tell fewer."""
    clips = split(resources / "testvideo.mp4", SplitShots(detector="adaptive", threshold=5.0))
    ends = [round(c["end_s"] * 30000 / 1001) for c in clips[:-1]]
    assert [30, 180] == ends[:2] and set(golden(resources, "AdaptiveDetector.t5")) <= set(ends)


@pytest.mark.parametrize("settings", [{"chunk_frames": 16}, {"chunk_frames": 25}, {"effort": "keyframes"}])
def test_every_clip_has_a_picture_of_its_own(tmp_path: Path, settings: dict[str, Any]) -> None:
    """However long the shot that it is a part of, and however few frames were decoded."""
    path = encoded(tmp_path / "a.mp4", scenes([1] * 900), g="100")
    clips = split(path, SplitShots(detector="none", max_shot_s=5.0, **settings))
    assert len(clips) > 5
    assert all(clip["frames"] and clip["blur"] is not None for clip in clips)
    assert all(clip["start_pts"] <= f["pts"] < clip["end_pts"] for clip in clips for f in clip["frames"])


def test_a_video_too_short_for_a_chunk_says_so(tmp_path: Path) -> None:
    """It is a failure of the row with a word for it, not a lost row."""
    (row,) = split(encoded(tmp_path / "a.mp4", scenes([1] * 24)), SplitShots(chunk_frames=49))
    assert str(row["error"]).startswith("too_short: ")


def test_settings_that_are_not_used_change_nothing() -> None:
    """A detector's own threshold stated, an overlap without chunks, a longest shot beside chunks."""
    assert SplitShots(chunk_overlap=2).fingerprint() == SplitShots().fingerprint()
    adaptive = SplitShots(detector="adaptive")
    assert adaptive.fingerprint() == SplitShots(detector="adaptive", threshold=3.5).fingerprint()
    chunks = SplitShots(chunk_frames=16)
    assert chunks.fingerprint() == SplitShots(chunk_frames=16, max_shot_s=9.0).fingerprint()
    assert chunks.fingerprint() != SplitShots(chunk_frames=16, chunk_overlap=0).fingerprint()

"""Efforts: fewer frames are decoded, and times and cuts stay those of the exact pass."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from benchmarks.split.truth import Boundary as Told
from benchmarks.split.truth import score
from stages.split import effort
from stages.split.effort import Effort, Frames, Unskippable
from stages.split.film import Film
from stages.split.measures import FrameMeasures
from tests.stages.split.drawn import (
    CUT,
    Pixels,
    encoded,
    gapless,
    places,
    plan,
    scenes,
    slow,
    split_here,
    watched,
)

SIZE = (128, 72)
FILM = plan([40, 33, 50, 41, 60, 37], [CUT] * 5, seed=5)
CUTS = [40, 73, 123, 164, 224]
# Cuts are not told to the encoder, so that they fall between frames that fast decodes.
B_FRAMES = {"x264-params": "scenecut=0:bframes=3:b-adapt=0:keyint=120"}
NO_B_FRAMES = {"x264-params": "scenecut=0:bframes=0:keyint=120"}
X265 = {"x265-params": "log-level=error:scenecut=0:bframes=3:b-adapt=0:keyint=30"}


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    """The frames of a film of five cuts."""
    return list(FILM.frames(SIZE))


def starts(film: Film) -> list[int]:
    """The first frame of each clip."""
    return [film.frames.pts.index(clip["start_pts"]) for clip in film.clips]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", B_FRAMES),
        ("a.mkv", "libx264", B_FRAMES),
        ("a.ts", "libx264", B_FRAMES),
        ("a.flv", "libx264", B_FRAMES),
        ("open.mp4", "libx264", {"x264-params": "scenecut=0:bframes=3:b-adapt=0:keyint=30:open-gop=1"}),
        ("b.mp4", "libx265", X265),
        ("d.mp4", "mpeg4", {"bf": "2", "g": "30"}),
        ("e.ts", "mpeg2video", {"bf": "2", "g": "30"}),
    ],
)
def test_fast_skips_frames_and_finds_the_same(
    tmp_path: Path, pictures: list[Pixels], name: str, codec: str, options: dict[str, str]
) -> None:
    """More than a third of the frames is not decoded; every frame's time is known all the same, and each cut
    stands at the frame where exact has it, because what is stored behind a large packet is decoded whole."""
    path = encoded(tmp_path / name, pictures, codec=codec, rate=25, **options)
    facts = {"fps": 25.0}
    exact, fast = watched(path, facts=facts), watched(path, facts=facts, effort="fast")
    assert [0, *CUTS] == starts(exact) == starts(fast)
    assert exact.frames.pts == fast.frames.pts and exact.frames.end_pts == fast.frames.end_pts
    assert fast.frames.decoded < 0.67 * len(fast.frames.pts)
    assert places(exact.clips) == places(fast.clips) and gapless(fast.clips)


def test_fast_gives_away_a_frame_that_it_did_not_see(
    tmp_path: Path, pictures: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no packet is large, one frame between two decoded ones may be of either shot: it is in no clip,
    and no clip holds a frame of another shot."""
    monkeypatch.setattr(effort, "_LARGE", math.inf)
    path = encoded(tmp_path / "a.mp4", pictures, rate=25, **B_FRAMES)
    passed = watched(path, effort="fast")
    shots = list(pairwise([0, *CUTS, len(pictures)]))
    lost = 0
    for clip, (first, end) in zip(passed.clips, shots, strict=True):
        begins = passed.frames.pts.index(clip["start_pts"])
        assert first <= begins and begins + clip["frame_count"] <= end
        lost += end - first - clip["frame_count"]
    assert 0 < lost <= len(CUTS)


def test_several_frames_at_a_cut_are_looked_at_once_more(
    tmp_path: Path, pictures: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a pyramid up to seven frames lie between two decoded ones: their cut is found among them."""
    monkeypatch.setattr(effort, "_LARGE", math.inf)
    options = {"x264-params": "scenecut=0:bframes=7:b-adapt=0:b-pyramid=none:keyint=120"}
    path = encoded(tmp_path / "a.mp4", pictures, rate=25, **options)
    fast = watched(path, effort="fast")
    assert fast.frames.decoded < 0.3 * len(pictures)
    assert [0, *CUTS] == starts(fast) and gapless(fast.clips)


def test_rows_say_fast(tmp_path: Path, pictures: list[Pixels]) -> None:
    """The effort stands in each row; measures of fewer frames make another content hash."""
    path = encoded(tmp_path / "a.mp4", pictures, rate=25, **B_FRAMES)
    exact, fast = split_here(path), split_here(path, effort="fast")
    assert {"exact"} == {row["effort"] for row in exact}
    assert {"fast"} == {row["effort"] for row in fast}
    assert not {row["content_hash"] for row in exact} & {row["content_hash"] for row in fast}
    for one, other in zip(exact, fast, strict=True):
        assert one["id"] == other["id"]
        assert one["luma_mean"] == pytest.approx(other["luma_mean"], abs=0.02)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", NO_B_FRAMES),
        ("a.webm", "libvpx-vp9", {"g": "60", "deadline": "realtime", "cpu-used": "8"}),
        ("a.mp4", "libsvtav1", {"g": "60", "preset": "12", "svtav1-params": "lp=1"}),
    ],
)
def test_where_nothing_can_be_skipped_fast_is_exact(
    tmp_path: Path, pictures: list[Pixels], name: str, codec: str, options: dict[str, str]
) -> None:
    """Every frame is decoded, every value is that of exact, and rows say exact; with cuts and with a long
    dissolve."""
    slowly = plan([50, 60], [slow("dissolve", 40)], seed=5).frames(SIZE)
    path = encoded(tmp_path / name, [*pictures[:100], *slowly], codec=codec, rate=25, **options)
    facts = {"fps": 25.0}
    exact, fast = split_here(path, facts=facts), split_here(path, facts=facts, effort="fast")
    assert {"exact"} == {row["effort"] for row in fast}
    assert "gradual" in {row["ends_with"] for row in exact}
    assert exact == fast


def test_fast_finds_transitions(tmp_path: Path) -> None:
    """Dissolves and fades at half the frames: found, their spans covered but for what was not decoded."""
    joins = [slow("dissolve", 16), CUT, slow("fade", 30, "black", away=12, back=12), slow("dissolve", 30)]
    film = plan([50, 40, 50, 40, 60], joins, seed=5)
    path = encoded(tmp_path / "a.mp4", film.frames(SIZE), rate=25, **B_FRAMES)
    passed = watched(path, facts={"fps": 25.0}, effort="fast")
    pts = [*passed.frames.pts, passed.frames.end_pts]
    told = [
        Told(a["ends_with"], pts.index(a["end_pts"]), pts.index(b["start_pts"]))
        for a, b in pairwise(passed.clips)
    ]
    counts = score(told, film.boundaries)
    assert (1, 0, 0) == (counts.hits, counts.missed, counts.false)
    assert 1.0 == counts.found()


@pytest.mark.parametrize(
    ("name", "codec", "options", "keys"),
    [
        ("a.mp4", "libx264", B_FRAMES, [0, 120, 240]),
        ("a.ts", "libx264", B_FRAMES, [0, 120, 240]),
        ("b.mp4", "libx265", X265, list(range(0, 261, 30))),
        (
            "a.webm",
            "libvpx-vp9",
            {"g": "60", "deadline": "realtime", "cpu-used": "8"},
            [0, 60, 120, 180, 240],
        ),
    ],
)
def test_keyframes_decodes_nothing_else(
    tmp_path: Path, pictures: list[Pixels], name: str, codec: str, options: dict[str, str], keys: list[int]
) -> None:
    """Clips begin at key frames; every frame's time is known by its packet."""
    path = encoded(tmp_path / name, pictures, codec=codec, rate=25, **options)
    exact, passed = watched(path), watched(path, effort="keyframes")
    assert keys == passed.at
    assert exact.frames.pts == passed.frames.pts and exact.frames.end_pts == passed.frames.end_pts
    assert set(starts(passed)) <= set(keys) and len(starts(passed)) > 1
    assert 261 == sum(clip["frame_count"] for clip in passed.clips)
    assert {"keyframes"} == {row["effort"] for row in split_here(path, effort="keyframes")}


def test_keyframes_of_one_scene_are_one_clip(tmp_path: Path) -> None:
    """A key frame is no boundary."""
    path = encoded(tmp_path / "a.mp4", plan([150], [], seed=5).frames(SIZE), rate=25, g="30", bf="2")
    (clip,) = split_here(path, effort="keyframes")
    assert (150, "start", "end") == (clip["frame_count"], clip["starts_with"], clip["ends_with"])


@pytest.mark.parametrize("effort", ["fast", "keyframes"])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.avi", "mpeg4", {"g": "30"}),
        ("a.mpg", "mpeg2video", {"bf": "2", "g": "30"}),
        ("a.mp4", "libx264", {"x264-params": "scenecut=0:bframes=3:b-adapt=0:keyint=30:open-gop=1"}),
    ],
)
def test_without_times_in_order_every_effort_is_exact(
    tmp_path: Path, pictures: list[Pixels], effort: Effort, name: str, codec: str, options: dict[str, str]
) -> None:
    """AVI and MPEG program streams do not say when a frame is shown; a decoder of key frames alone may hand
    them out in another order."""
    path = encoded(tmp_path / name, pictures[:90], codec=codec, rate=25, **options)
    exact, other = split_here(path), split_here(path, effort=effort)
    if effort == "fast" and name == "a.mp4":
        assert {"fast"} == {row["effort"] for row in other}
        return
    assert {"exact"} == {row["effort"] for row in other}
    assert exact == other


def test_a_packet_without_a_time(tmp_path: Path) -> None:
    """Only its frame could tell: the pass is done anew, exactly."""
    path = encoded(tmp_path / "a.mp4", scenes([1] * 30), **B_FRAMES)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0)]
        packets[7].pts = None
        frames = Frames(_Given(container, packets), container.streams.video[0], "fast")
        with pytest.raises(Unskippable):
            list(frames)


class _Given:
    """A container of these packets."""

    def __init__(self, container: Any, packets: list[Any]) -> None:
        self.format, self._packets = container.format, packets

    def demux(self, stream: Any) -> list[Any]:
        return self._packets


@pytest.mark.parametrize("effort", ["exact", "fast", "keyframes"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_frames_from_a_key_frame_on(tmp_path: Path, effort: Effort, name: str) -> None:
    """Those that are shown before the key frame are left out, however they are coded; all others come."""
    path = encoded(tmp_path / name, scenes([1] * 100), codec="libx265", **X265)
    with av.open(str(path)) as container:
        every = [frame.pts for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        frames = Frames(container, container.streams.video[0], effort, every[30])
        numbers = [n for n, _ in frames]
    assert every[30:] == frames.pts
    assert 0 == numbers[0] and numbers == sorted(set(numbers))
    assert frames.complete == (effort == "exact")


def test_measures_are_of_decoded_frames(tmp_path: Path) -> None:
    """A clip's numbers are the mean over those of its frames that were decoded."""
    path = encoded(tmp_path / "a.mp4", scenes([1] * 40 + [2] * 40), **B_FRAMES)
    passed = watched(path, effort="fast")
    assert len(passed.at) == passed.frames.decoded == len(passed.numbers.luma) < 80
    first = [luma for n, luma in zip(passed.at, passed.numbers.luma, strict=True) if n < 40]
    assert passed.clips[0]["luma_mean"] == pytest.approx(sum(first) / len(first))
    assert isinstance(passed.numbers, FrameMeasures)

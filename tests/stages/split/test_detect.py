"""Detectors by name on films drawn frame by frame: what each finds, where, and how late it tells."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenedetect import FrameTimecode, detectors
from scenedetect.detector import FlashFilter

from benchmarks.split.compose import Film, compose
from benchmarks.split.truth import Boundary as Told
from benchmarks.split.truth import Event, score
from manifests.errors import RecipeError
from stages.split.detect import LATE_FRAMES, THRESHOLDS, Boundary, Detector, open_detector, united
from stages.split.eyes import Glance
from tests.stages.split.drawn import CUT, SIZE, Pixels, glances, plan, slow

Seen = list[tuple[Glance, Pixels]]


def seen(film: Film) -> Seen:
    """Every frame as a glance and as the small BGR picture."""
    frames = list(film.frames(SIZE))
    return list(zip(glances(frames), (cv2.cvtColor(f, cv2.COLOR_RGB2BGR) for f in frames), strict=True))


def found(detector: Detector, frames: Seen) -> list[Boundary]:
    told = [b for n, (glance, colour) in enumerate(frames) for b in detector.add(glance, colour, n / 25)]
    return [*told, *detector.rest()]


def ours(film: Film) -> list[Boundary]:
    detector = open_detector("reelmix", None)
    seen = enumerate(glances(film.frames(SIZE)))
    told = [b for n, glance in seen for b in detector.add(glance, None, n / 25)]
    return [*told, *detector.rest()]


@pytest.mark.parametrize("seed", [90210, 777001])
def test_a_composed_film_of_an_unseen_seed(seed: int) -> None:
    """Cuts, very short shots, dissolves, wipes and fades among flashes, pans, texts and lights: the
    boundaries that were drawn, spans covered to four frames, no event taken for one."""
    film = compose(seed, 30)
    counts = score([Told(b.kind, b.first, b.end) for b in ours(film)], film.boundaries, events=film.events)
    assert counts.f1 >= 0.95
    assert counts.found() >= 0.9 and counts.covered() >= 0.75
    assert (0, 0) == counts.events.get("flash", (1, 0, 0))[1:]


def test_kinds_and_order() -> None:
    """A cut, a dissolve and a fade in one film are told in their order, each by its kind."""
    film = plan(
        [40, 40, 40, 40], [slow("dissolve", 16), CUT, slow("fade", 30, "black", away=12, back=12)], seed=5
    )
    told = ours(film)
    assert ["gradual", "hard", "gradual"] == [b.kind for b in told]
    assert all(
        abs(b.first - t.first) <= 4 and abs(b.end - t.end) <= 4
        for b, t in zip(told, film.boundaries, strict=True)
    )
    assert (96, 96) == told[1][:2]


def test_shots_of_five_frames_are_kept() -> None:
    """Every one of them; what is too short is ruled by `spans` alone."""
    assert [20, 25, 30, 36] == [b.first for b in ours(plan([20, 5, 5, 6, 20], [CUT] * 4))]


def test_letterbox_bars() -> None:
    """Between bars, a cut and a dissolve stand where they stand without."""
    told = ours(plan([40, 40, 40], [CUT, slow("dissolve", 16)], seed=5, bars=0.12))
    assert [Boundary(40, 40, "hard")] == told[:1]
    assert 2 == len(told) and abs(told[1].first - 80) <= 4 and abs(told[1].end - 96) <= 4


@pytest.mark.parametrize(
    ("kind", "frames"), [("flash", 2), ("pan", 10), ("text", 30), ("light", 1), ("fast", 10), ("shake", 15)]
)
def test_no_boundary_within_a_shot(kind: str, frames: int) -> None:
    """At a two-frame flash, a whip pan, a text card, a switched light, fast things, a shaken camera."""
    assert [] == ours(plan([90], [], seed=31, events=[Event(kind, 40, 40 + frames)]))


def test_boundaries_are_told_in_time() -> None:
    """At most LATE_FRAMES behind their end, though nothing happens any more."""
    film = plan([40, 400], [slow("dissolve", 16)], seed=5)
    detector, late = open_detector("reelmix", None), list[int]()
    for n, glance in enumerate(glances(film.frames((96, 54)))):
        late += [n - b.end for b in detector.add(glance, None, n / 25)]
    assert [] == detector.rest()
    assert 1 == len(late) and 0 <= late[0] <= LATE_FRAMES


PEERS: dict[str, Any] = {
    "adaptive": lambda: detectors.AdaptiveDetector(adaptive_threshold=3.5, window_width=3, min_scene_len=1),
    "content": lambda: detectors.ContentDetector(
        threshold=31.0, min_scene_len=1, filter_mode=FlashFilter.Mode.SUPPRESS
    ),
    "histogram": lambda: detectors.HistogramDetector(threshold=0.2, bins=128, min_scene_len=1),
    "hash": lambda: detectors.HashDetector(threshold=0.35, min_scene_len=1),
    "threshold": lambda: detectors.ThresholdDetector(threshold=12.0, min_scene_len=1),
}


def test_peers_agree_with_their_library() -> None:
    """PySceneDetect's detectors through our interface tell what the library tells when it is called
    directly, with cuts, a dissolve and a fade to tell of."""
    film = plan(
        [30, 20, 40, 40], [CUT, slow("dissolve", 16), slow("fade", 40, "black", away=12, back=12)], seed=6
    )
    frames = seen(film)
    for name, peer in PEERS.items():
        detector, direct = peer(), list[int]()
        for n, (_, colour) in enumerate(frames):
            direct += [
                c.frame_num for c in detector.process_frame(FrameTimecode(n, fps=Fraction(25)), colour)
            ]
        direct += [c.frame_num for c in detector.post_process(FrameTimecode(len(frames), fps=Fraction(25)))]
        assert direct, name
        assert [(n, n, "hard") for n in direct] == [
            tuple(b) for b in found(open_detector(name, None), frames)
        ], name


@pytest.mark.parametrize("name", [n for n in THRESHOLDS if n not in ("none", "threshold", "transnet")])
def test_each_detector_finds_a_hard_cut(name: str) -> None:
    """At exactly its frame, told at once or some frames late."""
    assert [Boundary(25, 25, "hard")] == found(open_detector(name, None), seen(plan([25, 25], [CUT], seed=2)))


def test_a_threshold_is_handed_on() -> None:
    """A content threshold that nothing reaches finds nothing."""
    frames = seen(plan([25, 25], [CUT], seed=2))
    assert [] == found(open_detector("content", 250.0), frames)
    assert [25] == [b.first for b in found(open_detector("content", 31.0), frames)]


@pytest.mark.parametrize("name", ["none", "transnet"])
def test_those_that_find_nothing(name: str) -> None:
    """They say so, and need no picture."""
    detector = open_detector(name, None if name == "none" else 0.5)
    assert (False, False, []) == (detector.needs_colour, detector.finds, ours_of(detector))


def ours_of(detector: Detector) -> list[Boundary]:
    return found(detector, seen(plan([10, 10], [CUT])))


def test_of_key_frames_alone() -> None:
    """Seconds apart, a picture that shows no scene of the one before begins a shot; one of the same place,
    its camera moved, does not."""
    frames = list(plan([75, 75], [CUT], seed=5).frames(SIZE))[::25]
    moved = [np.roll(frames[0], 6, 1), *frames]
    detector = open_detector("reelmix", None, "keyframes")
    assert [Boundary(4, 4, "hard")] == [
        b for n, g in enumerate(glances(moved)) for b in detector.add(g, None, float(n))
    ] + detector.rest()


def test_unknown_detector_offers_the_nearest() -> None:
    """A misspelt name is an error that helps."""
    with pytest.raises(RecipeError, match="adaptive"):
        open_detector("adaptiv", None)


def test_a_threshold_of_none_is_refused() -> None:
    """A detector without a threshold takes none."""
    with pytest.raises(RecipeError, match="leave it out"):
        open_detector("reelmix", 3.0)


def test_boundaries_that_overlap_are_one() -> None:
    """Transitions that touch are one; a cut in one, or within a frame of it, is part of it."""
    told = [
        Boundary(10, 20, "gradual"),
        Boundary(20, 30, "gradual"),
        Boundary(31, 31, "hard"),
        Boundary(9, 9, "hard"),
        Boundary(32, 32, "hard"),
        Boundary(8, 8, "hard"),
    ]
    assert [(8, 8), (10, 30), (32, 32)] == [b[:2] for b in united(told)]


spans = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(
    lambda p: Boundary(p[0], p[0] + p[1], "gradual")
)
cuts = st.integers(0, 60).map(lambda n: Boundary(n, n, "hard"))


@given(st.lists(spans | cuts, max_size=12, unique=True))
def test_united_boundaries_are_apart(told: list[Boundary]) -> None:
    """In order, none touches the next, no gradual frame is lost or gained, and once more changes nothing."""
    one = united(told)
    assert one == sorted(one) == united(one)
    assert all(
        a.end < b.first or (a.kind == b.kind == "hard" and a.first < b.first) for a, b in pairwise(one)
    )
    frames = [{n for b in some if b.kind == "gradual" for n in range(b.first, b.end)} for some in (told, one)]
    assert frames[0] == frames[1]

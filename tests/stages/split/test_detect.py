"""Cuts become spans by one stated rule, in time and not in frames."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import RecipeError
from stages.split.detect import THRESHOLDS, open_detector, spans


def cut_at(
    cuts: list[int], frames: int, *, least: int = 15, most: int = 1500
) -> list[tuple[int, int, str, str]]:
    """Spans of a video of one tick a frame."""
    found = spans(cuts, range(frames), frames, least=Fraction(least), most=Fraction(most))
    return [(s.first, s.end, s.starts_with, s.ends_with) for s in found]


def test_cuts_divide() -> None:
    """Clips lie between cuts; the first starts, the last ends, the others are hard."""
    assert [(0, 30, "start", "hard"), (30, 80, "hard", "hard"), (80, 100, "hard", "end")] == cut_at(
        [30, 80], 100
    )


def test_a_cut_too_near_is_dropped() -> None:
    """Nearer than the minimum to the boundary before it, or to the end: its frames go to the shot before."""
    assert [(0, 30, "start", "hard"), (30, 100, "hard", "end")] == cut_at([10, 30, 40, 90], 100)


def test_a_short_video_stays_one_clip() -> None:
    """A video shorter than the minimum is not lost."""
    assert [(0, 5, "start", "end")] == cut_at([3], 5)


def test_a_long_shot_is_divided_evenly() -> None:
    """The fewest equal parts that are not longer than the maximum."""
    assert [(0, 33, "start", "limit"), (33, 67, "limit", "limit"), (67, 100, "limit", "end")] == cut_at(
        [], 100, most=40
    )


def test_length_is_time() -> None:
    """With uneven times it is the time between cuts that counts, not the number of frames."""
    pts = [0, 1, 2, 100, 101, 102]
    found = spans([1, 3], pts, 103, least=Fraction(50), most=Fraction(1000))
    assert [(0, 6)] == [(s.first, s.end) for s in found]
    assert [(0, 3), (3, 6)] == [
        (s.first, s.end) for s in spans([3], pts, 200, least=Fraction(50), most=Fraction(1000))
    ]


@given(st.lists(st.integers(0, 200)), st.integers(1, 200), st.integers(1, 50), st.integers(50, 300))
def test_spans_cover_every_frame_once(cuts: list[int], frames: int, least: int, most: int) -> None:
    """No frame is lost or taken twice, no clip is longer than the maximum, none is empty."""
    found = cut_at(cuts, frames, least=least, most=most)
    assert list(range(frames)) == [n for first, end, *_ in found for n in range(first, end)]
    assert all(0 < end - first <= most for first, end, *_ in found)


@pytest.mark.parametrize("name", [n for n in THRESHOLDS if n not in ("none", "threshold")])
def test_each_detector_finds_a_hard_cut(name: str) -> None:
    """A picture that is replaced by another one is a cut at exactly that frame, reported at once or a few
    frames late."""
    rng = np.random.default_rng(3)
    scenes = [
        np.repeat(np.repeat(rng.integers(0, 255, (9, 16, 3), np.uint8), 16, 0), 16, 1) for _ in range(2)
    ]
    frames = [
        np.clip(scenes[n >= 20] + rng.integers(0, 3, (144, 256, 3), np.uint8), 0, 255).astype(np.uint8)
        for n in range(40)
    ]
    detector = open_detector(name, None)
    assert [20] == [cut for n, frame in enumerate(frames) for cut in detector.cuts(n, frame)] + detector.rest(
        40
    )


def test_threshold_finds_a_fade_through_black() -> None:
    """The detector named threshold cuts within the dark stretch."""
    frames = [np.full((36, 64, 3), level, np.uint8) for level in [120] * 10 + [2] * 6 + [120] * 10]
    detector = open_detector("threshold", None)
    cuts = [cut for n, frame in enumerate(frames) for cut in detector.cuts(n, frame)] + detector.rest(
        len(frames)
    )
    assert [True] == [10 <= cut <= 16 for cut in cuts]


def test_unknown_detector_offers_the_nearest() -> None:
    """A misspelt name is an error that helps."""
    with pytest.raises(RecipeError, match="adaptive"):
        open_detector("adaptiv", None)

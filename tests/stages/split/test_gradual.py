"""Dissolves and wipes in films drawn frame by frame, without encoding."""

import numpy as np
import pytest

from benchmarks.split.mixing import Join
from benchmarks.split.truth import COVER_FRAMES, Event
from stages.split.gradual import Gradual
from stages.split.window import Window
from tests.stages.split.drawn import CUT, SIZE, plan, slow, window


def spans(seen: Window, *, cuts: tuple[int, ...] = ()) -> list[tuple[int, int]]:
    """Of all frames of a window."""
    finder = Gradual(seen)
    found = [span for n in range(seen.count) for span in finder.add(n, n in cuts)]
    return [*found, *finder.rest()]


def near(expected: list[tuple[int, int]], found: list[tuple[int, int]]) -> bool:
    """Whether each end of each is at most as far off as a covering span may be."""
    return len(expected) == len(found) and bool(np.abs(np.subtract(expected, found)).max() <= COVER_FRAMES)


@pytest.mark.parametrize("seed", [5, 8])
@pytest.mark.parametrize(
    "join",
    [
        slow("dissolve", 12),
        slow("dissolve", 40),
        slow("wipe", 20, "left"),
        slow("wipe", 24, "iris", soft=0.1),
    ],
    ids=["dissolve-12", "dissolve-40", "wipe-20", "iris-24"],
)
def test_the_span_of_a_transition(join: Join, seed: int) -> None:
    """The frames in which both shots mix, to four frames at each end, and nothing else in the film."""
    film = plan([50, 50], [join], seed=seed)
    found = spans(window(film.frames(SIZE)))
    assert near([(film.joins[0].first, film.joins[0].end)], found), found


def test_two_transitions_one_after_the_other() -> None:
    """Each has its own span."""
    film = plan([40, 25, 40], [slow("dissolve", 16), slow("dissolve", 12)], seed=2)
    found = spans(window(film.frames(SIZE)))
    assert near([(40, 56), (81, 93)], found), found


@pytest.mark.parametrize(
    ("kind", "frames"), [("flash", 2), ("pan", 12), ("zoom", 12), ("text", 30), ("light", 1), ("fast", 12)]
)
def test_what_happens_within_a_shot_is_no_transition(kind: str, frames: int) -> None:
    """Neither flashes nor pans, zooms, texts, lights that are switched, things that rush past."""
    assert [] == spans(window(plan([80], [], seed=22, events=[Event(kind, 30, 30 + frames)]).frames(SIZE)))


def test_a_cut_is_no_transition() -> None:
    """Not even a short one, told of or not."""
    seen = window(plan([40, 40], [CUT], seed=2).frames(SIZE))
    assert [] == spans(seen, cuts=(40,))
    assert [] == spans(seen)


def test_a_transition_is_told_before_the_film_is_over() -> None:
    """Once nothing that comes later can join it."""
    seen = window(plan([40, 150], [slow("dissolve", 12)], seed=5).frames(SIZE))
    finder = Gradual(seen)
    told = [n for n in range(seen.count) if [*finder.add(n, False)]]
    assert 1 == len(told) and 52 < told[0] < 52 + 100
    assert [] == [*finder.rest()]


def test_at_a_low_rate_only_short_spans_are_transitions() -> None:
    """What takes longer than two seconds to become another picture is no transition: 48 frames of four a
    second are twelve."""
    film = plan([50, 50], [slow("dissolve", 48)], seed=2)
    assert [] != spans(window(film.frames(SIZE)))
    assert [] == spans(window(film.frames(SIZE), rate=4.0))


def test_between_two_empty_pictures_is_nothing() -> None:
    """Black that becomes white is no change of scene."""
    ramp = [
        np.full((180, 320, 3), level, np.uint8) for level in [0] * 30 + list(range(0, 255, 16)) + [255] * 30
    ]
    assert [] == spans(window(ramp))


@pytest.mark.parametrize("style", ["left", "iris", "clock"])
def test_a_wipe_at_the_beginning_stays_in_the_film(style: str) -> None:
    """Its front may have entered before the first frame: no boundary begins before that."""
    frames = list(plan([30, 60], [slow("wipe", 24, style)], seed=4).frames(SIZE))
    for skipped in (26, 30, 34):
        assert all(0 <= first < end for first, end in spans(window(frames[skipped:])))

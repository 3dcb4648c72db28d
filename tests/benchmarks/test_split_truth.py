"""How found boundaries are counted against true ones."""

from __future__ import annotations

import pytest

from benchmarks.split.truth import Boundary, Event, score, together


def hard(frame: int) -> Boundary:
    return Boundary("hard", frame, frame)


def cut(frame: int) -> Boundary:
    return Boundary("cut", frame, frame)


def test_cuts_are_hit_one_to_one_within_one_frame() -> None:
    """Of two found boundaries at one cut one is false; two frames away is missed and false."""
    found = score([hard(10), hard(11), hard(52)], [cut(10), cut(50)])
    assert (1, 1, 2) == (found.hits, found.missed, found.false)
    assert pytest.approx(0.4) == found.f1


def test_the_nearest_pair_comes_first() -> None:
    """Cuts two frames apart each get their own, whatever the order in which they were found."""
    found = score([hard(11), hard(12)], [cut(10), cut(12)])
    assert (2, 0, 0) == (found.hits, found.missed, found.false)


@pytest.mark.parametrize(
    ("first", "end", "covered"), [(100, 120, 1), (96, 124, 1), (104, 116, 1), (95, 120, 0), (100, 125, 0)]
)
def test_a_gradual_transition_is_covered_within_four_frames(first: int, end: int, covered: int) -> None:
    """Each end counts by itself; a span that is off still finds the transition and is not false."""
    found = score([Boundary("gradual", first, end)], [Boundary("dissolve", 100, 120)])
    assert {"dissolve": (1, 1, covered)} == found.gradual
    assert 0 == found.false


def test_one_hard_boundary_finds_a_transition_and_the_next_is_false() -> None:
    """Inside a true gradual transition hard boundaries are forgiven once."""
    found = score([hard(101), hard(118)], [Boundary("fade", 100, 120)])
    assert {"fade": (1, 1, 0)} == found.gradual
    assert (0, 0, 1) == (found.hits, found.missed, found.false)


def test_a_hard_boundary_beside_the_gradual_one_is_false() -> None:
    """A transition that a gradual boundary found already forgives nothing more."""
    found = score([Boundary("gradual", 100, 120), hard(110)], [Boundary("wipe", 100, 120)])
    assert {"wipe": (1, 1, 1)} == found.gradual
    assert 1 == found.false


def test_a_gradual_boundary_at_a_cut_is_false_and_the_cut_missed() -> None:
    """A cut is hit by hard boundaries only."""
    found = score([Boundary("gradual", 8, 13)], [cut(10)])
    assert (0, 1, 1) == (found.hits, found.missed, found.false)


def test_only_false_boundaries_hit_an_event() -> None:
    """A hit cut near a flash does not count against it; two boundaries around a flash count two."""
    events = [Event("flash", 20, 22), Event("flash", 40, 42)]
    found = score([hard(18), hard(40), hard(42)], [cut(18)], events=events)
    assert {"flash": (2, 1, 2)} == found.events


def test_counts_of_films_add_up() -> None:
    """Shares of several films are those of the sums, not means of shares."""
    one = score([hard(10)], [cut(10), Boundary("fade", 50, 60)])
    other = score([], [cut(10), cut(20), Boundary("fade", 50, 60)])
    whole = together([one, other])
    assert (1, 2, 0) == (whole.hits, whole.missed, whole.false)
    assert {"fade": (2, 0, 0)} == whole.gradual
    assert pytest.approx(0.5) == whole.f1

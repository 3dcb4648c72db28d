"""Boundaries become clips by one stated rule, in time and not in frames."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.split.detect import Boundary
from stages.split.effort import Frames
from stages.split.film import Film
from stages.split.measures import FrameMeasures
from stages.split.moves import Moves
from stages.split.shots import SplitShots
from stages.split.spans import Rules

Found = list[tuple[int, int, str, str]]


def rules(least: int = 15, most: int = 1500, trim: int = 0, chunk: int = 0, overlap: int = 0) -> Rules:
    return Rules(Fraction(least), Fraction(most), Fraction(trim), chunk, overlap)


def film_of(times: Sequence[int], by: Rules) -> Film:
    """A film that was seen, of a tick a second; the last time is when the last frame ends."""
    *pts, end = times
    frames = Frames(cast(Any, None), cast(Any, None), pts=list(pts), end_pts=end, decoded=len(pts))
    seen = FrameMeasures(*([0.5] * len(pts) for _ in range(3)), [b""] * len(pts))  # type: ignore[arg-type]
    at = list(range(len(pts)))
    return Film(SplitShots(), by, frames, Fraction(1), "8x6", 0, lambda n: None, Moves(Fraction(1)), at, seen)


def clipped(boundaries: Sequence[Boundary], times: Sequence[int], by: Rules) -> list[dict[str, Any]]:
    film = film_of(times, by)
    for boundary in boundaries:
        film.cut(boundary)
    film.end(len(times) - 1, ("end", None))
    return film.clips


def cut_at(cuts: Sequence[int], frames: int, by: Rules | None = None) -> Found:
    """Clips of a film of one tick a frame, so that times are numbers of frames."""
    made = clipped([Boundary(n, n, "hard") for n in cuts], range(frames + 1), by or rules())
    return [(c["start_pts"], c["end_pts"], c["starts_with"], c["ends_with"]) for c in made]


def test_cuts_divide() -> None:
    """Clips lie between cuts; the first starts, the last ends, the others are hard."""
    assert [(0, 30, "start", "hard"), (30, 80, "hard", "hard"), (80, 100, "hard", "end")] == cut_at(
        [30, 80], 100
    )


def test_a_boundary_behind_a_short_shot_is_dropped() -> None:
    """Nearer than the minimum to the boundary before it: the frames go to the short shot; too near the end:
    to the shot before."""
    assert [(0, 30, "start", "hard"), (30, 100, "hard", "end")] == cut_at([10, 30, 40, 90], 100)
    assert [(0, 15, "start", "hard"), (15, 30, "hard", "end")] == cut_at([15], 30)
    assert [(0, 29, "start", "end")] == cut_at([14], 29)


def test_a_short_video_stays_one_clip() -> None:
    """A video shorter than the minimum is not lost."""
    assert [(0, 5, "start", "end")] == cut_at([3], 5)
    assert [(0, 1, "start", "end")] == cut_at([], 1)


def test_a_long_shot_is_divided_evenly() -> None:
    """The fewest equal parts that are not longer than the maximum; one as long as it stays whole."""
    assert [(0, 33, "start", "limit"), (33, 67, "limit", "limit"), (67, 100, "limit", "end")] == cut_at(
        [], 100, rules(most=40)
    )
    assert [(0, 40, "start", "hard"), (40, 80, "hard", "end")] == cut_at([40], 80, rules(most=40))


def test_length_is_time() -> None:
    """With uneven times it is the time between boundaries that counts, not the number of frames."""
    cuts = [Boundary(n, n, "hard") for n in (1, 3)]
    made = clipped(cuts, [0, 1, 2, 100, 101, 102, 103], rules(least=50))
    assert [(0, 103)] == [(c["start_pts"], c["end_pts"]) for c in made]
    made = clipped(cuts, [0, 1, 2, 100, 101, 102, 200], rules(least=50))
    assert [(0, 100), (100, 200)] == [(c["start_pts"], c["end_pts"]) for c in made]


def test_a_gradual_boundary_belongs_to_neither_side() -> None:
    """Its frames are cut away from both, which say how long it was."""
    first, second = clipped([Boundary(40, 52, "gradual")], range(101), rules())
    assert (0, 40, "gradual", 12.0) == tuple(
        first[k] for k in ("start_pts", "end_pts", "ends_with", "after_s")
    )
    assert (52, 100, "gradual", 12.0) == tuple(
        second[k] for k in ("start_pts", "end_pts", "starts_with", "before_s")
    )
    assert (None, None) == (first["before_s"], second["after_s"])


def test_a_hard_boundary_takes_nothing() -> None:
    """Nought seconds at a cut; unknown where there is none."""
    first, second = clipped([Boundary(40, 40, "hard")], range(101), rules())
    assert (None, 0.0, 0.0, None) == (
        first["before_s"],
        first["after_s"],
        second["before_s"],
        second["after_s"],
    )


def test_a_film_may_begin_and_end_in_a_transition() -> None:
    """A fade in at the very beginning and a fade out at the end are in no clip."""
    (clip,) = clipped([Boundary(0, 9, "gradual"), Boundary(80, 100, "gradual")], range(101), rules())
    assert (9, 80, "gradual", "gradual", 9.0, 20.0) == tuple(
        clip[k] for k in ("start_pts", "end_pts", "starts_with", "ends_with", "before_s", "after_s")
    )


def test_a_transition_behind_a_short_shot_is_dropped_with_it() -> None:
    """Nothing is cut away where the shot before would be too short."""
    assert [(0, 100)] == [
        (c["start_pts"], c["end_pts"]) for c in clipped([Boundary(10, 22, "gradual")], range(101), rules())
    ]


def test_trim_moves_both_ends() -> None:
    """So many ticks from both ends; what was moved is a limit, and no transition stands beside it."""
    (clip,) = clipped([], range(101), rules(trim=10))
    assert (10, 90, "limit", "limit", None, None) == tuple(
        clip[k] for k in ("start_pts", "end_pts", "starts_with", "ends_with", "before_s", "after_s")
    )


def test_trim_is_time_and_takes_whole_frames() -> None:
    """With uneven times a frame that is shown before the trim is over goes, and one that ends too late."""
    made = clipped([], [0, 4, 5, 6, 50, 93, 96, 100], rules(trim=5))
    assert [(5, 93)] == [(c["start_pts"], c["end_pts"]) for c in made]


def test_trim_may_use_a_shot_up() -> None:
    """A shot that is not longer than both trims makes no clip."""
    assert [(50, 90, "limit", "limit")] == cut_at([20, 40], 100, rules(trim=10))


def test_the_parts_of_a_trimmed_shot() -> None:
    """The maximum rules what is left after the trim."""
    assert [(10, 50, "limit", "limit"), (50, 90, "limit", "limit")] == cut_at(
        [], 100, rules(most=40, trim=10)
    )


@pytest.mark.parametrize("chunk", [16, 25, 49])
def test_chunks_share_a_frame(chunk: int) -> None:
    """Of the usual lengths, with an overlap of one: the last frame of a chunk is the first of the next."""
    found = cut_at([100], 200, rules(chunk=chunk, overlap=1))
    assert {chunk} == {end - first for first, end, *_ in found}
    for shot in ([f for f in found if f[1] <= 100], [f for f in found if f[0] >= 100]):
        assert all(before[1] - 1 == after[0] for before, after in pairwise(shot))
        assert len(shot) == (100 - 1) // (chunk - 1)


def test_kinds_of_chunks() -> None:
    """Only a chunk that begins or ends with its shot has the shot's kind."""
    assert [(0, 10, "start", "limit"), (10, 20, "limit", "hard"), (20, 30, "hard", "limit")] == cut_at(
        [20], 35, rules(chunk=10)
    )


cuts = st.lists(st.integers(0, 200)).map(sorted)


@given(cuts, st.integers(1, 200), st.integers(0, 50), st.integers(50, 300))
def test_clips_cover_every_frame_once(cut: list[int], frames: int, least: int, most: int) -> None:
    """Without trim, chunks and transitions no frame is lost or taken twice, no clip is longer than the
    maximum, none is empty."""
    found = cut_at([n for n in cut if 0 < n < frames], frames, rules(least, most))
    assert list(range(frames)) == [n for first, end, *_ in found for n in range(first, end)]
    assert all(0 < end - first <= most for first, end, *_ in found)


@given(cuts, st.integers(1, 200), st.integers(1, 50))
def test_no_clip_is_too_short(cut: list[int], frames: int, least: int) -> None:
    """But for a film that is shorter as a whole."""
    found = cut_at([n for n in cut if 0 < n < frames], frames, rules(least))
    assert all(end - first >= min(least, frames) for first, end, *_ in found)


@st.composite
def boundaries(draw: st.DrawFn, frames: int) -> list[Boundary]:
    """As a detector tells them: in order, not overlapping."""
    places = draw(st.lists(st.integers(0, frames), max_size=16, unique=True).map(sorted))
    told = [Boundary(a, b, "gradual") for a, b in zip(places[::2], places[1::2], strict=False)]
    return [b if draw(st.booleans()) or not b.first else Boundary(b.first, b.first, "hard") for b in told]


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), boundaries(n))), st.integers(0, 30))
def test_every_frame_is_in_a_clip_or_in_a_boundary(film: tuple[int, list[Boundary]], least: int) -> None:
    """In exactly one clip, or in one of the gradual boundaries that the rules left standing."""
    frames, found = film
    made = clipped(found, range(frames + 1), rules(least))
    inside = [n for clip in made for n in range(clip["start_pts"], clip["end_pts"])]
    lost = set(range(frames)) - set(inside)
    assert len(set(inside)) == len(inside) and inside == sorted(inside)
    assert lost <= {n for b in found for n in range(b.first, b.end)}
    whole = [set(range(b.first, b.end)) for b in found]
    assert all(span <= lost or not span & lost for span in whole)
    beside = [clip["before_s"] or 0 for clip in made[1:]] + [clip["after_s"] or 0 for clip in made[-1:]]
    assert len(lost) == sum(beside) + (made[0]["start_pts"] if made else frames)


@given(cuts, st.integers(1, 200), st.integers(2, 60), st.data())
def test_chunks_are_whole_and_overlap(cut: list[int], frames: int, chunk: int, data: st.DataObject) -> None:
    """Each has exactly its frames; within a shot neighbours share the overlap; less than a step is left."""
    overlap = data.draw(st.integers(0, chunk - 1))
    inner = sorted({n for n in cut if 0 < n < frames})
    found = cut_at(inner, frames, rules(0, chunk=chunk, overlap=overlap))
    for first, end in pairwise([0, *inner, frames]):
        shot = [(a, b) for a, b, *_ in found if first <= a and b <= end]
        assert [(a, a + chunk) for a in range(first, end - chunk + 1, chunk - overlap)] == shot
    assert len(found) == sum(
        len(range(a, b - chunk + 1, chunk - overlap)) for a, b in pairwise([0, *inner, frames])
    )


def test_a_boundary_far_enough() -> None:
    """The minimum itself is enough; what is not behind the shot's begin is not."""
    by, pts = rules(least=15), list(range(100))
    assert by.far_enough(Boundary(20, 20, "hard"), 5, pts)
    assert not by.far_enough(Boundary(19, 19, "hard"), 5, pts)
    assert not rules(least=0).far_enough(Boundary(5, 5, "hard"), 5, pts)

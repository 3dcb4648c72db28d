"""Composed films keep what their plan says, and are the same for the same seed."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.split.compose import MARGIN, compose
from benchmarks.split.encode import encode
from benchmarks.split.mixing import Join, joined

SIZE = (96, 54)
seeds = st.integers(0, 10_000)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, fps=st.sampled_from([24, 25, 30]))
def test_boundaries_lie_apart_in_order(seed: int, fps: int) -> None:
    """Every shot shows itself alone for three frames or longer, twelve beside a gradual transition."""
    film = compose(seed, 60, fps)
    joins = [(0, 0, "cut"), *[(b.first, b.end, b.kind) for b in film.boundaries]]
    for before, after in itertools.pairwise(joins):
        least = 3 if before[2] == after[2] == "cut" else 12
        assert least <= after[0] - before[1]
    assert 60 * fps == film.frame_count > film.boundaries[-1].end


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_most_boundaries_are_cuts(seed: int) -> None:
    """At least three in five."""
    kinds = [b.kind for b in compose(seed, 120).boundaries]
    assert 0.6 * len(kinds) <= kinds.count("cut")


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_events_lie_inside_shots(seed: int) -> None:
    """Nothing happens nearer than MARGIN frames to a boundary; a flash lasts two frames."""
    film = compose(seed, 60)
    for event in film.events:
        assert all(b.end + MARGIN <= event.first or event.end + MARGIN <= b.first for b in film.boundaries)
        assert event.kind != "flash" or 2 == event.end - event.first


@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_kinds_can_be_chosen(seed: int) -> None:
    """A film of dissolves alone, without events."""
    film = compose(seed, 30, kinds=("dissolve",), events=())
    assert {"dissolve"} == {b.kind for b in film.boundaries}
    assert [] == film.events


def test_the_same_seed_draws_the_same_film() -> None:
    """Pixel by pixel."""
    first, again = (list(compose(5, 4).frames(SIZE)) for _ in range(2))
    assert 100 == len(first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    "join",
    [
        Join("dissolve", 10, 16),
        Join("fade", 10, 20, "black", away=6, back=4),
        Join("fade", 10, 20, "white", away=0, back=10),
        *[Join("wipe", 10, 20, style) for style in ("left", "right", "up", "down", "diagonal", "iris")],
        Join("wipe", 10, 20, "clock", soft=0.1),
    ],
)
def test_no_frame_of_a_transition_shows_one_shot_alone(join: Join) -> None:
    """The first frame still differs from the old shot, the last from the new one; they go one way."""
    old, new = (np.full((90, 160, 3), value, np.uint8) for value in (60, 180))
    frames = [joined(join, old, new, n).astype(int) for n in range(join.first, join.end)]
    assert (frames[0] != old).any() and (frames[-1] != new).any()
    if join.kind != "fade":
        means = [frame.mean() for frame in frames]
        assert means == sorted(means)


def test_a_fade_holds_its_colour_between_its_ends() -> None:
    """Six frames out, four back, ten in all with none between; of twelve, two are black."""
    old = new = np.full((4, 4, 3), 200, np.uint8)
    join = Join("fade", 0, 12, "black", away=6, back=4)
    means = [int(joined(join, old, new, n).mean()) for n in range(12)]
    assert [171, 143, 114, 86, 57, 29, 0, 0, 40, 80, 120, 160] == means


def test_a_file_holds_the_film_frame_by_frame(tmp_path: Path) -> None:
    """Each decoded frame is nearest to the drawn frame of its number, at each cut and beside it."""
    film = compose(8, 6)
    path = tmp_path / "film.mp4"
    encode(film, path, SIZE, "h264")
    drawn = [frame.astype(int) for frame in film.frames(SIZE)]
    with av.open(str(path)) as container:
        shown: list[Any] = [
            frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)
        ]
    assert len(drawn) == len(shown)
    cuts = [b.first for b in film.boundaries if b.kind == "cut"]
    assert cuts
    for frame in [n for first in cuts for n in (first - 1, first)]:
        away = {n: float(np.abs(shown[frame] - drawn[n]).mean()) for n in (frame - 1, frame, frame + 1)}
        assert away[frame] <= min(away.values()) + 1.0

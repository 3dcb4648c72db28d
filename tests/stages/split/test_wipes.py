"""The front of a wipe, from a span of frames that need only be near it."""

import numpy as np
import pytest

from benchmarks.split.mixing import Join
from benchmarks.split.truth import Event
from stages.split.gradual import Gradual
from stages.split.window import Window
from stages.split.wipes import may_sweep, swept
from tests.stages.split.drawn import CUT, SIZE, Pixels, plan, slow, window

STYLES = ["left", "right", "up", "down", "diagonal", "iris", "clock"]


def seen(join: Join, *, seed: int = 3, bars: float = 0.0, size: tuple[int, int] = SIZE) -> Window:
    """Forty frames of one shot, the transition, forty of the next."""
    return window(plan([40, 40], [join], seed=seed, bars=bars).frames(size))


def span(film: Window, first: int, last: int, low: int, high: int) -> tuple[int, int] | None:
    """The frames of the wipe alone."""
    found = swept(film, first, last, low, high)
    return found and (found.first, found.end)


@pytest.mark.parametrize("frames", [10, 30])
@pytest.mark.parametrize("style", STYLES)
def test_when_a_front_enters_and_leaves(style: str, frames: int) -> None:
    """To two frames, whether the span that was looked at holds a part of it or more than all."""
    film = seen(slow("wipe", frames, style))
    middle = 40 + frames // 2
    for first, last in ((middle - 4, middle + 4), (40 - 5, 40 + frames + 5)):
        found = span(film, first, last, 0, film.count)
        assert found and abs(found[0] - 40) <= 2 and abs(found[1] - 40 - frames) <= 2, (first, found)


@pytest.mark.parametrize("bars", [0.06, 0.12])
def test_between_bars(bars: float) -> None:
    """The bars never change; what runs between them is followed as it is."""
    found = span(seen(slow("wipe", 24, "left"), bars=bars), 44, 60, 0, 104)
    assert found and abs(found[0] - 40) <= 2 and abs(found[1] - 64) <= 2, found


def test_a_soft_edge() -> None:
    """A cell turns in the middle of the edge: the ends may be half an edge off."""
    found = span(seen(slow("wipe", 24, "right", soft=0.15)), 44, 60, 0, 104)
    assert found and abs(found[0] - 40) <= 4 and abs(found[1] - 64) <= 4, found


@pytest.mark.parametrize("seed", [3, 4, 5, 6])
@pytest.mark.parametrize("frames", [12, 40])
def test_in_a_dissolve_no_front_runs(frames: int, seed: int) -> None:
    """All cells turn at the same time, or none that could be told."""
    film = seen(slow("dissolve", frames), seed=seed)
    assert None is span(film, 40, 40 + frames, 0, film.count)


@pytest.mark.parametrize("kind", ["pan", "zoom", "fast", "flash", "text"])
def test_within_a_shot_no_front_runs(kind: str) -> None:
    """Neither where the camera turns, nor where something rushes past or lights up."""
    frames = 2 if kind == "flash" else 12
    film = window(plan([90], [], seed=22, events=[Event(kind, 40, 40 + frames)]).frames(SIZE))
    assert None is span(film, 38, 54, 0, film.count)


def test_a_cut_is_no_front() -> None:
    """It enters and leaves at once."""
    film = seen(CUT)
    assert None is span(film, 36, 44, 0, film.count)


def test_what_may_sweep() -> None:
    """Between the ends of a wipe nearly every cell is old or new; of a dissolve, few are."""
    assert may_sweep(seen(slow("wipe", 24, "left")), 39, 64)
    assert not may_sweep(seen(slow("dissolve", 24)), 39, 64)
    assert not may_sweep(seen(CUT), 5, 15)


def test_neighbouring_shots_are_left_out() -> None:
    """Frames before `low` and from `high` on are neither looked at nor told, whatever shot they are of."""
    film = seen(slow("wipe", 30, "left"))
    found = span(film, 45, 68, 45, 68)
    assert found and 45 <= found[0] <= 46 and 67 <= found[1] <= 68, found
    assert None is span(film, 45, 47, 45, 48)


@pytest.mark.parametrize("size", [(144, 108), (108, 192)])
@pytest.mark.parametrize("style", ["iris", "clock"])
def test_in_pictures_of_other_shapes(style: str, size: tuple[int, int]) -> None:
    """A circle is round in 4:3 and in portrait, too."""
    found = span(seen(slow("wipe", 30, style), size=size), 48, 62, 0, 110)
    assert found and abs(found[0] - 40) <= 3 and abs(found[1] - 70) <= 3, found


def transitions(pictures: list[Pixels]) -> list[tuple[int, int]]:
    finder = Gradual(window(pictures))
    return [*(told for n in range(len(pictures)) for told in finder.add(n, False)), *finder.rest()]


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_a_shadow_that_comes_over_a_scene_is_no_transition(share: float) -> None:
    """Its front runs over a part of the picture or all of it: before and behind stands the same scene."""
    pictures = []
    for n, picture in enumerate(plan([120], [], seed=4).frames(SIZE)):
        edge = round(SIZE[0] * share * min(1.0, max(0, n - 60) / 20))
        pictures.append(np.concatenate([picture[:, :edge] // 2, picture[:, edge:]], 1))
    assert [] == transitions(pictures)


@pytest.mark.parametrize("share", [0.25, 0.35])
def test_a_card_that_slides_in_is_no_transition(share: float) -> None:
    """Most of the picture stays as it was."""
    pictures, card = [], np.full((SIZE[1], SIZE[0], 3), 225, np.uint8)
    card[::9] = 20
    for n, picture in enumerate(plan([120], [], seed=4).frames(SIZE)):
        top = round(SIZE[1] * (1 - share * min(1.0, max(0, n - 60) / 20)))
        pictures.append(np.concatenate([picture[:top], card[: SIZE[1] - top]]))
    assert [] == transitions(pictures)

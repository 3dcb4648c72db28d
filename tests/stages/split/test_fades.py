"""Fades in films drawn frame by frame, without encoding."""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest

from stages.split.fades import EMPTY, MOST_EMPTY_S, Fades
from stages.split.window import Window
from tests.stages.split.drawn import CUT, SIZE, Pixels, plan, slow, window


def fades(seen: Window) -> list[tuple[int, int]]:
    finder = Fades(seen)
    found = [span for n in range(seen.count) for span in finder.add(n)]
    return [*found, *finder.rest(seen.count)]


def near(expected: list[tuple[int, int]], found: list[tuple[int, int]], most: int = 3) -> bool:
    return len(expected) == len(found) and bool(np.abs(np.subtract(expected, found)).max(initial=0) <= most)


def faded(seed: int, shares: Iterable[float], level: int = 0) -> Iterable[Pixels]:
    """One shot, each frame with this share of itself left over a plain colour."""
    every = list(shares)
    frames = plan([len(every)], [], seed=seed).frames(SIZE)
    for frame, share in zip(frames, every, strict=True):
        yield cv2.addWeighted(frame, share, np.full_like(frame, level), 1 - share, 0)


@pytest.mark.parametrize(
    ("style", "away", "back"),
    [("black", 12, 12), ("white", 24, 8), ("black", 8, 24), ("white", 16, 0), ("black", 0, 16)],
)
def test_the_span_of_a_fade(style: str, away: int, back: int) -> None:
    """From the first darkened frame (or brightened one) to the last, with what is empty between; a fade may
    end or begin at a cut."""
    join = slow("fade", away + back + 6, style, away=away, back=back)
    found = fades(window(plan([40, 40], [join], seed=2).frames(SIZE)))
    assert near([(40, 40 + join.end)], found), found


def test_fade_in_at_the_beginning_and_out_at_the_end() -> None:
    """Without anything before or behind: frames 0 to 19 and 60 to the last."""
    ramp = [0.0] * 4 + [n / 17 for n in range(1, 17)]
    found = fades(window(faded(3, [*ramp, *[1.0] * 40, *ramp[::-1]])))
    assert near([(0, 20), (60, 80)], found), found


def test_an_abrupt_black_is_no_fade() -> None:
    """Its ends are cuts."""
    assert [] == fades(window(faded(3, [1.0] * 30 + [0.0] * 10 + [1.0] * 30)))


def test_dimming_is_no_fade() -> None:
    """A picture that grows dark and bright again without being empty stays one shot."""
    ramp = list(np.linspace(1.0, 0.4, 20))
    assert [] == fades(window(faded(3, [*[1.0] * 20, *ramp, *ramp[::-1], *[1.0] * 20])))


def test_long_emptiness_is_a_shot() -> None:
    """Black for longer than a second stands between two transitions."""
    most = round(25 * MOST_EMPTY_S)
    ramp = [n / 17 for n in range(16, 0, -1)]
    shares = [*[1.0] * 30, *ramp, *[0.0] * (most + 30), *ramp[::-1], *[1.0] * 30]
    found = fades(window(faded(3, shares)))
    begin, end = 46, 46 + most + 30
    assert 2 == len(found)
    assert near([(30, 30)], [(found[0][0], 30)]) and near([(end + 16, 0)], [(found[1][1], 0)])
    assert begin - 4 <= found[0][1] < found[1][0] <= end + 4


def test_a_cut_to_another_bright_shot_is_no_fade() -> None:
    """Nothing is empty there."""
    assert [] == fades(window(plan([40, 40], [CUT]).frames(SIZE)))


def test_a_small_thing_that_comes_in_is_no_fade() -> None:
    """A plain wall has hardly any contrast, and a little more once something moves over it."""
    noise = np.random.default_rng(1).normal(90, 8, (9, 16)).astype(np.float32)
    wall = cv2.cvtColor(cv2.resize(noise, SIZE).clip(83, 96).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    frames = []
    for n in range(60):
        frames.append(wall.copy())
        cv2.circle(frames[-1], (96, 2 * n - 40), 7, (125, 125, 125), -1)
    seen = window(frames)
    assert seen.contrast(0) < EMPTY < seen.contrast(59) < 2 * EMPTY
    assert [] == fades(seen)


@pytest.mark.parametrize(("rate", "expected"), [(25.0, 2), (60.0, 1)])
def test_emptiness_is_measured_in_seconds(rate: float, expected: int) -> None:
    """Forty black frames are 1.6 s of 25 a second, a shot; and 0.67 s of 60, part of one fade."""
    ramp = [n / 17 for n in range(16, 0, -1)]
    shares = [*[1.0] * 30, *ramp, *[0.0] * 40, *ramp[::-1], *[1.0] * 30]
    assert expected == len(fades(window(faded(3, shares), rate)))

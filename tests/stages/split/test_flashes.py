"""Flashes, counted by hand."""

from fractions import Fraction

import pytest

from stages.split.flashes import flash_rate

MS = Fraction(1, 1000)


def strobe(hertz: int, seconds: float = 2.0, *, dark: float = 0.1, light: float = 0.9) -> list[float]:
    """Mean luma at 60 frames/s: half of each period dark, half light."""
    return [light if n * hertz * 2 // 60 % 2 else dark for n in range(round(60 * seconds))]


def rate_of(luma: list[float], fps: int = 60) -> float | None:
    return flash_rate(luma, range(len(luma)), Fraction(1, fps))


@pytest.mark.parametrize("hertz", [1, 2, 3, 5, 10])
def test_a_strobe_of_so_many_hertz(hertz: int) -> None:
    """WCAG 2.3.1 counts pairs of opposing changes within a second: as many as the strobe has periods."""
    assert float(hertz) == rate_of(strobe(hertz))


def test_what_is_no_flash() -> None:
    """Too small a change, a darker image that is not dark, a single change, a slow swell, and nothing."""
    assert 0.0 == rate_of(strobe(5, dark=0.5, light=0.59))
    assert 0.0 == rate_of(strobe(5, dark=0.81, light=1.0))
    assert 0.0 == rate_of([0.1] * 30 + [0.9] * 30)
    swell = [n / 120 for n in range(120)]
    assert 0.0 == rate_of(swell + swell[::-1])
    assert 0.0 == rate_of([0.4] * 60)


def test_thresholds_of_the_definition() -> None:
    """A tenth of the range is a change; 0.79 is dark enough."""
    assert 5.0 == rate_of(strobe(5, dark=0.5, light=0.61))
    assert 5.0 == rate_of(strobe(5, dark=0.79, light=1.0))


def test_a_change_in_small_steps_is_one() -> None:
    """Up within five frames and down within five: one flash; noise on the way makes no other."""
    assert 1.0 == rate_of([0.2, 0.35, 0.5, 0.45, 0.6, 0.8, 0.6, 0.65, 0.4, 0.2, 0.2])


def test_times_count_not_frames() -> None:
    """By the container's times: ten changes within 0.9 s are five flashes, a second apart each they are none;
    and the busiest second counts, wherever it is."""
    luma = [0.1, 0.9] * 5 + [0.1]
    assert 5.0 == flash_rate(luma, [0, *range(100, 1100, 100)][:11], MS)
    assert 0.0 == flash_rate(luma, range(0, 11_000, 1000), MS)
    uneven = [*range(0, 5000, 1000), 5000, 5100, 5200, 5300, 6500, 7500]
    assert 2.0 == flash_rate(luma, uneven, MS)


def test_fewer_than_two_frames() -> None:
    """Nothing can be known."""
    assert [None, None] == [rate_of([]), rate_of([0.5])]

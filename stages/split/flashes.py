"""Flashes: how often the light of a whole picture goes up and down again within a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction

# WCAG 2.3.1, "general flash": changes of a tenth of the range or more, the darker image below 0.8.
CHANGE, DARKER = 0.1, 0.8


def flash_rate(luma: Sequence[float], pts: Sequence[int], time_base: Fraction) -> float | None:
    """Most flashes within any one second; None with fewer than two frames.

    A flash is a pair of opposing changes (WCAG 2.2, 2.3.1, which allows three in a second). `luma` is the
    mean luma of each frame, 0 to 1, `pts` its time in ticks of `time_base`. The definition's relative
    luminance is linear light, and flashes count from a quarter of the central field of view on; here it is
    luma, and of the whole picture: a flash of a part of it, or of saturated red, goes unseen.
    """
    if len(luma) < 2:
        return None
    most, recent = 0, deque[int]()
    for n in _changes(luma):
        recent.append(pts[n])
        while (recent[-1] - recent[0]) * time_base >= 1:
            recent.popleft()
        most = max(most, len(recent))
    return float(most // 2)


def _changes(luma: Sequence[float]) -> list[int]:
    """The frames at which luma has risen or fallen far enough, each change opposed to the one before."""
    found: list[int] = []
    low = high = luma[0]
    up: bool | None = None
    for n, value in enumerate(luma):
        low, high = min(low, value), max(high, value)
        if up is not True and value - low >= CHANGE and low < DARKER:
            up, high = True, value
        elif up is not False and high - value >= CHANGE and value < DARKER:
            up, low = False, value
        else:
            continue
        found.append(n)
    return found

"""Which threshold to take for a precision or recall on labelled rows, or a share of all; how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from filters.handles import Side
from manifests.errors import RecipeError

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Goal = Literal["precision", "recall", "keep"]

# Two-sided 95 % of the normal distribution.
Z = 1.959964
TAIL = 0.025
RESAMPLES = 1000


@dataclass(frozen=True)
class Share:
    """A share of `n` rows with its 95 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """A threshold for a goal: the value and its 95 % interval, and what it gives on the rows it was found on.

    `precision` and `recall` are null without labels; `low` or `high` where the rows are too few to bound that
    end.
    """

    goal: Goal
    target: float
    value: float
    low: float | None
    high: float | None
    rows: int
    kept: Share
    precision: Share | None = None
    recall: Share | None = None


def wilson(hits: int, n: int) -> Share:
    """The share of hits among n, with its 95 % interval; 0 to 1 of none."""
    if n == 0:
        return Share(math.nan, 0.0, 1.0, 0)
    share, z2 = hits / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Share(share, max(0.0, middle - reach), min(1.0, middle + reach), n)


def to_share(values: Values, share: float, side: Side) -> Calibration:
    """The threshold that at least this share of the known values meets (as `filters.shares`); its interval
    covers that of all rows that these are a sample of, at least 95 times in 100.

    How many of n rows meet the true threshold is binomial; the ends are the order statistics that leave at
    most 2.5 % beyond either (David and Nagaraja, Order Statistics, 2003, 7.1), null where there is none.
    """
    known = _ordered(values, side)
    _within("keep", share)
    if not len(known):
        raise RecipeError("no row has a known value; nothing to calibrate on")
    n = len(known)
    at = math.ceil(share * n - 1e-9) - 1
    below = _binomial(n, share)
    first, last = int((below <= TAIL).sum()) - 1, int((below < 1 - TAIL).sum())
    tight = float(known[first]) if first >= 0 else None
    loose = float(known[last]) if last < n else None
    low, high = (loose, tight) if side == "min" else (tight, loose)
    kept = int(_meets(known, float(known[at]), side).sum())
    return Calibration("keep", share, float(known[at]), low, high, n, wilson(kept, n))


def _binomial(n: int, share: float) -> Values:
    """The odds of 0, at most 1, …, at most n hits among n draws."""
    if share == 1:
        return np.append(np.zeros(n), 1.0)
    hits = np.arange(n)
    steps = np.log((n - hits) / (hits + 1)) + math.log(share / (1 - share))
    odds = np.exp(np.append(0.0, np.cumsum(steps)) + n * math.log1p(-share))
    total: Values = np.cumsum(odds) / odds.sum()
    return total


def to_goal(values: Values, good: Mask, goal: Goal, target: float, side: Side) -> Calibration:
    """The threshold for labelled rows: of those that reach the precision the one that keeps most, of those
    that reach the recall the one that keeps least.

    `values` and `good` are of the same rows; rows of unknown value are left out. The interval of the value is
    that of 1000 bootstrap resamples (Efron 1979; percentiles, a fixed seed). Raises RecipeError when no
    threshold reaches the goal, or labels of one kind only are there.
    """
    _within(goal, target)
    known = np.isfinite(values)
    values, good = values[known], good[known]
    if not good.any() or good.all():
        raise RecipeError(
            f"{int(good.sum())} good and {int((~good).sum())} bad rows with a known value are labelled; a "
            f"threshold needs some of both: vote on the page, or name --labels"
        )
    found = _best(values, good, goal, target, side)
    if math.isnan(found):
        best = max(p for _, p, _ in curve(values, good, side))
        raise RecipeError(
            f"no threshold reaches {goal} {target:g} on {len(values)} labelled rows; the best is {best:.3f}"
        )
    low, high = _interval(values, good, lambda v, g: _best(v, g, goal, target, side))
    meets = _meets(values, found, side)
    return Calibration(
        goal,
        target,
        found,
        min(low, found),
        max(high, found),
        rows=len(values),
        kept=wilson(int(meets.sum()), len(values)),
        precision=wilson(int((meets & good).sum()), int(meets.sum())),
        recall=wilson(int((meets & good).sum()), int(good.sum())),
    )


def curve(values: Values, good: Mask, side: Side) -> list[tuple[float, float, float]]:
    """(threshold, precision, recall) at each distinct value, from the one that keeps least on."""
    if not len(values):
        return []
    order = np.argsort(-values if side == "min" else values, kind="stable")
    ordered, hits = values[order], np.cumsum(good[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    total = max(int(hits[-1]), 1)
    return [(float(ordered[n]), float(hits[n] / (n + 1)), float(hits[n] / total)) for n in last]


def _best(values: Values, good: Mask, goal: Goal, target: float, side: Side) -> float:
    points = np.array(curve(values, good, side))
    if not len(points):
        return math.nan
    reached = np.flatnonzero(points[:, 1 if goal == "precision" else 2] >= target - 1e-9)
    if not len(reached):
        return math.nan
    return float(points[reached[-1] if goal == "precision" else reached[0], 0])


def _interval(values: Values, good: Mask, found: Callable[[Values, Mask], float]) -> tuple[float, float]:
    draw, n = np.random.default_rng(0), len(values)
    made = [found(values[at], good[at]) for at in (draw.integers(0, n, n) for _ in range(RESAMPLES))]
    low, high = np.nanpercentile(made, [2.5, 97.5])
    return float(low), float(high)


def _meets(values: Values, threshold: float, side: Side) -> Mask:
    return values >= threshold if side == "min" else values <= threshold


def _ordered(values: Values, side: Side) -> Values:
    """The known values, best first."""
    known = np.sort(values[np.isfinite(values)])
    return known[::-1] if side == "min" else known


def _within(goal: Goal, target: float) -> None:
    if not 0 < target <= 1:
        raise RecipeError(f"{goal} is {target:g}, expected more than 0, at most 1")

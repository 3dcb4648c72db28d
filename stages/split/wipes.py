"""Wipes: how the front between two scenes runs over the picture, and so when it enters and when it leaves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stages.split.eyes import CELLS

Pixels = np.ndarray[Any, Any]
# In a wipe most cells that change much are at either end of their way; in a dissolve at most six in ten are.
WIPE_SHARE, _FAR, _FEW = 0.63, 16.0, 40
# Frames beside the transition that the two scenes are taken from, and those by which its ends may move.
PAD, _OUT, _IN = 6, 12, 6
# A front that cells miss by more frames than this (median) is none of those known here.
_MOST_MISS = 2.0


def is_wipe(cells: Pixels) -> bool:
    """Whether cells (frames, n) between the first and the last frame are mostly all old or all new."""
    way = cells[-1] - cells[0]
    far = np.abs(way) > _FAR
    if np.count_nonzero(far) < _FEW // 2:
        return False
    between = cells[[len(cells) * n // 4 for n in (1, 2, 3)]][:, far]
    gone = (between - cells[0][far]) / way[far]
    return float(((gone < 0.2) | (gone > 0.8)).mean()) > WIPE_SHARE


def swept(cells: Pixels, first: int, end: int) -> tuple[int, int]:
    """The frames [first, end) of a wipe, given about, in `cells` (frames, luma cells 18 x 32 and more) that
    begin PAD frames before it and end as many behind.

    The time at which each cell turns from old to new is fitted by fronts that are straight, round about the
    middle, or turn like a clock's hand; the picture's corners say when that front enters and leaves.
    """
    luma = cells[:, : CELLS[0] * CELLS[1]]
    old, new = luma[: max(1, first - PAD // 2)].mean(0), luma[min(len(luma) - 1, end + PAD // 2) :].mean(0)
    far = np.abs(new - old) > _FAR
    if np.count_nonzero(far) < _FEW:
        return first, end
    gone = (luma[:, far] - old[far]) / (new - old)[far]
    turned = (gone < 0.5).sum(0).astype(float)
    fits = [_fit(places[far], corners, turned) for places, corners in _FRONTS]
    miss, enters, leaves, near = min(fits, key=lambda fit: fit[0])
    if miss > _MOST_MISS:
        return first, end
    soft = float(np.median(((gone > 0.15) & (gone < 0.85))[:, near].sum(0))) / 2
    begin = min(max(round(enters - soft), first - _OUT), first + _IN)
    stop = max(min(round(leaves + soft), end + _OUT), end - _IN)
    return (begin, stop) if stop > begin else (first, end)


def _fit(places: Pixels, corners: Pixels, turned: Pixels) -> tuple[float, float, float, Pixels]:
    """Least squares, outliers left out: (median miss in frames, first time in the picture, last, which
    fit)."""
    near = np.ones(len(turned), bool)
    for _ in range(4):
        weights, *_rest = np.linalg.lstsq(places[near], turned[near], rcond=None)
        misses = np.abs(places @ weights - turned)
        near = misses < max(1.0, 2.5 * float(np.median(misses)))
    times = corners @ weights
    return float(np.median(misses)), float(times.min()), float(times.max()), near


def _fronts() -> list[tuple[Pixels, Pixels]]:
    """Of each kind of front what its time depends on, by cell and at the ends of the picture."""
    width, height = CELLS
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = ((columns + 0.5) / width).ravel(), ((rows + 0.5) / height).ravel()
    across, down, one = (x - 0.5) * 16 / 9, y - 0.5, np.ones(width * height)
    turn = np.arctan2(across, -down) % (2 * math.pi) / (2 * math.pi)
    corner = math.hypot(8 / 9, 0.5)
    return [
        (np.stack([one, x, y], 1), np.array([[1, a, b] for a in (0, 1) for b in (0, 1)])),
        (np.stack([one, np.hypot(across, down)], 1), np.array([[1, 0], [1, corner]])),
        (np.stack([one, turn], 1), np.array([[1, 0], [1, 1]])),
    ]


_FRONTS = _fronts()

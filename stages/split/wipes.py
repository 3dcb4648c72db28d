"""Wipes: how the front between two scenes runs over the picture, and so when it enters and when it leaves."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from stages.split.eyes import CELLS, CHROMA
from stages.split.window import Window

Pixels = np.ndarray[Any, Any]
# In a wipe so many of the cells that change are all old or all new at any time; in a dissolve few are.
_SHARP, _OLD = 0.7, 0.2
# A cell changes when it goes by more levels than these, of luma and of chroma; fewer cells tell nothing.
_FAR_LUMA, _FAR_CHROMA, _FEW = 16.0, 8.0, 60
# A cell turns at one time when that explains so much of its variance.
_EXPLAINED = 0.6
# A front is one when so many of all cells turn, when so many of those that change do so within these frames
# of it, and half of those that turn within fewer; and it takes some frames to pass.
_TURN, _FOLLOW, _NEAR, _CLOSE, _SHORTEST = 0.2, 0.35, 2.5, 1.0, 5
# Frames beside a front that show the two scenes, and how much longer it may be than the span first seen.
PAD, _LONGER = 8, 36
# How often a front is fitted to the frames that the fit before calls its own, where so many cells follow it.
_ROUNDS, _FAINT = 3, 0.1


class Front(NamedTuple):
    """How a front passes: the frames at which it enters and leaves the picture, the share of all cells that
    turn, that of the changing ones that follow it, and by how many frames half of those that turn miss it."""

    enters: float
    leaves: float
    turn: float
    follow: float
    miss: float

    @property
    def passes(self) -> bool:
        return (
            self.turn >= _TURN
            and self.follow >= _FOLLOW
            and self.miss <= _CLOSE
            and self.leaves - self.enters >= _SHORTEST
        )


def may_sweep(window: Window, first: int, last: int) -> bool:
    """Whether most cells that change between two frames are all old or all new between them."""
    cells = window.cells(np.linspace(first, last, 5).astype(int))
    way = cells[-1] - cells[0]
    far = np.abs(way) > _LIMITS
    if np.count_nonzero(far) < _FEW:
        return False
    gone = (cells[1:4, far] - cells[0, far]) / way[far]
    return float(((gone < _OLD) | (gone > 1 - _OLD)).mean()) > _SHARP


def swept(window: Window, first: int, last: int, low: int, high: int) -> tuple[int, int] | None:
    """The frames [first, end) of the wipe near frames `first` to `last`; none where no front passes. Frames
    before `low` and from `high` on belong to other shots."""
    front, seen = None, (0, 0)
    near = (max(low, first - PAD), min(high, last + PAD + 1))
    for _ in range(_ROUNDS):
        if near == seen or near[1] - near[0] < PAD:
            break
        seen, front = near, _fitted(window.cells(np.arange(*near)), near[0])
        if front is None or front.leaves - front.enters < _SHORTEST - 1 or front.follow < _FAINT:
            return None
        near = (
            max(int(front.enters) - PAD, first - _LONGER, low),
            min(int(front.leaves) + PAD + 1, last + _LONGER, high),
        )
    if front is None or not front.passes:
        return None
    # A cell turns at its first new frame: the first one at the first mixed frame, the last one behind them.
    return max(low, round(front.enters + 0.5)), min(high, round(front.leaves - 0.5))


def _fitted(cells: Pixels, begin: int) -> Front | None:
    """The front that most of the cells (frames from `begin` on, 864) follow: straight, round about the
    middle, or turning like a clock's hand. The picture's corners say when it enters and leaves."""
    turned, explained, far = _turns(cells - cells[0])
    turns = far & (explained > _EXPLAINED)
    if np.count_nonzero(turns) < _FEW:
        return None
    found = []
    for places, corners in _FRONTS:
        misses, weights = _fit(places[turns], turned[turns])
        times = begin + corners @ weights
        follow = float((misses < _NEAR).sum() / far.sum())
        miss = float(np.median(misses))
        found.append(Front(times.min(), times.max(), float(turns.mean()), follow, miss))
    return max(found, key=lambda front: front.follow)


def _turns(cells: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Of each cell the first frame of its new level, the share of its variance that a single step at that
    frame explains, and whether the step is a large one."""
    count, at = len(cells), np.arange(1, len(cells), dtype=np.float32)[:, None]
    sums = np.cumsum(cells, 0)
    apart = sums[:-1] - sums[-1] * (at / count)
    weight = count / (at * (count - at))
    best = (apart * apart * weight).argmax(0)
    off, weight = apart[best, np.arange(cells.shape[1])], weight[best, 0]
    variance = np.square(cells).sum(0) - np.square(sums[-1]) / count
    return best + 1.0, off * off * weight / np.maximum(variance, 1e-3), np.abs(off) * weight > _LIMITS


def _fit(places: Pixels, turned: Pixels) -> tuple[Pixels, Pixels]:
    """Least squares, outliers left out: by how many frames each cell misses the front, and its weights."""
    near = np.ones(len(turned), bool)
    for _ in range(4):
        some, times = places[near], turned[near]
        weights = np.linalg.solve(some.T @ some + 1e-6 * np.eye(some.shape[1]), some.T @ times)
        misses = np.abs(places @ weights - turned)
        near = misses < max(1.0, 2.5 * float(np.median(misses)))
    return misses, weights


def _places(size: tuple[int, int]) -> Pixels:
    """(cells, 2): across and down, of the middle of each cell, 0 to 1."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    return np.stack([(columns.ravel() + 0.5) / size[0], (rows.ravel() + 0.5) / size[1]], 1)


def _fronts() -> list[tuple[Pixels, Pixels]]:
    """Of each kind of front what its time depends on, by cell and at the ends of the picture."""
    x, y = np.concatenate([_places(CELLS), _places(CHROMA), _places(CHROMA)]).T
    across, down, one = (x - 0.5) * 16 / 9, y - 0.5, np.ones(len(x))
    turn = np.arctan2(across, -down) % (2 * math.pi) / (2 * math.pi)
    corner = math.hypot(8 / 9, 0.5)
    return [
        (np.stack([one, x, y], 1), np.array([[1, a, b] for a in (0, 1) for b in (0, 1)])),
        (np.stack([one, np.hypot(across, down)], 1), np.array([[1, 0], [1, corner]])),
        (np.stack([one, turn], 1), np.array([[1, 0], [1, 1]])),
    ]


_FRONTS = _fronts()
_LIMITS = np.repeat(np.array([_FAR_LUMA, _FAR_CHROMA], np.float32), [math.prod(CELLS), 2 * math.prod(CHROMA)])

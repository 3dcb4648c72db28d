"""Wipes: how the front between two scenes runs over the picture, and so when it enters and when it leaves."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import cv2
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
# of it, and half of those that turn within fewer, and within a share of the frames by which they are spread.
_TURN, _FOLLOW, _NEAR, _CLOSE, _CLOSE_SHARE = 0.2, 0.35, 2.5, 1.5, 0.35
# It takes some frames to pass, and may be longer by these than the span first seen.
_SHORTEST, _LONGER = 5, 36
# All but the first and last twentieth of its followers turn in so much of that time: it runs over the whole
# picture, not over a part of it.
_TWENTIETH, _WHOLE = 20, 0.6
# Frames beside a front that show the two scenes.
PAD = 8
# How often a front is fitted to the frames that the fit before calls its own, where so many cells follow it.
_ROUNDS, _FAINT = 3, 0.1
# Frames before and after it turns in which a cell may be between the scenes; of a sharp edge two are, by the
# cell's own width, and a soft one is wider than where it is well between them.
_EDGE, _SHARP_EDGE, _WIDER = 16, 2, 1.5


class Front(NamedTuple):
    """How a front passes: the frames at which it enters and leaves the picture, the share of the changing
    cells that follow it, by how many frames half of those that turn miss it and by how many they are spread;
    then the followers' numbers and the frame at which each turns."""

    enters: float
    leaves: float
    follow: float
    miss: float
    spread: float
    followers: Pixels
    turned: Pixels

    @property
    def passes(self) -> bool:
        return (
            self.follow >= _FOLLOW
            and self.miss <= min(_CLOSE, _CLOSE_SHARE * self.spread)
            and self.leaves - self.enters >= _SHORTEST
            and self._seen() >= _WHOLE * (self.leaves - self.enters)
        )

    def _seen(self) -> float:
        """The frames in which nearly all followers turn."""
        rank = len(self.turned) // _TWENTIETH
        ordered = np.partition(self.turned, (rank, -1 - rank))
        return float(ordered[-1 - rank] - ordered[rank])


class Sweep(NamedTuple):
    """A wipe over frames [first, end), and the share of the changing cells that follow its front."""

    follow: float
    first: int
    end: int


def may_sweep(window: Window, first: int, last: int) -> bool:
    """Whether most cells that change between two frames are all old or all new between them."""
    cells = window.cells(first + (last - first) * np.arange(5) // 4)
    way = cells[-1] - cells[0]
    far = np.abs(way) > _LIMITS
    if np.count_nonzero(far) < _FEW:
        return False
    gone = (cells[1:4, far] - cells[0, far]) / way[far]
    return float(((gone < _OLD) | (gone > 1 - _OLD)).mean()) > _SHARP


def swept(window: Window, first: int, last: int, low: int, high: int) -> Sweep | None:
    """The wipe near frames `first` to `last`; none where no front passes. Frames
    before `low` and from `high` on belong to other shots."""
    front, seen = None, (0, 0)
    near = (max(low, first - PAD), min(high, last + PAD + 1))
    for _ in range(_ROUNDS):
        if near == seen or near[1] - near[0] < PAD:
            break
        seen, front = near, _fitted(window.cells(np.arange(*near)), near[0], window.aspect)
        if front is None or front.leaves - front.enters < _SHORTEST - 1 or front.follow < _FAINT:
            return None
        near = (
            max(int(front.enters) - PAD, first - _LONGER, low),
            min(int(front.leaves) + PAD + 1, last + _LONGER, high),
        )
    if front is None or not front.passes:
        return None
    soft = _softness(window.cells(np.arange(*seen))[:, front.followers], front.turned) / 2
    # A cell turns at its first new frame: the first one at the first mixed frame, the last one behind them.
    enters, leaves = round(front.enters + 0.5 - soft), round(front.leaves - 0.5 + soft)
    # What lies outside of what was looked at is a guess, but where the film begins or ends.
    if (enters < seen[0] and seen[0] > low) or (leaves > seen[1] and seen[1] < high):
        return None
    return Sweep(front.follow, max(low, enters), min(high, leaves))


def _fitted(cells: Pixels, begin: int, aspect: float) -> Front | None:
    """The front that most of the cells (frames from `begin` on, 864) follow. The picture's corners say when
    it enters and leaves."""
    turned, explained, far = _turns(cells - cells[0])
    turns = np.flatnonzero(far & (explained > _EXPLAINED))
    if len(turns) < _TURN * len(far):
        return None
    at, found = turned[turns], []
    spread = _median(np.abs(at - _median(at)))
    if spread < _SHORTEST / 4:
        return None
    for places, corners in _fronts(aspect):
        misses, weights = _fit(places[turns], at)
        near, times = misses < _NEAR, begin + corners @ weights
        follow, miss = float(near.sum() / far.sum()), _median(misses)
        found.append(Front(times.min(), times.max(), follow, miss, spread, turns[near], at[near]))
    return max(found, key=lambda front: front.follow)


def _softness(cells: Pixels, turned: Pixels) -> float:
    """How many frames a soft edge takes to pass a place: how long cells (frames, n), laid over one another by
    the frames at which they turn, are neither old nor new."""
    at, columns = turned.astype(int), np.arange(len(turned))
    sums = np.cumsum(cells, 0)
    old = sums[at - 1, columns] / at
    new = (sums[-1] - sums[at - 1, columns]) / (len(cells) - at)
    rows = np.clip(at + np.arange(-_EDGE, _EDGE + 1)[:, None], 0, len(cells) - 1)
    gone = np.median((cells[rows, columns] - old) / (new - old), 1)
    between = int(np.count_nonzero((gone > 0.1) & (gone < 0.9)))
    return max(0, between - _SHARP_EDGE) * _WIDER


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
    near, ridge = np.ones(len(turned), bool), 1e-6 * np.eye(places.shape[1])
    for _ in range(4):
        some, times = places[near], turned[near]
        # OpenCV's own takes a sixth of NumPy's time for so few unknowns.
        _, found = cv2.solve(some.T @ some + ridge, some.T @ times[:, None], flags=cv2.DECOMP_CHOLESKY)
        weights = found[:, 0]
        misses = np.abs(places @ weights - turned)
        near = misses < max(1.0, 2.5 * _median(misses))
    return misses, weights


def _median(values: Pixels) -> float:
    """The upper one of two; NumPy's own takes most of its time to look for what is no number."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _places(size: tuple[int, int]) -> Pixels:
    """(cells, 2): across and down, of the middle of each cell, 0 to 1."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    return np.stack([(columns.ravel() + 0.5) / size[0], (rows.ravel() + 0.5) / size[1]], 1)


@functools.lru_cache(maxsize=16)
def _fronts(aspect: float) -> list[tuple[Pixels, Pixels]]:
    """Of each kind of front what its time depends on, by cell and at the ends of a picture that is so many
    times as wide as it is high: straight ones, doors that open or close, one that is round about the middle,
    one that turns like a clock's hand."""
    x, y = np.concatenate([_places(CELLS), _places(CHROMA), _places(CHROMA)]).T
    across, down, one = (x - 0.5) * aspect, y - 0.5, np.ones(len(x))
    turn = np.arctan2(across, -down) % (2 * math.pi) / (2 * math.pi)
    straight = np.stack([one, x, y], 1), np.array([[1, a, b] for a in (0, 1) for b in (0, 1)])
    ways = np.abs(x - 0.5), np.abs(down), np.hypot(across, down), turn
    ends = 0.5, 0.5, math.hypot(aspect / 2, 0.5), 1.0
    others = (
        (np.stack([one, way], 1), np.array([[1, 0], [1, end]])) for way, end in zip(ways, ends, strict=True)
    )
    return [straight, *others]


_LIMITS = np.repeat(np.array([_FAR_LUMA, _FAR_CHROMA], np.float32), [math.prod(CELLS), 2 * math.prod(CHROMA)])

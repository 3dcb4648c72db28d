"""Dissolves and wipes: spans in which every cell goes from one scene to another and on no detour."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from stages.split.alike import alike, moved
from stages.split.fades import EMPTY
from stages.split.window import ALL_CELLS, FRAMES, Pixels, Window
from stages.split.wipes import may_sweep, swept

# Lengths of span that are looked at, in frames; a transition is found by the lengths near its own.
LENGTHS = (6, 10, 16, 24, 36, 54)
LONGEST, _LENGTHS = LENGTHS[-1], np.array(LENGTHS)
# What takes longer than this to become another picture is no transition.
LONGEST_S = 2.2
# The ends of a span must be this far apart, in levels, and farther than those of its neighbours.
LEAST_FAR = 6.0
# Places within a span at which the way from one end to the other is looked at.
PLACES = 8
# A component of spans longer than this is settled without waiting for its end.
_PATIENCE = 200
# A single step that is so large a share of the whole way is a flash, a card or a cut.
MOST_JUMP = 0.5
# How the evidence is weighed (a logistic regression on spans of composed films); a span counts from
# LEAST_ODDS on.
WEIGHTS = {
    "one": 5.27,
    "jump": -19.18,
    "far": 1.72,
    "straight": 6.19,
    "long": -0.84,
    "alike": -19.78,
    "moved": -1.41,
}
LEAST_ODDS = 1.5
# The two scenes are less alike than this.
MOST_ALIKE = 0.7
# The ends of a ramp are followed while it has this share of its mean pace, by so many frames at most.
SLOW, _FARTHEST = 0.25, 12


@dataclass(frozen=True)
class Span:
    """Frames `first` (still the old shot) to `last` (already the new one), by whatever odds; `sweeps` is
    whether a front may pass."""

    odds: float
    first: int
    last: int
    sweeps: bool


@dataclass
class Gradual:
    """Finds transitions in a window; `add` is told of each frame once it is known whether it is a cut."""

    window: Window
    since: int = 0
    seen: int = 0
    _told: int = 0
    _spans: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._far = {length: [0.0] * FRAMES for length in LENGTHS}

    def add(self, n: int, cut: bool) -> Iterator[tuple[int, int]]:
        """Frame n is known, and whether a cut stands before it. Yields transitions that became certain, as
        frames [first, end) in which both shots mix."""
        if cut:
            yield from self._all(n, wall=n)
            self.since = n
        self.seen = n + 1
        apart = self.window.far_back(n, _LENGTHS)
        for (length, far), now in zip(self._far.items(), apart, strict=True):
            first, peak = n - length, n - length // 2
            far[n % FRAMES] = now if first >= self.since else 0.0
            value = far[peak % FRAMES]
            if value >= LEAST_FAR and value >= far[(peak + 1) % FRAMES]:
                self._look(length, peak, n + 1)
        if self._spans:
            yield from self._settled(n - LONGEST - LONGEST // 2)

    def rest(self) -> Iterator[tuple[int, int]]:
        """What is left when the film is over."""
        yield from self._all(self.seen)

    def _all(self, end: int, wall: float = math.inf) -> Iterator[tuple[int, int]]:
        """A cut before frame `end`, or the film's end: nothing later can count."""
        for length in self._far:
            for last in range(max(self.since + length, end - length // 2), end):
                self._look(length, last, end)
        yield from self._settled(end + 1, wall)

    def _look(self, length: int, last: int, end: int) -> None:
        """Weigh the span of this length up to frame `last`, if its ends are farther apart than those of its
        neighbours."""
        first, half, series = last - length, length // 2, self._far[length]
        far = series[last % FRAMES]
        if first < self.since or far < LEAST_FAR:
            return
        if length > LENGTHS[1] and self.window.seconds(first, last) > LONGEST_S:
            return
        low, high = max(self.since + length, last - half), min(end, last + half + 1)
        if any(series[n % FRAMES] >= far for n in range(low, last)):
            return
        if any(series[n % FRAMES] > far for n in range(last + 1, high)):
            return
        odds, sweeps = weigh(self.window, first, last), may_sweep(self.window, first, last)
        if odds > LEAST_ODDS or sweeps:
            self._spans.append(Span(odds, first, last, sweeps))

    def _settled(self, before: int, wall: float = math.inf) -> Iterator[tuple[int, int]]:
        """The best of each group of overlapping spans that no later span can join; `wall` is a cut behind
        them."""
        self._spans.sort(key=lambda span: span.first)
        while self._spans:
            end, count = self._spans[0].last, 0
            while count < len(self._spans) and self._spans[count].first < end:
                end = max(end, self._spans[count].last)
                count += 1
            if end > before and end - self._spans[0].first < _PATIENCE:
                return
            group, self._spans = self._spans[:count], self._spans[count:]
            yield from self._chosen(group, wall)

    def _chosen(self, group: list[Span], wall: float) -> Iterator[tuple[int, int]]:
        """Of spans that overlap the wipes that most follow, then those of the best odds."""
        taken: list[tuple[int, int]] = []
        low, high = max(self.since, self.window.oldest), int(min(self.seen, wall))

        def take(first: int, end: int) -> None:
            # Of a transition some frames before and behind must be of one shot alone.
            pure = not (self.since and first <= self.since + 1) and self._told <= first and end < wall - 1
            free = pure and not _meets(taken, first, end)
            if free and not self.window.one_scene(*self._around(first, end), MOST_ALIKE):
                taken.append((first, end))

        sweeping = (swept(self.window, s.first, s.last, low, high) for s in group if s.sweeps)
        for sweep in sorted((s for s in sweeping if s), reverse=True):
            if self.window.seconds(sweep.first, sweep.end - 1) <= LONGEST_S:
                take(sweep.first, sweep.end)
        for span in sorted(group, key=lambda span: (-span.odds, span.first)):
            if span.odds > LEAST_ODDS and not _meets(taken, span.first, span.last):
                first, end = edges(self.window, span, self.since, self.seen)
                # The ramp may be far shorter than the span: a change of the light while a camera pans.
                if weigh(self.window, *self._around(first, end)) > LEAST_ODDS:
                    take(first, end)
        self._told = max([self._told, *(end for _, end in taken)])
        yield from sorted(taken)

    def _around(self, first: int, end: int) -> tuple[int, int]:
        return max(first - 1, self.window.oldest), min(end, self.seen - 1)


def _meets(taken: list[tuple[int, int]], first: int, end: int) -> bool:
    return any(first < other_end and other < end for other, other_end in taken)


def weigh(window: Window, first: int, last: int) -> float:
    """The log odds that frames `first` to `last` hold a dissolve or a wipe. Where even the best of what is
    dear to compute could not win any more, it is left out."""
    odds = 0.0
    for name, value in evidence(window, first, last):
        odds += WEIGHTS[name] * value
        if odds + _MOST_AFTER.get(name, math.inf) < LEAST_ODDS:
            break
    return odds


# What can still be gained after a piece of evidence: pictures cannot be less alike than not at all.
_MOST_AFTER = {"long": -0.6 * WEIGHTS["alike"], "alike": 0.0}


def evidence(window: Window, first: int, last: int) -> Iterator[tuple[str, float]]:
    """What speaks for and against, by the names of WEIGHTS, cheap pieces first; nothing for a jump, nor
    between two empty pictures."""
    if max(window.contrast(first), window.contrast(last)) < EMPTY:
        return
    total = max(1.0, window.far(first, last) * ALL_CELLS)
    jump, size = window.jump(first, last) * ALL_CELLS / total, math.log((last - first) / 16)
    if jump >= MOST_JUMP:
        return
    yield "one", 1.0
    yield "jump", jump
    yield "far", math.log(total / ALL_CELLS / 20)
    way = window.cells(first + _places(last - first))
    yield "straight", total / max(1.0, float(np.abs(np.diff(way, axis=0)).sum())) - 0.7
    yield "long", size
    yield "alike", alike(window.grid(first), window.grid(last)) - 0.6
    quarters = [window.grid(round(first + (last - first) * n / 4)) for n in range(5)]
    yield "moved", 5 * sum(moved(before, after) for before, after in pairwise(quarters)) / 4


@functools.lru_cache(maxsize=64)
def _places(length: int) -> Pixels:
    return np.unique(np.round(np.linspace(0, length, PLACES + 1)).astype(int))


def edges(window: Window, span: Span, low: int, high: int) -> tuple[int, int]:
    """The frames [first, end) that are neither all of the old shot nor all of the new one.

    The share of the way that each frame has gone is fitted by a straight ramp; where it goes on beyond, if
    only slowly, the span does too.
    """
    room = max(8, span.last - span.first)
    from_, to = max(low, span.first - room, window.oldest), min(high - 1, span.last + room)
    cells = window.cells(np.arange(from_, to + 1))
    at, end = span.first - from_, span.last - from_
    old, new = cells[max(0, at - 2) : at + 1].mean(0), cells[end : end + 3].mean(0)
    way = new - old
    gone = np.clip((cells - old) @ way / max(1e-6, float(way @ way)), -0.3, 1.3)
    pace = np.convolve(np.diff(gone), np.full(3, 1 / 3), "same")
    first, last = _followed(pace, *_ramp(gone, at, end))
    first, stop = first + 1, max(last, first + 1)
    first = max(from_ + first, low + 1 if low else 0, window.oldest)
    return first, max(first + 1, min(from_ + stop, high))


def _followed(pace: Pixels, first: int, last: int) -> tuple[int, int]:
    """The ramp made longer at both ends, as long as there is some share of its mean pace."""
    slow = SLOW / (last - first)
    begin, end = max(0, first - _FARTHEST), min(len(pace), last + _FARTHEST)
    while first > begin and pace[first - 1] > slow:
        first -= 1
    while last < end and pace[last] > slow:
        last += 1
    return first, last


def _ramp(gone: Pixels, first: int, last: int) -> tuple[int, int]:
    """The ramp from 0 at one frame to 1 at another, near the given ones, that is nearest to `gone`."""
    length, at = last - first, np.arange(len(gone))
    step = max(1, length // 18)
    starts = np.arange(max(0, first - length // 2), first + length // 2 + 1, step)[:, None, None]
    ends = np.arange(first + length // 2, min(len(gone) - 1, last + length // 2) + 1, step)[:, None]
    ramps = np.clip((at - starts) / np.maximum(ends - starts, 1), 0, 1)
    misses = np.where(ends - starts >= 2, np.square(gone - ramps).mean(-1, keepdims=True), math.inf)[..., 0]
    if not np.isfinite(misses).any():
        return first, last
    start, end = np.unravel_index(int(misses.argmin()), misses.shape)
    return int(starts[start, 0, 0]), int(ends[end, 0])

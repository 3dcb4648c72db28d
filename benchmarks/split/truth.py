"""What a film's boundaries are, and how boundaries that somebody found are counted against them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

# Frames by which each end of a found gradual boundary may differ from truth's (the bar).
COVER_FRAMES = 4
# What happens in films without being a boundary.
EVENTS = ("flash", "pan", "zoom", "fast", "text", "light", "shake")


class Boundary(NamedTuple):
    """Where one shot becomes the next.

    Of a cut (`cut` in truth, `hard` when found) first and end are the first frame of the new shot; of any
    other, [first, end) are the frames that show neither the old shot alone nor the new one alone.
    """

    kind: str
    first: int
    end: int


class Event(NamedTuple):
    """Frames [first, end) of one shot in which something happens that is no boundary."""

    kind: str
    first: int
    end: int


@dataclass
class Score:
    """Counts of one or several films; `score` states the rules.

    `gradual` holds (in truth, found, covered) by kind, `events` (in truth, hit, false boundaries in them).
    """

    hits: int = 0
    missed: int = 0
    false: int = 0
    gradual: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    events: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def precision(self) -> float:
        return _share(self.hits, self.hits + self.false)

    @property
    def recall(self) -> float:
        return _share(self.hits, self.hits + self.missed)

    @property
    def f1(self) -> float:
        return _share(2 * self.hits, 2 * self.hits + self.false + self.missed)

    def covered(self, kind: str | None = None) -> float:
        """The share of true gradual transitions (of one kind, or all) whose span was covered."""
        return self._gradual(kind, 2)

    def found(self, kind: str | None = None) -> float:
        """The share of true gradual transitions (of one kind, or all) that were found at all."""
        return self._gradual(kind, 1)

    def _gradual(self, kind: str | None, place: int) -> float:
        counts = [count for name, count in self.gradual.items() if kind in (None, name)]
        return _share(sum(count[place] for count in counts), sum(count[0] for count in counts))

    def as_dict(self) -> dict[str, Any]:
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**asdict(self), **shares, "gradual_found": self.found(), "gradual_covered": self.covered()}


def score(
    found: Iterable[Boundary], truth: Iterable[Boundary], tolerance: int = 1, events: Iterable[Event] = ()
) -> Score:
    """Count found boundaries (kind `hard` or `gradual`) against true ones.

    1. A found hard boundary and a true cut at most `tolerance` frames apart are a hit: one to one, nearest
       pairs first.
    2. A found gradual boundary finds the true gradual transition with which it shares most frames, one to
       one; it covers it when each end is at most COVER_FRAMES from truth's.
    3. A hard boundary left over inside a true gradual transition (or `tolerance` from it) that nothing found
       yet finds it without covering it: one for each transition.
    4. Whatever is left over is false, of whichever kind and wherever: a gradual boundary at a true cut, too.
    5. A true cut without a hit is missed. Precision = hits / (hits + false), recall = hits / (hits +
       missed).
    6. An event is hit by each false boundary that touches it (or is `tolerance` from it).
    """
    true = sorted(truth, key=lambda b: b.first)
    cuts = [b for b in true if b.kind == "cut"]
    slow = [b for b in true if b.kind != "cut"]
    hard = [b for b in found if b.kind == "hard"]
    soft = [b for b in found if b.kind == "gradual"]
    hits = _nearest_pairs(hard, cuts, tolerance)
    spans = _widest_pairs(soft, slow)
    loose = [n for n in range(len(hard)) if n not in hits]
    inside = _inside([hard[n].first for n in loose], slow, taken=set(spans.values()), tolerance=tolerance)
    wrong = [hard[loose[n]] for n in range(len(loose)) if n not in inside]
    wrong += [b for n, b in enumerate(soft) if n not in spans]
    covering = {slow[t] for n, t in spans.items() if _covers(soft[n], slow[t])}
    touched = {slow[t] for t in (*spans.values(), *inside.values())}
    return Score(
        hits=len(hits),
        missed=len(cuts) - len(hits),
        false=len(wrong),
        gradual=_by_kind(slow, touched, covering),
        events=_event_hits(wrong, events, tolerance),
    )


def together(scores: Sequence[Score]) -> Score:
    """The counts of several films added up."""
    whole = Score()
    for one in scores:
        whole.hits += one.hits
        whole.missed += one.missed
        whole.false += one.false
        whole.gradual = _added(whole.gradual, one.gradual)
        whole.events = _added(whole.events, one.events)
    return whole


Counts = dict[str, tuple[int, int, int]]


def _added(left: Counts, right: Counts) -> Counts:
    zero = (0, 0, 0)
    kinds = sorted({*left, *right})
    return {
        kind: (
            left.get(kind, zero)[0] + right.get(kind, zero)[0],
            left.get(kind, zero)[1] + right.get(kind, zero)[1],
            left.get(kind, zero)[2] + right.get(kind, zero)[2],
        )
        for kind in kinds
    }


def _nearest_pairs(hard: Sequence[Boundary], cuts: Sequence[Boundary], tolerance: int) -> dict[int, int]:
    """Found index -> true index."""
    apart = sorted(
        (abs(f.first - t.first), t.first, f.first, i, j)
        for i, f in enumerate(hard)
        for j, t in enumerate(cuts)
        if abs(f.first - t.first) <= tolerance
    )
    return _one_to_one((i, j) for *_, i, j in apart)


def _widest_pairs(soft: Sequence[Boundary], slow: Sequence[Boundary]) -> dict[int, int]:
    """Found index -> true index."""
    shared = sorted(
        (-(min(f.end, t.end) - max(f.first, t.first)), t.first, f.first, i, j)
        for i, f in enumerate(soft)
        for j, t in enumerate(slow)
        if min(f.end, t.end) > max(f.first, t.first)
    )
    return _one_to_one((i, j) for *_, i, j in shared)


def _one_to_one(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    chosen: dict[int, int] = {}
    for i, j in pairs:
        if i not in chosen and j not in chosen.values():
            chosen[i] = j
    return chosen


def _inside(
    frames: Sequence[int], slow: Sequence[Boundary], *, taken: set[int], tolerance: int
) -> dict[int, int]:
    pairs = (
        (i, j)
        for i, frame in enumerate(frames)
        for j, t in enumerate(slow)
        if j not in taken and t.first - tolerance <= frame <= t.end + tolerance
    )
    return _one_to_one(pairs)


def _covers(one: Boundary, true: Boundary) -> bool:
    return abs(one.first - true.first) <= COVER_FRAMES and abs(one.end - true.end) <= COVER_FRAMES


def _by_kind(slow: Sequence[Boundary], touched: set[Boundary], covering: set[Boundary]) -> Counts:
    counts: Counts = {}
    for b in slow:
        true, seen, whole = counts.get(b.kind, (0, 0, 0))
        counts[b.kind] = (true + 1, seen + (b in touched), whole + (b in covering))
    return counts


def _event_hits(wrong: Sequence[Boundary], events: Iterable[Event], tolerance: int) -> Counts:
    counts: Counts = {}
    for e in events:
        there = sum(b.first <= e.end + tolerance and b.end >= e.first - tolerance for b in wrong)
        true, hit, false = counts.get(e.kind, (0, 0, 0))
        counts[e.kind] = (true + 1, hit + (there > 0), false + there)
    return counts


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0

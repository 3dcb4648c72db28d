"""Which of many clips agree frame by frame, and which are found inside a longer one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.dedup.looks import Flags, Looks, Numbers, best_part, frame_by_frame
from stages.dedup.near import Indices, Search, open_search

# Rows that are searched for at once, and pairs that are compared at once: both bound memory only.
ROWS_AT_ONCE = 256
PAIRS_AT_ONCE = 1 << 13
# With fewer frames a short clip would be found in many a longer one by chance.
LEAST_PART_FRAMES = 4

Measure = Callable[[Indices, Indices], tuple[Numbers, Numbers, Flags]]


@dataclass(frozen=True)
class Within:
    """What is near: Hamming distances up to `bits`, colour differences up to `levels`; `most` pairs a row."""

    bits: float
    levels: float
    most: int


@dataclass(frozen=True, eq=False)
class Found:
    """Pairs of row numbers, with their distances in bits and in colour levels."""

    a: Indices
    b: Indices
    bits: Numbers
    levels: Numbers

    def take(self, places: npt.NDArray[np.generic]) -> Found:
        return Found(self.a[places], self.b[places], self.bits[places], self.levels[places])


def same_moments(looks: Looks, group: Indices, within: Within, timely: Callable[..., Flags]) -> Found:
    """Pairs (a, b), b < a, of rows of `group`, which have equally many frames, that agree frame by frame.

    `timely` says of pairs of durations whether they agree. Exact: a mean within the radius has a frame
    within it, so only rows that meet in a frame are compared.
    """
    positions = range(int(looks.counts[group].max(initial=0)))
    held = [group[looks.known[group, n]] for n in positions]
    searches = [
        open_search(looks.hashes[rows, n], int(within.bits)) for n, rows in zip(positions, held, strict=True)
    ]

    def measure(a: Indices, b: Indices) -> tuple[Numbers, Numbers, Flags]:
        bits, levels = frame_by_frame(looks, a, b)
        return bits, levels, (bits <= within.bits) & (levels <= within.levels)

    found = []
    for start in range(0, len(group), ROWS_AT_ONCE):
        rows = group[start : start + ROWS_AT_ONCE]
        a, b = _unique([_meet(looks, rows, n, held[n], searches[n]) for n in positions], len(looks.counts))
        fits = (b < a) & timely(looks.durations_s[a], looks.durations_s[b])
        found.append(_measured(measure, a[fits], b[fits], within.most))
    return joined(found)


def parts(looks: Looks, videos: Indices, within: Within, share: float) -> Found:
    """Pairs (shorter, longer) of videos: at least `share` of the shorter is found in the longer, in order.

    The shorter one has four hashes or more, and moves: its frames differ from those half its time later by
    more than the radius on average, as any moment of a still scene is like any other. Exact: of k frames at
    most k - share * k may go unmatched, so one of any k - share * k + 1 frames meets a frame of the longer.
    """
    places, rows = np.nonzero(looks.known[videos].T)
    holders = videos[rows]
    search = open_search(looks.hashes[holders, places], int(within.bits))
    wanted = _searched(looks, share)
    enough = looks.known[videos].sum(axis=1) >= LEAST_PART_FRAMES
    short = videos[enough & (looks.moved_bits()[videos] > within.bits)]

    def measure(a: Indices, b: Indices) -> tuple[Numbers, Numbers, Flags]:
        shares, bits, levels = best_part(looks, a, b, bits=within.bits, levels=within.levels)
        return bits, levels, shares >= share

    found = []
    for start in range(0, len(short), ROWS_AT_ONCE):
        some = short[start : start + ROWS_AT_ONCE]
        asking, place = np.nonzero(wanted[some])
        queries, held = search(looks.hashes[some[asking], place])
        a, b = _unique([(some[asking][queries], holders[held])], len(looks.counts))
        fits = looks.durations_s[a] < looks.durations_s[b]
        found.append(_measured(measure, a[fits], b[fits], within.most))
    return joined(found)


def joined(found: list[Found]) -> Found:
    none = Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
    every = [none, *found]
    return Found(
        np.concatenate([each.a for each in every]),
        np.concatenate([each.b for each in every]),
        np.concatenate([each.bits for each in every]),
        np.concatenate([each.levels for each in every]),
    )


def without(found: Found, others: Found, rows: int) -> Found:
    """Those pairs that are not among the others, either way round."""
    mine, theirs = (np.minimum(f.a, f.b) * rows + np.maximum(f.a, f.b) for f in (found, others))
    return found.take(~np.isin(mine, theirs))


def _meet(
    looks: Looks, rows: Indices, position: int, held: Indices, search: Search
) -> tuple[Indices, Indices]:
    """(row, row that holds a near hash) for the frame at one position of each row."""
    asking = rows[looks.known[rows, position]]
    queries, places = search(looks.hashes[asking, position])
    return asking[queries], held[places]


def _searched(looks: Looks, share: float) -> Flags:
    """The first frames of each row that are as many as may go unmatched, and one more."""
    known = looks.known.sum(axis=1)
    spare = known - np.ceil(share * known).astype(np.int64)
    return np.asarray(looks.known & (np.cumsum(looks.known, axis=1) <= spare[:, None] + 1), np.bool_)


def _measured(measure: Measure, a: Indices, b: Indices, most: int) -> Found:
    """Of these pairs, sorted by a, those that are near: for each a the first `most` by b."""
    found = []
    for start in range(0, len(a), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        bits, levels, near = measure(a[some], b[some])
        found.append(Found(a[some], b[some], bits, levels).take(near))
    every = joined(found)
    return every.take(np.arange(len(every.a)) - np.searchsorted(every.a, every.a) < most)


def _unique(met: list[tuple[Indices, Indices]], rows: int) -> tuple[Indices, Indices]:
    """Each pair of two different rows once, sorted."""
    keys = np.unique(np.concatenate([a * rows + b for a, b in met]))
    a, b = np.divmod(keys, rows)
    return a[a != b], b[a != b]

"""Which of many clips agree frame by frame, which are found inside a longer one, and which mean the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.dedup.looks import Flags, Looks, Numbers, best_part, frame_by_frame, in_order
from stages.dedup.meaning import Meanings, similar
from stages.dedup.near import Indices, open_search

# Rows that are searched for at once, and pairs that are compared at once: both bound memory only.
ROWS_AT_ONCE = 1024
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


@dataclass(frozen=True)
class Meant:
    """What means the same: cosines of at least `cosine`; `most` pairs a row, exact up to `flat_rows` rows."""

    cosine: float
    most: int
    flat_rows: int


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
    within it, and no row's mean colour is farther from another's than their frames are on average.
    """

    def measure(a: Indices, b: Indices) -> tuple[Numbers, Numbers, Flags]:
        bits, levels = frame_by_frame(looks, a, b)
        return bits, levels, (bits <= within.bits) & (levels <= within.levels)

    colours = looks.mean_landmarks()[group]
    found = []
    for some, near in near_colours(colours, colours, within.levels):
        for rows in _batches(group[some]):
            a, b = _unique(_met(looks, rows, group[near], within), len(looks.counts))
            fits = (b < a) & timely(looks.durations_s[a], looks.durations_s[b])
            found.append(_measured(measure, a[fits], b[fits], within.most))
    return joined(found)


def same_meanings(looks: Looks, meanings: Meanings, group: Indices, within: Meant) -> Found:
    """Pairs (a, b), b < a, of rows of `group`, with frames, whose cosine is near; distances as `in_order`."""
    a, b = similar(meanings, group, within.cosine, most=within.most, flat_rows=within.flat_rows)
    bits, levels, _ = measured_in_order(looks, a, b)
    return Found(a, b, bits, levels)


def measured_in_order(looks: Looks, a: Indices, b: Indices) -> tuple[Numbers, Numbers, Numbers]:
    """`in_order` of any number of pairs, so many at once."""
    found = [np.empty((3, 0))]
    for start in range(0, len(a), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        found.append(np.stack(in_order(looks, a[some], b[some])))
    bits, levels, means = np.concatenate(found, axis=1)
    return bits, levels, means


def parts(looks: Looks, videos: Indices, within: Within, share: float) -> Found:
    """Pairs (shorter, longer) of videos: at least `share` of the shorter is found in the longer, in order.

    The shorter one has four hashes or more, and moves: its frames differ from those half its time later by
    more than the radius on average, as any moment of a still scene is like any other. Exact: of k frames at
    most k - share * k may go unmatched, so one of any k - share * k + 1 frames meets a frame of the longer.
    """

    def measure(a: Indices, b: Indices) -> tuple[Numbers, Numbers, Flags]:
        shares, bits, levels = best_part(looks, a, b, bits=within.bits, levels=within.levels)
        return bits, levels, shares >= share

    rows, places = np.nonzero(looks.known[videos])
    holders = videos[rows]
    hashes, colours = looks.hashes[holders, places], looks.landmarks()[holders, places]
    enough = looks.known[videos].sum(axis=1) >= LEAST_PART_FRAMES
    wanted = _searched(looks, videos[enough & (looks.moved_bits()[videos] > within.bits)], share)
    found = []
    for short, place in wanted:
        for some, near in near_colours(looks.landmarks()[short, place], colours, within.levels):
            search = open_search(hashes[near], int(within.bits))
            for asking in _batches(some):
                queries, held = search(looks.hashes[short[asking], place[asking]])
                a, b = _unique([(short[asking][queries], holders[near][held])], len(looks.counts))
                fits = looks.durations_s[a] < looks.durations_s[b]
                found.append(_measured(measure, a[fits], b[fits], within.most))
    every = joined(found)
    return every.take(np.unique(every.a * len(looks.counts) + every.b, return_index=True)[1])


def near_colours(asking: Numbers, stored: Numbers, levels: float) -> Iterator[tuple[Indices, Indices]]:
    """(numbers of some that ask, numbers of the stored) among which all pairs within `levels` are, and more.

    Colours of shape (n, k) fall into boxes `levels` wide; what is as near is in the same box or one beside.
    """
    width = max(levels, 1.0)
    boxes: dict[tuple[int, ...], Indices] = {box: rows for box, rows in _boxes(stored, width)}
    sides = list(itertools.product((-1, 0, 1), repeat=stored.shape[1]))
    for box, some in _boxes(asking, width):
        beside = [tuple(place + step for place, step in zip(box, side, strict=True)) for side in sides]
        found = [boxes[each] for each in beside if each in boxes]
        if found:
            yield some, np.concatenate(found)


def _boxes(colours: Numbers, width: float) -> Iterator[tuple[tuple[int, ...], Indices]]:
    """Each box that holds something, with the numbers of what it holds."""
    places, box_of = np.unique((colours // width).astype(np.int64), axis=0, return_inverse=True)
    order = np.argsort(box_of, kind="stable")
    ends = np.cumsum(np.bincount(box_of, minlength=len(places)))
    return (
        zip(map(tuple, places.tolist()), np.split(order, ends[:-1]), strict=True)
        if len(colours)
        else iter(())
    )


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


def _met(looks: Looks, rows: Indices, others: Indices, within: Within) -> list[tuple[Indices, Indices]]:
    """For each moment the (row, other) of which the frames there have near hashes."""
    met = []
    for place in range(int(looks.counts[rows].max(initial=0))):
        asking, held = (some[looks.known[some, place]] for some in (rows, others))
        search = open_search(looks.hashes[held, place], int(within.bits))
        queries, places = search(looks.hashes[asking, place])
        met.append((asking[queries], held[places]))
    return met


def _searched(looks: Looks, rows: Indices, share: float) -> Iterator[tuple[Indices, Indices]]:
    """(rows, a frame of each): the first frames of each row, one more than may go unmatched."""
    known = looks.known[rows].sum(axis=1)
    spare = known - np.ceil(share * known).astype(np.int64)
    for turn in range(int(spare.max(initial=-1)) + 1):
        some = rows[spare >= turn]
        yield some, np.argmax(np.cumsum(looks.known[some], axis=1) == turn + 1, axis=1)


def _batches(rows: Indices) -> Iterator[Indices]:
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))


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

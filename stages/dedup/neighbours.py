"""Which rows look alike: the neighbour graph over everything that was measured, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import RecipeError
from stages.base import Whole
from stages.dedup.alike import Found, Within, joined, parts, same_moments, without
from stages.dedup.looks import Flags, Looks, Numbers
from stages.dedup.near import BITS, Indices

LEVELS = ("content", "perceptual", "part")
PAIRS = pa.schema(
    [
        ("a", pa.string()),
        ("b", pa.string()),
        ("level", pa.string()),
        ("distance", pa.float64()),
        ("colour_distance", pa.float64()),
    ]
)
# Unrelated pictures differ in half the bits; from a quarter on, chance brings many of them together.
MOST_BITS = BITS // 4


@dataclass(frozen=True)
class FindNeighbours(Whole):
    """Pairs of rows of one kind that look alike; see `run`. Keeping can be stricter, not wider.

    Hashes are of grays, and some distinct drawings of simple scenes lie within 4 bits: colours tell them
    apart. The defaults leave room around those of keeping (see `keep.MarkDuplicates`).
    """

    reads = ("kind", "content_hash", "phashes", "colours", "duration_s", "width_px", "height_px")

    graph_radius_bits: float = 12.0
    graph_colour_levels: float = 16.0
    duration_share: float = 0.1
    part_share: float = 0.75
    max_neighbours: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.graph_radius_bits <= MOST_BITS:
            raise RecipeError(f"graph_radius_bits is {self.graph_radius_bits:g}, expected 0 to {MOST_BITS}")
        for name, value in (("duration_share", self.duration_share), ("part_share", self.part_share)):
            if not 0 <= value <= 1:
                raise RecipeError(f"{name} is {value:g}, expected 0 to 1")
        if self.max_neighbours < 1:
            raise RecipeError(f"max_neighbours is {self.max_neighbours}, expected at least 1")

    def run(self, rows: pa.Table) -> pa.Table:
        """The graph, by a, b: schema PAIRS, a < b. The same for any order of the rows; every search is exact.

        `distance` is a Hamming distance in bits, `colour_distance` in levels of 255, as `looks` defines them.

        content: equal content_hash, both distances 0. Equality is transitive, so the smallest id of a content
        is paired with each other one, and alone stands for them at the other levels.
        perceptual: equally many stored frames, durations that differ by at most `duration_share` of the
        longer, and, n-th frame with n-th, means within `graph_radius_bits` and `graph_colour_levels`.
        part: videos only, and not perceptual. At least `part_share` of the frames of the shorter one, which
        moves, match frames of the longer in order, each within both limits (`alike.parts`).
        A flat frame has no hash: it is compared by colour only, and a row of which more than half is flat has
        neighbours by content only.

        Of more than `max_neighbours` a row names those with most pixels, then the longest, then by id, which
        are the ones that keeping prefers: too few pairs keep more rows, never fewer.
        """
        rows = rows.sort_by("id")
        first = _first_of_content(rows)
        copies = np.flatnonzero(first != np.arange(len(rows)))
        alone = _ranked(rows, np.flatnonzero(first == np.arange(len(rows))))
        near, held = self._alike(rows.take(pa.array(alone)))
        none = np.zeros(len(copies))
        found = [
            ("content", Found(first[copies], copies, none, none)),
            ("perceptual", _renumbered(near, alone)),
            ("part", _renumbered(held, alone)),
        ]
        tables = [_table(rows["id"], level, pairs) for level, pairs in found]
        return pa.concat_tables(tables).sort_by([("a", "ascending"), ("b", "ascending")])

    def _alike(self, rows: pa.Table) -> tuple[Found, Found]:
        looks = Looks.of(rows)
        videos = pc.equal(rows["kind"], "video").to_numpy(zero_copy_only=False)
        within = Within(self.graph_radius_bits, self.graph_colour_levels, self.max_neighbours)
        near = joined([same_moments(looks, group, within, self._timely) for group in _groups(looks, videos)])
        held = parts(looks, np.flatnonzero(videos), within, self.part_share)
        return near, without(held, near, len(rows))

    def _timely(self, a_s: Numbers, b_s: Numbers) -> Flags:
        return np.asarray(np.abs(a_s - b_s) <= self.duration_share * np.maximum(a_s, b_s), np.bool_)


def _first_of_content(rows: pa.Table) -> Indices:
    """For each row the first one of the same kind and content; itself when the content is unknown."""
    here = np.arange(len(rows))
    keys = pc.binary_join_element_wise(rows["kind"], rows["content_hash"], " ").combine_chunks()
    codes = keys.dictionary_encode().indices
    known = codes.is_valid().to_numpy(zero_copy_only=False)
    groups = codes.fill_null(0).to_numpy(zero_copy_only=False)
    _, firsts, places = np.unique(groups[known], return_index=True, return_inverse=True)
    first = here.copy()
    first[known] = here[known][firsts][places]
    return first


def _ranked(rows: pa.Table, chosen: Indices) -> Indices:
    """The chosen rows by falling number of pixels, then falling duration, then id."""
    pixels, duration = pc.multiply(rows["width_px"], rows["height_px"]), rows["duration_s"]
    keys = [-pc.fill_null(values, 0).to_numpy()[chosen] for values in (duration, pixels)]
    return np.asarray(chosen[np.lexsort((chosen, *keys))], np.int64)


def _groups(looks: Looks, videos: Flags) -> Iterator[Indices]:
    """Rows of one kind with equally many frames, of which at least one has a hash."""
    usable = looks.known.any(axis=1)
    for count in np.unique(looks.counts[usable]):
        for kind in (videos, ~videos):
            yield np.flatnonzero(usable & kind & (looks.counts == count))


def _renumbered(found: Found, rows: npt.NDArray[np.int64]) -> Found:
    """The same pairs by other numbers of their rows, the smaller first."""
    a, b = rows[found.a], rows[found.b]
    return Found(np.minimum(a, b), np.maximum(a, b), found.bits, found.levels)


def _table(ids: pa.ChunkedArray, level: str, found: Found) -> pa.Table:
    a, b = ids.take(pa.array(found.a)), ids.take(pa.array(found.b))
    return pa.table([a, b, pa.repeat(level, len(a)), found.bits, found.levels], schema=PAIRS)

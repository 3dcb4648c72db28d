"""Which rows look alike or mean the same: the neighbour graph over all that was measured, whatever became
of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import RecipeError
from stages.base import Whole
from stages.dedup.alike import (
    Found,
    Meant,
    Within,
    joined,
    measured_in_order,
    parts,
    same_meanings,
    same_moments,
    without,
)
from stages.dedup.looks import Flags, Looks, Numbers
from stages.dedup.meaning import Meanings
from stages.dedup.near import BITS, Indices

LEVELS = ("content", "perceptual", "part", "semantic")
PAIRS = pa.schema(
    [
        ("a", pa.string()),
        ("b", pa.string()),
        ("level", pa.string()),
        ("distance", pa.float64()),
        ("colour_distance", pa.float64()),
        ("mean_colour_distance", pa.float64()),
        ("cosine", pa.float64()),
    ]
)
# Unrelated pictures differ in half the bits; from a quarter on, chance brings many of them together.
MOST_BITS = BITS // 4


@dataclass(frozen=True)
class FindNeighbours(Whole):
    """Pairs of rows of one kind that look alike or mean the same; see `run`. Keeping can be stricter, not
    wider.

    Hashes are of grays, and some distinct drawings of simple scenes lie within 4 bits: colours tell them
    apart. The defaults leave room around those of keeping (see `keep.MarkDuplicates`).
    """

    reads = (
        "kind",
        "content_hash",
        "phashes",
        "colours",
        "duration_s",
        "width_px",
        "height_px",
        "embedding",
    )
    version = 2

    graph_radius_bits: float = 12.0
    graph_colour_levels: float = 16.0
    graph_cosine: float = 0.95
    duration_share: float = 0.1
    part_share: float = 0.75
    max_neighbours: int = 100
    flat_rows: int = 200_000

    def __post_init__(self) -> None:
        if not 0 <= self.graph_radius_bits <= MOST_BITS:
            raise RecipeError(f"graph_radius_bits is {self.graph_radius_bits:g}, expected 0 to {MOST_BITS}")
        for name in ("graph_cosine", "duration_share", "part_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name} is {getattr(self, name):g}, expected 0 to 1")
        for name in ("max_neighbours", "flat_rows"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)}, expected at least 1")

    def run(self, rows: pa.Table) -> pa.Table:
        """The graph, by a, b: schema PAIRS, a < b. The same for any order of the rows.

        `distance` is a Hamming distance in bits, `colour_distance` in levels of 255, as `looks` defines them.

        content: equal content_hash, both distances 0. Equality is transitive, so the smallest id of a content
        is paired with each other one, and alone stands for them at the other levels.
        perceptual: equally many stored frames, durations that differ by at most `duration_share` of the
        longer, and, n-th frame with n-th, means within `graph_radius_bits` and `graph_colour_levels`.
        part: videos only, and not perceptual. At least `part_share` of the frames of the shorter one, which
        moves, match frames of the longer in order, each within both limits (`alike.parts`).
        semantic: neither, and embeddings whose cosine is at least `graph_cosine`, however they look;
        distances are those of the shorter one's moments in order (`looks.in_order`).
        A flat frame has no hash: it is compared by colour only, and a row of which more than half is flat has
        neighbours by content only. Without an embedding a row has no neighbours at the level semantic.

        Whatever the level, `cosine` is known where both embeddings are, to 6 decimals, and
        `mean_colour_distance` where both rows have frames: the mean over cells and channels, in order.

        Of more than `max_neighbours` at a level a row names those with most pixels, then the longest, then by
        id, which are the ones that keeping prefers: too few pairs keep more rows, never fewer. Every search
        is exact, but for embeddings of more than `flat_rows` rows of a kind (`meaning.similar`).
        """
        meanings = Meanings.of(rows["embedding"])
        order = pc.sort_indices(rows["id"])
        rows, meanings = rows.drop_columns("embedding").take(order), meanings.take(order.to_numpy())
        first = _first_of_content(rows)
        copies = np.flatnonzero(first != np.arange(len(rows)))
        alone = _ranked(rows, np.flatnonzero(first == np.arange(len(rows))))
        none = np.zeros(len(copies))
        equal = Found(first[copies], copies, none, none)
        pairs = [
            _table(rows["id"], "content", equal, none, meanings),
            *self._alike(rows.take(pa.array(alone)), meanings.take(alone)),
        ]
        return pa.concat_tables(pairs).sort_by([("a", "ascending"), ("b", "ascending")])

    def _alike(self, rows: pa.Table, meanings: Meanings) -> Iterator[pa.Table]:
        """The pairs at the levels beyond content, of rows in the order of preference."""
        looks = Looks.of(rows)
        videos = pc.equal(rows["kind"], "video").to_numpy(zero_copy_only=False)
        within = Within(self.graph_radius_bits, self.graph_colour_levels, self.max_neighbours)
        meant = Meant(self.graph_cosine, self.max_neighbours, self.flat_rows)
        near = joined([same_moments(looks, group, within, self._timely) for group in _groups(looks, videos)])
        held = without(parts(looks, np.flatnonzero(videos), within, self.part_share), near, len(rows))
        same = joined([same_meanings(looks, meanings, group, meant) for group in _kinds(looks, rows["kind"])])
        same = without(same, joined([near, held]), len(rows))
        for level, found in zip(LEVELS[1:], (near, held, same), strict=True):
            means = measured_in_order(looks, found.a, found.b)[2]
            yield _table(rows["id"], level, found, means, meanings)

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


def _kinds(looks: Looks, kinds: pa.ChunkedArray) -> Iterator[Indices]:
    """Rows of one kind with frames of which at least half have a hash."""
    usable = (looks.counts > 0) & (2 * looks.known.sum(axis=1) >= looks.counts)
    codes = kinds.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for code in range(int(codes.max(initial=-1)) + 1):
        yield np.flatnonzero(usable & (codes == code))


def _table(ids: pa.ChunkedArray, level: str, found: Found, means: Numbers, meanings: Meanings) -> pa.Table:
    one, other = ids.take(pa.array(found.a)), ids.take(pa.array(found.b))
    cosines = pa.array(meanings.cosines(found.a, found.b), from_pandas=True)
    a, b = pc.min_element_wise(one, other), pc.max_element_wise(one, other)
    values = [a, b, pa.repeat(level, len(a)), found.bits, found.levels, means, cosines]
    return pa.table(values, schema=PAIRS)

"""Which rows mean the same to a model: their embeddings, and all pairs whose cosine reaches a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ManifestError
from stages.dedup.looks import Flags, Numbers
from stages.dedup.near import Indices

Vectors = npt.NDArray[np.float32]
Search = Callable[[Vectors], tuple[Indices, Indices, Vectors]]

# Vectors that are compared at once; they bound memory only.
HELD_AT_ONCE = 1 << 16
ASKING_AT_ONCE = 1 << 9
PAIRS_AT_ONCE = 1 << 13
DECIMALS = 6
# How far an inner product of unit vectors may be off: of float32 in any order of summation 1e-4 up to 1,600
# numbers, of TF32, which some GPUs multiply in, 1e-3.
SLACK = 1e-3
LENGTH_TOLERANCE = 0.01
# Clusters that a row asks. Of 1,000 planted pairs of cosine 0.955 among 100,000 random directions of 512
# numbers, the worst case, as they form no clusters, 8 found 979 in 10 s of one core, 16 found 997 in 16 s.
PROBES = 16
ROUNDS = 20
TRAINED_PER_CLUSTER = 64


@dataclass(frozen=True, eq=False)
class Meanings:
    """Embeddings of rows: row n has `vectors[places[n]]`, of length 1; none where its place is -1."""

    vectors: Vectors
    places: Indices

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Meanings:
        """From lists of numbers, null where unknown.

        Raises ManifestError when some are of another size than others, or not of length 1 within a hundredth.
        """
        sizes = pc.list_value_length(column)
        known = pc.is_valid(sizes).to_numpy()
        different = sorted(pc.unique(pc.drop_null(sizes)).to_pylist())
        if len(different) > 1:
            told = " and ".join(map(str, different))
            raise ManifestError(
                f"embeddings have {told} numbers, expected those of one model; run score anew"
            )
        vectors = np.empty((int(known.sum()), different[0] if different else 0), np.float32)
        end = 0
        for chunk in column.chunks:
            start, end = end, end + len(chunk) - chunk.null_count
            values = chunk.flatten().to_numpy(zero_copy_only=False)
            vectors[start:end] = _unit(values.reshape(end - start, vectors.shape[1]))
        return cls(vectors, np.where(known, np.cumsum(known) - 1, -1))

    def take(self, rows: Indices) -> Meanings:
        return Meanings(self.vectors, self.places[rows])

    def of_rows(self, rows: Indices) -> Vectors:
        return np.asarray(self.vectors[self.places[rows]], np.float32)

    @property
    def known(self) -> Flags:
        return self.places >= 0

    def cosines(self, a: Indices, b: Indices) -> Numbers:
        """Of pairs of rows, in double precision, rounded to 6 decimals; NaN where either is unknown."""
        found = np.full(len(a), np.nan)
        both = np.flatnonzero(self.known[a] & self.known[b])
        for some in _batches(both, PAIRS_AT_ONCE):
            one, other = (self.of_rows(rows[some]).astype(np.float64) for rows in (a, b))
            found[some] = np.einsum("nd,nd->n", one, other).round(DECIMALS)
        return found


def similar(
    meanings: Meanings, rows: Indices, least: float, *, most: int, flat_rows: int
) -> tuple[Indices, Indices]:
    """Pairs (a, b), b < a, of these rows, whose cosine is `least` or more; of each a the first `most` by b.

    Exact up to `flat_rows` rows, which are all compared. Beyond, they fall into sqrt(n) clusters by k-means,
    and each asks in the 16 clusters whose centres are nearest to it (SemDeDup, arXiv 2303.09540, section 3,
    asks in its own only): a pair is missed when the better row lies in none of them.
    """
    rows = np.sort(rows[meanings.known[rows]])
    if len(rows) <= flat_rows:
        a, b = _within(meanings, rows, rows, least, most)
        return _first(a, b, most)
    found = [_within(meanings, asking, held, least, most) for asking, held in _clusters(meanings, rows)]
    return _first(np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found]), most)


def _within(
    meanings: Meanings, asking: Indices, held: Indices, least: float, most: int
) -> tuple[Indices, Indices]:
    """Pairs of a row that asks and one before it that is held: of each row `most` or more, the first first.

    The held are searched from the first on, and a row asks no more once it has found enough.
    """
    enough = np.zeros(len(asking), np.int64)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for some in _batches(held, HELD_AT_ONCE):
        search = _open_search(meanings.of_rows(some), least - SLACK)
        for turn in _batches(np.flatnonzero((enough < most) & (asking > some[0])), ASKING_AT_ONCE):
            queries, places, products = search(meanings.of_rows(asking[turn]))
            a, b = asking[turn][queries], some[places]
            a, b = _worth_measuring(a, b, products, least, most)
            near = meanings.cosines(a, b) >= least
            found.append((a[near], b[near]))
            enough[turn] += np.bincount(np.searchsorted(asking[turn], a[near]), minlength=len(turn))
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def _worth_measuring(
    a: Indices, b: Indices, products: Vectors, least: float, most: int
) -> tuple[Indices, Indices]:
    """Pairs with b < a, of each a in order of b up to the `most`-th that is near beyond doubt."""
    order = np.lexsort((b, a))
    order = order[b[order] < a[order]]
    a, b = a[order], b[order]
    sure = np.concatenate([[0], np.cumsum(products[order] >= least + SLACK)])
    wanted = sure[:-1] - sure[np.searchsorted(a, a)] < most
    return a[wanted], b[wanted]


def _first(a: Indices, b: Indices, most: int) -> tuple[Indices, Indices]:
    """The pairs sorted, of each a the first `most`."""
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    first = np.arange(len(a)) - np.searchsorted(a, a) < most
    return a[first], b[first]


def _open_search(vectors: Vectors, least: float) -> Search:
    """A search among `vectors`: queries to (number of the query, number of the vector, inner product).

    On a GPU the 1,024 nearest are looked up, and a query with more is answered by the CPU.
    """
    import faiss
    from faiss.contrib import exhaustive_search

    index: Any = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    on_gpu: Any = faiss.index_cpu_to_all_gpus(index) if faiss.get_num_gpus() else None
    emulated: Any = exhaustive_search.range_search_gpu

    def search(queries: Vectors) -> tuple[Indices, Indices, Vectors]:
        answer = (
            index.range_search(queries, least) if on_gpu is None else emulated(queries, least, on_gpu, index)
        )
        ends, products, found = answer
        numbers = np.repeat(np.arange(len(queries)), np.diff(ends.astype(np.int64)))
        return numbers, found.astype(np.int64), products

    return search


def _clusters(meanings: Meanings, rows: Indices) -> Iterator[tuple[Indices, Indices]]:
    """For each cluster the rows that ask in it and the rows that it holds."""
    import faiss

    count = math.isqrt(len(rows))
    trained = rows[:: max(1, len(rows) // (count * TRAINED_PER_CLUSTER))]
    means: Any = faiss.Kmeans(
        meanings.vectors.shape[1],
        count,
        niter=ROUNDS,
        spherical=True,
        gpu=bool(faiss.get_num_gpus()),
        min_points_per_centroid=1,
    )
    means.train(meanings.of_rows(trained))
    batches = _batches(rows, HELD_AT_ONCE)
    nearest = np.concatenate(
        [means.index.search(meanings.of_rows(some), min(PROBES, count))[1] for some in batches]
    )
    for cluster in range(count):
        yield rows[(nearest == cluster).any(axis=1)], rows[nearest[:, 0] == cluster]


def _unit(vectors: Vectors) -> Vectors:
    """Scaled to length 1 to the last bit, where models that count in few bits come near it only."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    wrong = lengths[~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)]
    if len(wrong):
        raise ManifestError(f"an embedding has the length {wrong[0]:g}, expected 1; run score anew")
    return np.asarray(vectors / lengths, np.float32)


def _batches(rows: Indices, most: int) -> Iterator[Indices]:
    return (rows[start : start + most] for start in range(0, len(rows), most))

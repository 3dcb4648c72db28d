"""Which 64-bit hashes lie within a Hamming radius of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Search = Callable[[Hashes], tuple[Indices, Indices]]

BITS = 64
WORDS, WORD_BITS = 3, 21
# Up to here comparing with every hash is faster than the lookups. Measured on one core within 10 bits: among
# 0.1 million hashes 0.07 ms a query against 0.5, among 0.8 million 0.6 against 1.3. Comparisons grow with the
# number of hashes, lookups hardly.
FLAT_HASHES = 4_000_000


def open_search(hashes: Hashes, radius_bits: int, *, flat_hashes: int = FLAT_HASHES) -> Search:
    """A search among `hashes`: queries to (number of the query, number of the hash) of all within the radius.

    Exact whatever the number of hashes. Up to `flat_hashes` all are compared. Beyond, 63 of the bits are cut
    into 3 words of 21; two hashes that differ in at most r bits differ in at most r // 3 bits in one word
    (the pigeonhole principle), so looking up each word with up to r // 3 bits flipped misses none
    (multi-index hashing: Norouzi, Punjani, Fleet, CVPR 2012).
    """
    import faiss

    index: Any = faiss.IndexBinaryFlat(BITS)
    if len(hashes) > flat_hashes:
        index = faiss.IndexBinaryMultiHash(BITS, WORDS, WORD_BITS)
        index.nflip = radius_bits // WORDS
    index.add(_bytes(hashes))

    def search(queries: Hashes) -> tuple[Indices, Indices]:
        with _one_thread():
            ends, _, found = index.range_search(_bytes(queries), radius_bits + 1)
        return np.repeat(np.arange(len(queries)), np.diff(ends.astype(np.int64))), found.astype(np.int64)

    return search


@contextmanager
def _one_thread() -> Iterator[None]:
    """Searches are many and small: on a busy machine, waiting for other threads took ten times their time."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _bytes(hashes: Hashes) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(hashes, np.uint64).view(np.uint8).reshape(len(hashes), BITS // 8)

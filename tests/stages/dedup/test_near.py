"""Search within a radius misses nothing and adds nothing, by comparison or by lookup."""

from __future__ import annotations

import numpy as np
import pytest

from stages.dedup.near import Hashes, open_search

RNG = np.random.default_rng(7)
HASHES: Hashes = RNG.integers(0, 1 << 64, 60, np.uint64)


def neighbours_of(hashes: Hashes, radius_bits: int) -> Hashes:
    """Each hash with exactly so many bits changed, at random places."""
    places = np.array([RNG.permutation(64)[:radius_bits] for _ in hashes], np.uint64)
    return np.asarray(hashes ^ (np.uint64(1) << places).sum(axis=1, dtype=np.uint64), np.uint64)


@pytest.mark.parametrize("flat_hashes", [1000, 0])
@pytest.mark.parametrize("radius_bits", [0, 3, 10])
def test_finds_all_within_and_none_beyond(radius_bits: int, flat_hashes: int) -> None:
    """A hash at the radius is found, one bit farther it is not."""
    search = open_search(HASHES, radius_bits, flat_hashes=flat_hashes)
    for distance, found in ((radius_bits, 60), (radius_bits + 1, 0)):
        queries, places = search(neighbours_of(HASHES, distance))
        assert found == len(queries)
        assert queries.tolist() == places.tolist()


def test_equal_hashes_are_all_found() -> None:
    """Two rows with one hash are two answers."""
    search = open_search(np.array([5, 5], np.uint64), 2)
    assert [0, 1] == sorted(search(np.array([4], np.uint64))[1].tolist())


def test_nothing_among_nothing() -> None:
    """No hashes and no queries are no error."""
    none = np.empty(0, np.uint64)
    assert 0 == len(open_search(none, 3)(none)[0])
    assert 0 == len(open_search(none, 3)(HASHES)[0])

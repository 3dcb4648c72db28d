"""All pairs whose cosine reaches a threshold, by comparison of all, or nearly all, by clusters."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import ManifestError
from stages.dedup import meaning
from stages.dedup.meaning import Meanings, Vectors, similar

Pairs = list[tuple[int, int]]


def meanings(vectors: list[list[float] | None], chunks: int = 1) -> Meanings:
    """Of these embeddings, scaled to length 1."""
    unit = [v and (np.array(v) / np.linalg.norm(v)).tolist() for v in vectors]
    cut = -(-len(unit) // chunks) or 1
    parts = [unit[start : start + cut] for start in range(0, len(unit), cut)]
    return Meanings.of(pa.chunked_array(parts, pa.list_(pa.float32())))


def pairs(given_: Meanings, least: float, *, most: int = 1000, flat_rows: int = 1000) -> Pairs:
    a, b = similar(given_, np.arange(len(given_.places)), least, most=most, flat_rows=flat_rows)
    return list(zip(a.tolist(), b.tolist(), strict=True))


def planted(count: int, copies: int, size: int, cosine: float) -> Vectors:
    """Random directions, and after them a copy of each of the first, turned so far."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(count, size))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    aside = rng.normal(size=(copies, size))
    aside -= (aside * vectors[:copies]).sum(axis=1, keepdims=True) * vectors[:copies]
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    turned = cosine * vectors[:copies] + np.sqrt(1 - cosine**2) * aside
    return np.concatenate([vectors, turned]).astype(np.float32)


def test_cosines_by_hand() -> None:
    """3-4-5 triangles, to 6 decimals; unknown is NaN."""
    known = meanings([[1, 0], [3, 4], None, [4, 3]])
    found = known.cosines(np.array([0, 1, 1, 1]), np.array([1, 3, 1, 2]))
    assert [0.6, 0.96, 1.0] == found[:3].tolist()
    assert np.isnan(found[3])


def test_rows_keep_their_vectors() -> None:
    """Unknown rows and the cuts between chunks shift nothing; rows can be taken in any order."""
    vectors: list[list[float] | None] = [None, [1, 0], None, [0, 1], [3, 4], None]
    for chunks in (1, 2, 6):
        shuffled = meanings(vectors, chunks).take(np.array([4, 0, 3, 1]))
        assert [True, False, True, True] == shuffled.known.tolist()
        expected = np.array([[0.6, 0.8], [0, 1], [1, 0]], np.float32)
        assert expected.tolist() == shuffled.of_rows(np.array([0, 2, 3])).tolist()


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0, 0.0], [1.0]], "1 and 2 numbers"),
        ([[3.0, 4.0]], "length 5, expected 1"),
        ([[0.0, 0.0]], "length 0, expected 1"),
        ([[float("nan"), 1.0]], "length nan, expected 1"),
        ([[]], "length 0, expected 1"),
    ],
)
def test_other_embeddings_are_refused(vectors: list[list[float]], message: str) -> None:
    """Two models in one column, and what is no direction; the message says what to run."""
    with pytest.raises(ManifestError, match=rf"{message}.*run score anew"):
        Meanings.of(pa.chunked_array([vectors], pa.list_(pa.float32())))


def test_halves_of_precision_are_made_whole() -> None:
    """A vector that 8 bits of mantissa made a little short has a cosine of 1 with itself."""
    rough = Meanings.of(pa.chunked_array([[[0.6015625, 0.796875]]], pa.list_(pa.float32())))
    assert [1.0] == rough.cosines(np.array([0]), np.array([0])).tolist()


def test_threshold_itself_is_near() -> None:
    """A cosine of 0.6 reaches 0.6, not 0.600001."""
    two = meanings([[1, 0], [3, 4]])
    assert ([(1, 0)], []) == (pairs(two, 0.6), pairs(two, 0.600001))


def test_nothing_known_nothing_found() -> None:
    """No rows, or none with an embedding, whatever the search."""
    for vectors in ([], [None, None]):
        assert [] == pairs(meanings(vectors), 0.5)
        assert [] == pairs(meanings(vectors), 0.5, flat_rows=1)


def test_bound_takes_the_first() -> None:
    """Of five that mean the same each names the first two before it."""
    expected = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1)]
    assert expected == pairs(meanings([[1.0, 0.0]] * 5), 0.9, most=2)


@pytest.mark.parametrize("flat_rows", [1000, 1])
def test_planted_pairs_are_found(flat_rows: int) -> None:
    """300 copies among 1,500 random directions; with clusters all but a few, and nothing else."""
    vectors = planted(1200, 300, 64, 0.96)
    found = pairs(meanings(vectors.tolist()), 0.95, flat_rows=flat_rows)
    expected = [(1200 + n, n) for n in range(300)]
    assert set(found) <= set(expected)
    assert len(found) >= (300 if flat_rows > 1 else 285)


VECTOR = st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any)
VECTORS = st.lists(st.one_of(st.none(), VECTOR), max_size=14)


@given(VECTORS, st.sampled_from([0.0, 0.5, 0.9, 0.95, 1.0]), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=150)
def test_search_is_exact(vectors: list[list[float] | None], least: float, most: int, blocks: int) -> None:
    """As by comparing all, however many vectors are held or ask at once."""
    known = meanings(vectors)
    rows = [n for n, vector in enumerate(vectors) if vector]
    cosines = {(a, b): known.cosines(np.array([a]), np.array([b]))[0] for a in rows for b in rows if b < a}
    near = sorted(pair for pair, cosine in cosines.items() if cosine >= least)
    expected = [pair for n, pair in enumerate(near) if sum(p[0] == pair[0] for p in near[:n]) < most]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HELD_AT_ONCE", "ASKING_AT_ONCE", "PAIRS_AT_ONCE"):
            patch.setattr(meaning, name, blocks)
        assert expected == pairs(known, least, most=most)

"""Sorting by colour into boxes loses no pair that is near."""

from __future__ import annotations

import numpy as np
import pytest

from stages.dedup.alike import near_colours


@pytest.mark.parametrize("levels", [0.0, 8.0, 16.0, 255.0])
def test_no_near_pair_is_lost(levels: float) -> None:
    """All pairs within so many levels in three colours, as by comparing all; each asks once."""
    rng = np.random.default_rng(3)
    asking, stored = (np.round(rng.uniform(0, 255, (n, 3)) / 8) * 8 for n in (60, 80))
    met = np.zeros((60, 80), np.int64)
    for some, near in near_colours(asking, stored, levels):
        met[np.ix_(some, near)] += 1
    within = np.abs(asking[:, None] - stored[None]).max(axis=2) <= levels
    assert not (within & (met == 0)).any()
    assert 1 == max(1, met.max())


def test_nothing_is_near_nothing() -> None:
    """No colours, no pairs."""
    none, some = np.empty((0, 3)), np.zeros((2, 3))
    assert [] == [*near_colours(none, some, 8), *near_colours(some, none, 8)]

"""Thresholds from labels and shares, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.calibrate import curve, to_goal, to_share, wilson
from manifests.errors import RecipeError

VALUES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
GOOD = np.array([False, False, True, False, True, True, True, True])


def test_wilson_is_the_published_interval() -> None:
    """8 of 10: 0.490 to 0.943 (Newcombe 1998, Statistics in Medicine 17, table I has 81 of 263: 0.2553,
    0.3662)."""
    found = wilson(81, 263)
    assert (0.2553, 0.3662) == (round(found.low, 4), round(found.high, 4))
    assert (0.0, 1.0) == (wilson(0, 0).low, wilson(0, 0).high)


def test_a_precision_is_reached_with_as_many_rows_as_possible() -> None:
    """From 0.3 on, 5 of 6 are good; from 0.5 on, 4 of 4: nine tenths are first reached at 0.5."""
    found = to_goal(VALUES, GOOD, "precision", 0.9, "min")
    assert found.precision and found.recall
    assert (0.5, 1.0, 0.8) == (found.value, found.precision.value, found.recall.value)
    assert 0.3 == to_goal(VALUES, GOOD, "precision", 0.8, "min").value
    assert found.low and found.high
    assert found.low <= found.value <= found.high


def test_a_recall_is_reached_with_as_few_rows_as_possible() -> None:
    """Four of the five good ones lie from 0.5 on, all of them from 0.3 on."""
    assert 0.5 == to_goal(VALUES, GOOD, "recall", 0.8, "min").value
    assert 0.3 == to_goal(VALUES, GOOD, "recall", 1.0, "min").value


def test_a_maximum_is_a_minimum_upside_down() -> None:
    """The same labels on negated values give the negated threshold."""
    up, down = (to_goal(v, GOOD, "precision", 0.9, s) for v, s in ((VALUES, "min"), (-VALUES, "max")))  # type: ignore[arg-type]
    assert (up.value, up.kept) == (-down.value, down.kept)


def test_equal_values_fall_together() -> None:
    """No threshold parts rows of one value."""
    values, good = np.array([0.5, 0.5, 0.9]), np.array([True, False, True])
    assert [(0.9, 1.0, 0.5), (0.5, 2 / 3, 1.0)] == curve(values, good, "min")


def test_rows_of_unknown_value_say_nothing() -> None:
    """NaN is left out, not taken for small."""
    values, good = np.append(VALUES, np.nan), np.append(GOOD, True)
    assert 8 == to_goal(values, good, "precision", 0.9, "min").rows


def test_what_cannot_be_reached_is_said() -> None:
    """A precision that no threshold has, labels of one kind, a share that is none."""
    with pytest.raises(RecipeError, match=r"no threshold reaches precision 1 .* the best is 0\.500"):
        to_goal(np.array([0.5, 0.5]), np.array([True, False]), "precision", 1.0, "min")
    with pytest.raises(RecipeError, match="8 good and 0 bad rows"):
        to_goal(VALUES, np.ones(8, bool), "precision", 0.9, "min")
    with pytest.raises(RecipeError, match="keep is 70, expected more than 0, at most 1"):
        to_share(VALUES, 70, "min")
    with pytest.raises(RecipeError, match="no row has a known value"):
        to_share(np.array([np.nan]), 0.5, "min")


@pytest.mark.parametrize(
    ("n", "share", "expected"),
    [
        # Six draws miss a median on one side once in 64: the sixth of six is the first to bound it.
        (5, 0.5, (None, None)),
        (6, 0.5, (1.0, 6.0)),
        # Of 16 draws at 3/4 at most 7 hit with odds 0.0075, 8 with 0.0271; 14 with 0.9365, 15 with 0.9900.
        (16, 0.75, (8.0, 16.0)),
        (20, 1.0, (20.0, None)),
        (1, 0.5, (None, None)),
    ],
)
def test_an_interval_ends_where_the_rows_bound_it(
    n: int, share: float, expected: tuple[float | None, float | None]
) -> None:
    """Order statistics by the binomial; what so few rows cannot bound is open, and never of no width."""
    values = np.arange(1.0, n + 1)
    found = to_share(values, share, "max")
    assert expected == (found.low, found.high)
    upside_down = to_share(-values, share, "min")
    assert expected == tuple(end and -end for end in (upside_down.high, upside_down.low))


@pytest.mark.parametrize(("n", "share"), [(20, 0.9), (40, 0.7), (10, 0.05), (300, 0.99), (12, 1.0)])
def test_the_interval_covers_the_true_threshold(n: int, share: float) -> None:
    """Of 2,000 samples of an even spread, whose threshold is the share itself, at least 95 in 100 hold it,
    less two standard errors of that count."""
    draw = np.random.default_rng(7)
    found = [to_share(draw.random(n), share, "max") for _ in range(2000)]
    held = [(f.low is None or f.low <= share) and (f.high is None or share <= f.high) for f in found]
    assert np.mean(held) >= 0.95 - 2 * (0.95 * 0.05 / 2000) ** 0.5


def test_an_interval_of_many_rows_is_that_of_the_normal_distribution() -> None:
    """A million rows, a tenth left out: 900,000 and 1.96 times 300 rows to both sides."""
    found = to_share(np.arange(1.0, 1_000_001), 0.9, "max")
    assert found.low and found.high
    assert (900_000 - 588, 900_000 + 588) == (
        pytest.approx(found.low, abs=2),
        pytest.approx(found.high, abs=2),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 1), st.sampled_from(["min", "max"])
)
def test_at_least_the_share_is_kept(values: list[float], share: float, side: str) -> None:
    """The threshold for a share keeps that share or, where values are equal, more; its interval holds it."""
    known = np.array(values)
    found = to_share(known, share, side)  # type: ignore[arg-type]
    kept = (known >= found.value if side == "min" else known <= found.value).mean()
    assert kept >= share - 1e-9
    assert (found.low is None or found.low <= found.value) and (
        found.high is None or found.value <= found.high
    )
    fewer = (known > found.value if side == "min" else known < found.value).mean()
    assert fewer < share

"""NaN and infinity in what rules compute."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.finite import NESTED, guarded
from filters.handles import handles
from filters.judge import axis, outcomes
from filters.rules import Rule, load_rules
from manifests import columns
from manifests.errors import RecipeError

NAMES = ["id", "kind", "blur", "best_text", "source_texts", "text_scores", "width_px"]
ROWS: list[dict[str, Any]] = [
    {"best_text": "nan", "source_texts": ["nan"], "text_scores": [math.nan], "blur": 0.5},
    {"best_text": "inf", "source_texts": ["inf", "x"], "text_scores": [0.1, math.inf], "blur": 0.7},
    {"best_text": "7", "source_texts": ["7"], "text_scores": [0.9], "blur": 0.0, "width_px": 3},
]


def made(keep: str, **parameters: Any) -> Rule:
    return load_rules({"made": {"keep": keep, "why": "a test", "unscored": "fail", **parameters}})[0]


def judged(rule: Rule) -> list[int]:
    rows = columns.table([{"id": f"{at:032x}", "kind": "video", **row} for at, row in enumerate(ROWS)], NAMES)
    for handle in handles(rule):
        assert all(value is None or math.isfinite(value) for value in axis(rows, handle.axis).to_pylist())
    found: list[int] = outcomes(rows, [rule])["made"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("list_max(text_scores) >= $t", [2, 1, 0]),
        ("len(list_filter(text_scores, lambda s: s >= $t)) > 0", [1, 1, 0]),
        ("try_cast(best_text as double) >= $t", [2, 2, 0]),
        ("not (try_cast(best_text as double) < $t)", [2, 2, 0]),
        ("try_cast(best_text as double) between $t and 9", [2, 2, 0]),
        ("try_cast(best_text as double) not in (1, $t)", [2, 2, 0]),
        ("try_cast(best_text as double) is not null and $t < 9", [1, 1, 0]),
        ("sign(try_cast(best_text as double)) >= $t - 0.2", [2, 2, 0]),
        ("len(list_filter(source_texts, lambda t: try_cast(t as double) >= $t)) > 0", [1, 1, 0]),
        ("(1 + blur) * 1e308 * 1e308 >= $t", [2, 2, 2]),
        ("blur * 1e308 * 1e308 - blur * 1e308 * 1e308 >= $t - 0.9", [2, 2, 0]),
        ("exp(blur * 1e6) >= $t", [2, 2, 0]),
        ("case when blur * 1e308 * 1e308 >= $t then 1 else 0 end >= 1", [1, 1, 1]),
    ],
)
def test_what_is_no_number_passes_no_bound(keep: str, expected: list[int]) -> None:
    """NaN and infinity, from lists, texts and sums beyond the range of a double, are unknown (2), as nulls
    are: neither a bound below them is met (0) nor one above them missed (1)."""
    assert expected == judged(made(keep, t=0.8))


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("lower(best_text) = 'nan'", [0, 1, 1]),
        ("best_text || 'é' in ('nané', 'infé')", [0, 0, 1]),
        ("width_px + 0 >= 3", [2, 2, 0]),
        ("ln(blur) < 0 and ln(blur) > -9", [0, 0, 2]),
    ],
)
def test_texts_and_integers_stay_what_they_are(keep: str, expected: list[int]) -> None:
    """A text may say nan; and what is computed twice and fails on one row fails on that row alone."""
    assert expected == judged(made(keep))


def test_conditions_on_columns_are_left_alone() -> None:
    """Columns are guarded where they are read: the text is the author's."""
    assert ("blur <= ", "t", " and kind = 'video'") == guarded("blur <= $t and kind = 'video'").pieces


def test_comparisons_of_comparisons_end_somewhere() -> None:
    """Each doubles and more what DuckDB reads; the rule is refused with a message."""
    nested = "blur + 0 > 1"
    for _ in range(NESTED):
        nested = f"if({nested}, blur, 1) > 1"
    with pytest.raises(RecipeError, match=r"\[filter\.made\] keep .* split it into several rules"):
        made(nested)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats()), max_size=8), st.floats(-1, 1))
def test_a_list_passes_by_its_finite_elements(values: list[float | None], limit: float) -> None:
    """The most of a list is that of its known elements."""
    row = {"id": "0" * 32, "kind": "video", "text_scores": values}
    found = outcomes(columns.table([row], NAMES), [made("list_max(text_scores) >= $t", t=limit)])
    known = [value for value in values if value is not None and math.isfinite(value)]
    expected = (0 if max(known) >= limit else 1) if known else 2
    assert [expected] == found["made"].to_pylist()

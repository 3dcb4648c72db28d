"""Which rows stay: outcomes, precedence, the sentence for people, and the laws that judging keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import judge as judging
from filters.judge import effect, judge
from filters.rules import Rule, following, load_rules
from manifests import columns, verdicts
from manifests.errors import RecipeError

NAMES = ["id", "kind", "black_share", "detail", "blur"]
SHARE = st.one_of(st.none(), st.floats(0, 1))
ROWS = st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["video", "image"]), "black_share": SHARE, "detail": SHARE}
    ),
    max_size=12,
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return columns.table([{"id": f"{at:032x}", "kind": "video", **row} for at, row in enumerate(rows)], NAMES)


def rule(name: str, keep: str, **more: Any) -> Rule:
    return load_rules({name: {"keep": keep, "why": "a test", **more}})[0]


def black(limit: float = 0.9, **more: Any) -> Rule:
    return rule("not_black", "black_share <= $max", max=limit, **more)


def flat(limit: float = 0.02, **more: Any) -> Rule:
    return rule("not_flat", "detail >= $min", min=limit, **more)


def judged(rows: list[dict[str, Any]], *rules: Rule) -> list[dict[str, Any]]:
    return list(judge(table(rows), rules, step="filter").to_pylist())


def test_a_rejected_row_says_why() -> None:
    """The verdict names the rule, the value and the threshold; a row that keeps within it has no verdict."""
    expected = {
        "id": "0" * 32,
        "step": "filter",
        "fate": "rejected",
        "reason": "not_black",
        "of": None,
        "detail": "black_share 1.0, kept when black_share <= 0.9",
        "failing": ["not_black"],
    }
    assert [expected] == judged([{"black_share": 1.0}, {"black_share": 0.9}], black())


def test_the_first_rule_in_order_is_the_reason_and_all_are_listed() -> None:
    """A row that fails two rules is counted once, under the first, and remembers both."""
    rows = [{"black_share": 1.0, "detail": 0.0}]
    forth, back = judged(rows, black(), flat())[0], judged(rows, flat(), black())[0]
    assert ("not_black", ["not_black", "not_flat"]) == (forth["reason"], forth["failing"])
    assert ("not_flat", ["not_flat", "not_black"]) == (back["reason"], back["failing"])


@pytest.mark.parametrize(
    ("unscored", "expected"),
    [
        ("keep", []),
        ("reject", [("rejected", "not_black", "black_share unknown, kept when black_share <= 0.9")]),
        ("fail", [("failed", "unscored", "not_black: black_share unknown, kept when black_share <= 0.9")]),
    ],
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_an_unknown_value_is_an_outcome_of_its_own(value: Any, unscored: str, expected: list[Any]) -> None:
    """Null is neither good nor bad: the rule says to keep, reject or fail; NaN and infinity are null."""
    found = judged([{"black_share": value}], black(unscored=unscored))
    assert expected == [(row["fate"], row["reason"], row["detail"]) for row in found]


def test_the_first_failing_rule_decides_between_rejected_and_failed() -> None:
    """A missing value fails the row only where no earlier rule has rejected it."""
    rows = [{"black_share": 1.0, "detail": None}]
    assert "rejected" == judged(rows, black(), flat(unscored="fail"))[0]["fate"]
    assert "failed" == judged(rows, flat(unscored="fail"), black())[0]["fate"]


@pytest.mark.parametrize(
    "keep", ["1 / detail > 0", "detail / detail > 0", "10 % detail < 5", "ln(detail) < 0"]
)
def test_arithmetic_that_fails_on_one_row_leaves_the_others_alone(keep: str) -> None:
    """What has no result is unscored for its row, never NaN above every minimum; its neighbour is judged."""
    found = judged([{"detail": 0.0}, {"detail": 0.5}], rule("made", keep, unscored="fail"))
    assert [("0" * 32, "unscored")] == [(row["id"], row["reason"]) for row in found]


def test_other_kinds_pass() -> None:
    """A rule for videos lets an image pass, even one whose value is unknown."""
    rows = [
        {"kind": "image", "black_share": None},
        {"kind": "image", "black_share": 1.0},
        {"black_share": 1.0},
    ]
    assert [f"{2:032x}"] == [row["id"] for row in judged(rows, black(kinds=["video"], unscored="fail"))]


def test_disabled_rules_do_not_judge() -> None:
    """A rule that is switched off rejects nothing; without any rule every row stays."""
    assert [] == judged([{"black_share": 1.0}], black(enabled=False))
    assert [] == judged([{"black_share": 1.0}])


def test_dead_rows_are_not_judged_again() -> None:
    """A row that carries a fate keeps it."""
    dead = table([{"black_share": 1.0}, {"black_share": 1.0}]).append_column(
        "rejected_by", pa.array(["earlier", None], pa.string())
    )
    assert [f"{1:032x}"] == judge(dead, [black()], step="filter")["id"].to_pylist()


def test_hostile_text_is_data() -> None:
    """Quotes and statements in a threshold or in a row neither run nor break the query."""
    hostile = "'; drop table rows; --"
    rows = columns.table(
        [{"id": "a", "corpus": "it's; drop"}, {"id": "b", "corpus": hostile}], ["id", "corpus"]
    )
    wanted = rule("wanted", "corpus = $wanted", wanted=hostile)
    found = judge(rows, [wanted], step="filter").to_pylist()
    assert [("a", f"corpus it's; drop, kept when corpus = {hostile}")] == [
        (r["id"], r["detail"]) for r in found
    ]


def test_long_values_are_shown_short() -> None:
    """A text of a megabyte does not travel into its verdict."""
    rows = columns.table([{"id": "a", "corpus": "x" * 1_000_000}], ["id", "corpus"])
    assert len(judge(rows, [rule("short", "strlen(corpus) < 9")], step="filter")["detail"][0].as_py()) < 200


def test_rows_that_lack_a_column_are_a_recipe_error() -> None:
    """A rule is never skipped in silence because its column is missing."""
    with pytest.raises(RecipeError, match="reads 'motion', which is no column after split; judge"):
        judge(table([]), [rule("moving", "motion > 0")], step="filter")


def test_two_rules_of_one_name_are_refused() -> None:
    """Counts by name would add up different rules."""
    with pytest.raises(RecipeError, match="two rules are named 'not_black'"):
        judge(table([]), [black(), black(0.5)], step="filter")


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ({}, []),
        ({"kind": "image", "duration_s": None, "freeze_share": None}, []),
        ({"freeze_share": None, "duration_s": 0.04}, ["long_enough"]),
        ({"black_share": 1.0, "detail": 0.0, "freeze_share": 1.0, "blur": None}, ["not_black"]),
        ({"detail": 0.001, "freeze_share": 1.0, "blur": None}, ["not_flat"]),
        ({"freeze_share": 1.0}, ["not_frozen"]),
        ({"blur": 0.95}, ["not_blurred"]),
        ({"black_share": None}, ["not_black"]),
    ],
)
def test_shipped_rules_name_the_fault(measures: dict[str, Any], expected: list[str]) -> None:
    """Each plain fault meets the rule meant for it, though a black clip is flat and frozen too."""
    sound = {"duration_s": 4.0, "black_share": 0.0, "detail": 0.2, "freeze_share": 0.1, "blur": 0.2}
    row = {"id": "a", "kind": "video", **sound, **measures}
    shipped = following(load_rules(Path(judging.__file__).with_name("rules.toml")), "split")
    found = judge(columns.table([row], [*NAMES, "duration_s", "freeze_share"]), shipped, step="filter")
    assert expected == found["reason"].to_pylist()


def test_effect_by_hand() -> None:
    """Three rows: one fails both rules, one only the first, one neither."""
    rows = table(
        [{"black_share": 1, "detail": 0}, {"black_share": 1, "detail": 1}, {"black_share": 0, "detail": 1}]
    )
    expected = [
        {"rule": "not_black", "alone": 2, "only": 1, "here": 2},
        {"rule": "not_flat", "alone": 1, "only": 0, "here": 0},
    ]
    assert expected == effect(rows, [black(), flat()]).to_pylist()


def test_nothing_in_nothing_out() -> None:
    """No rows give no verdicts and effects of zero."""
    assert verdicts.SCHEMA == judge(table([]), [black()], step="filter").schema
    assert [{"rule": "not_black", "alone": 0, "only": 0, "here": 0}] == effect(
        table([]), [black()]
    ).to_pylist()


@settings(max_examples=25, deadline=None)
@given(ROWS, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["keep", "reject", "fail"]))
def test_every_row_is_accounted_for(
    rows: list[dict[str, Any]], most: float, least: float, unscored: str
) -> None:
    """One verdict at most a row; rows = live + fates; the effects at their places add up to the verdicts."""
    rules = [black(most, unscored=unscored), flat(least, kinds=["video"], unscored=unscored)]
    whole, found = table(rows), judge(table(rows), rules, step="filter")
    counts = verdicts.counts(whole, found)
    dead = sum(counts["rejected"].values()) + sum(counts["failed"].values())
    assert (len(rows), len(found)) == (counts["live"] + dead, dead)
    assert dead == sum(effect(whole, rules)["here"].to_pylist())


@settings(max_examples=20, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(rows: list[dict[str, Any]], random: Any) -> None:
    """The same rows in another order give the same table of verdicts."""
    whole = table(rows)
    order = random.sample(range(len(rows)), len(rows))
    shuffled = whole.take(pa.array(order, pa.int64()))
    rules = [black(0.5), flat(0.5)]
    assert judge(whole, rules, step="filter").equals(judge(shuffled, rules, step="filter"))


@settings(max_examples=20, deadline=None)
@given(ROWS, st.floats(0, 1), st.floats(0, 1))
def test_loosening_a_threshold_rejects_no_new_row(
    rows: list[dict[str, Any]], one: float, other: float
) -> None:
    """Under the looser of two limits only rows go that also go under the stricter."""
    strict, loose = min(one, other), max(one, other)
    under = {limit: {row["id"] for row in judged(rows, black(limit), flat())} for limit in (strict, loose)}
    assert under[loose] <= under[strict]


def test_a_million_rows_by_ten_rules() -> None:
    """A million rows are judged in one query; the count is known: the tenth of them below 100 000 goes."""
    ids = pa.array(np.char.mod("%032x", np.arange(1_000_000)))
    value = pa.array(np.arange(1_000_000) / 1_000_000)
    rows = pa.table({"id": ids.cast(pa.string()), "detail": value, "blur": value})
    rules = [rule(f"r{at}", "detail >= $min", min=(at + 1) / 100) for at in range(10)]
    found = judge(rows, rules, step="filter")
    assert 100_000 == len(found)
    assert [10_000] * 10 == effect(rows, rules)["here"].to_pylist()

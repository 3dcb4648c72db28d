"""Thresholds that are shares of a corpus, and rules that send a row to be captioned anew."""

from __future__ import annotations

from math import ceil
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.judge import judge, routes
from filters.rules import Rule, load_rules
from filters.shares import settle
from manifests import columns
from manifests.errors import RecipeError

NAMES = ["id", "kind", "corpus", "clip_score"]


def table(scores: list[tuple[str, float | None]]) -> pa.Table:
    rows: list[dict[str, object]] = [
        {"id": f"{at:032x}", "kind": "image", "corpus": corpus, "clip_score": score}
        for at, (corpus, score) in enumerate(scores)
    ]
    return columns.table(rows, NAMES)


def aligned(threshold: Any, **more: Any) -> Rule:
    entry = {"keep": "clip_score >= $min", "why": "a test", "min": threshold, **more}
    return load_rules({"aligned": entry})[0]


def rejected(rows: pa.Table, rule: Rule) -> list[int]:
    (settled,) = settle([rule], rows.select)
    return [int(row["id"], 16) for row in judge(rows, [settled], step="filter").to_pylist()]


def test_a_share_is_of_the_kinds_that_the_rule_judges() -> None:
    """Of four videos the better half stays, though every image scores higher."""
    rows: list[dict[str, object]] = [
        {"id": f"{at:032x}", "kind": "video" if at < 4 else "image", "corpus": "a", "clip_score": at / 10}
        for at in range(10)
    ]
    assert [0, 1] == rejected(columns.table(rows, NAMES), aligned({"top": 0.5}, kinds=["video"]))


def test_top_share_is_taken_of_each_corpus() -> None:
    """Half of four keeps two, half of one keeps that one; the corpora do not see each other."""
    rows = table([("a", 0.1), ("a", 0.4), ("b", 0.01), ("a", 0.2), ("a", 0.3)])
    assert [0, 3] == rejected(rows, aligned({"top": 0.5}))


def test_bottom_share_keeps_the_lowest() -> None:
    """With a condition that has an upper limit the share is counted from below."""
    rows = table([("a", 0.1), ("a", 0.4), ("a", 0.2), ("a", 0.3)])
    rule = load_rules({"plain": {"keep": "clip_score <= $max", "why": "a test", "max": {"bottom": 0.25}}})[0]
    assert [1, 2, 3] == rejected(rows, rule)


@given(
    scores=st.lists(st.tuples(st.sampled_from("ab"), st.floats(-1, 1)), min_size=1, max_size=20, unique=True),
    share=st.floats(0.05, 1),
)
def test_at_least_the_share_stays(scores: list[tuple[str, float]], share: float) -> None:
    """Of each corpus at least the share stays, and no more than it without equal values."""
    gone = rejected(table(list(scores)), aligned({"top": share}))
    for corpus in {corpus for corpus, _ in scores}:
        mine = [at for at, (name, _) in enumerate(scores) if name == corpus]
        values = [scores[at][1] for at in mine]
        kept = [at for at in mine if at not in gone]
        wanted = ceil(share * len(mine) - 1e-9)
        floor = sorted(values, reverse=True)[wanted - 1]
        assert [at for at in mine if scores[at][1] >= floor] == kept


def test_unknown_values_are_unscored() -> None:
    """A null is not counted and meets the outcome of its rule; a corpus of nulls has no threshold."""
    rows = table([("a", None), ("a", 0.4), ("b", None)])
    assert [0, 2] == rejected(rows, aligned({"top": 1.0}))
    assert [] == rejected(rows, aligned({"top": 1.0}, unscored="keep"))


def test_verdict_tells_the_number_that_a_share_came_to() -> None:
    """A person reads the share and, by corpus, the value that it meant."""
    rows = table([("a", 0.1), ("a", 0.4)])
    (settled,) = settle([aligned({"top": 0.5})], rows.select)
    (verdict,) = judge(rows, [settled], step="filter").to_pylist()
    assert verdict["detail"] == "clip_score 0.1, kept when clip_score >= the top 0.5 of its corpus {'a': 0.4}"


def test_share_needs_one_column() -> None:
    """Of two columns no share can be taken; the message names the rule."""
    rule = load_rules({"both": {"keep": "clip_score + motion > $x", "why": "a test", "x": {"top": 0.5}}})[0]
    with pytest.raises(RecipeError, match=r"\[filter.both\].*one column"):
        settle([rule], table([]).select)


def test_rule_that_recaptions_rejects_nothing() -> None:
    """It sends rows that do not meet it to be captioned anew, keeps others, and is silent of dead ones."""
    rows = table([("a", 0.1), ("a", 0.4), ("a", None)])
    rule = aligned(0.3, otherwise="recaption", unscored="keep")
    assert [] == rejected(rows, rule)
    assert ["recaption", "keep", "keep"] == routes(rows, [rule]).to_pylist()
    dead = rows.append_column("error", pa.array([None, "late: 1", None], pa.string()))
    assert ["recaption", None, "keep"] == routes(dead, [rule]).to_pylist()


def test_without_such_rules_every_live_row_is_kept() -> None:
    """A recipe without rules on agreement has nothing to caption anew."""
    assert ["keep"] == routes(table([("a", 0.1)]), [aligned(0.3)]).to_pylist()

"""Thresholds that are shares of a corpus, and rules that send a row to be captioned anew."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.calibrate import to_share
from filters.handles import check_thresholds, handles
from filters.judge import judge, routes
from filters.rules import Rule, load_rules
from filters.shares import settle
from filters.trial import Trial
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


TEN: dict[str, list[Any]] = {
    "blur": [0.05 + 0.09 * n for n in range(10)],
    "flow": [0.01 * n for n in range(10)],
    "aspect": [0.4, 0.6, 0.8, 1.1, 1.2, 1.4, 1.6, 1.8, 2.1, 3.0],
    "best_text": ["x" * n for n in range(10)],
    "width_px": [100 * n for n in range(10)],
    "height_px": [900 - 100 * n for n in range(10)],
}


def ten(**columns_: list[Any]) -> pa.Table:
    given = {**TEN, **columns_}
    rows = [
        {"id": f"{at:032x}", "kind": "video", "corpus": "a"} | {n: given[n][at] for n in given}
        for at in range(10)
    ]
    return columns.table(rows, ["id", "kind", "corpus", *given])


def of(keep: str, **threshold: Any) -> Rule:
    (rule,) = load_rules({"made": {"keep": keep, "why": "a test", "t": threshold}})
    check_thresholds([rule])
    return rule


@pytest.mark.parametrize(
    ("keep", "share", "gone"),
    [
        ("sqrt(flow) >= $t", {"top": 0.5}, [0, 1, 2, 3, 4]),
        ("flow > $t", {"top": 0.5}, [0, 1, 2, 3, 4]),
        ("$t < flow", {"top": 0.5}, [0, 1, 2, 3, 4]),
        ("1 - blur >= $t", {"top": 0.7}, [7, 8, 9]),
        ("-blur >= $t", {"top": 0.7}, [7, 8, 9]),
        ("blur * 100 <= $t", {"bottom": 0.7}, [7, 8, 9]),
        ("blur < $t", {"bottom": 0.7}, [7, 8, 9]),
        ("abs(aspect - 1.5) <= $t", {"bottom": 0.5}, [0, 1, 2, 8, 9]),
        ("len(best_text) >= $t", {"top": 0.5}, [0, 1, 2, 3, 4]),
        ("width_px > $t", {"top": 0.5}, [0, 1, 2, 3, 4]),
        # The shorter side is 0, 100, 200, 300, 400, 400, 300, …: the best two have 400.
        ("width_px >= $t and height_px >= $t", {"top": 0.2}, [0, 1, 2, 3, 6, 7, 8, 9]),
        ("width_px + 2 * height_px <= $t", {"bottom": 0.2}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_share_is_of_what_the_threshold_bounds(keep: str, share: dict[str, float], gone: list[int]) -> None:
    """Of what a column is made into, of several columns, and beyond the last value where `<` or `>` is
    written; Trial's margins agree on who stays, and calibration on the number."""
    rule, rows = of(keep, **share), ten()
    assert gone == rejected(rows, rule)
    trial, (handle,) = Trial(len(rows), rows.select), handles(rule)
    margin = trial.margin(rule, handle)
    assert gone == np.flatnonzero(margin <= 0 if handle.strict else margin < 0).tolist()
    ((_, number),) = trial.settled([rule])[0].parameters[0].by_corpus or ()
    found = to_share(trial.axis(rule, handle), next(iter(share.values())), handle.side)
    assert handle.met_from(found.value) == number


@pytest.mark.parametrize("keep", ["blur < $t", "blur <= $t"])
def test_equal_values_all_meet_a_share(keep: str) -> None:
    """Ten rows of one value: seven tenths are met by all of them, by a strict comparison, too."""
    assert [] == rejected(ten(blur=[0.5] * 10), of(keep, bottom=0.7))


def test_rows_without_a_corpus_are_a_corpus_of_their_own() -> None:
    """Of two such rows the better half stays."""
    rows = table([("a", 0.1), ("a", 0.2), ("", 0.3), ("", 0.4)])
    corpora = pa.array(["a", "a", None, None], pa.string())
    rows = rows.set_column(rows.column_names.index("corpus"), "corpus", corpora)
    assert [0, 2] == rejected(rows, aligned({"top": 0.5}))
    rule = aligned({"top": 0.5})
    margin = Trial(4, rows.select).margin(rule, handles(rule)[0])
    assert [-0.1, 0.0, -0.1, 0.0] == pytest.approx(margin.tolist())


@pytest.mark.parametrize(
    "keep",
    [
        "not (blur > $t)",
        "not (blur <= $t)",
        "blur is null or blur <= $t",
        "(blur <= $t) = true",
        "blur <= $t * 2",
        "blur between 0.1 and $t",
        "blur <= $t and flow > 0",
    ],
)
def test_a_share_needs_the_comparison_alone(keep: str) -> None:
    """Of NOT, OR, sums with the threshold and further conditions a share would promise what it cannot keep;
    the message says what to write."""
    with pytest.raises(RecipeError, match=r"a share .* needs \$t alone on one side .* a rule of its own"):
        of(keep, bottom=0.7)


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

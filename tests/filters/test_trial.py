"""What other thresholds would do: the same as judging with them, in less time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.judge import effect, judge, routes
from filters.rules import Rule, load_rules, override
from filters.shares import settle
from filters.trial import Trial, rejecting
from manifests import columns

NAMES = ["id", "kind", "corpus", "black_share", "detail", "blur"]
SHARE = st.one_of(st.none(), st.floats(0, 1), st.just(float("nan")))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["video", "image"]),
            "corpus": st.sampled_from(["a", "b"]),
            "black_share": SHARE,
            "detail": SHARE,
            "blur": SHARE,
        }
    ),
    max_size=15,
)
RULES = load_rules(
    {
        "dark": {"keep": "black_share <= $max", "why": "a test", "max": 0.5, "unscored": "keep"},
        "flat": {"keep": "detail >= $min", "why": "a test", "min": 0.3, "kinds": ["video"]},
        "soft": {"keep": "blur <= $max", "why": "a test", "max": {"bottom": 0.6}, "unscored": "fail"},
        "aside": {"keep": "blur <= $max", "why": "a test", "max": 0.1, "enabled": False},
        "told": {
            "keep": "detail >= $min",
            "why": "a test",
            "after": "score",
            "min": 0.5,
            "otherwise": "recaption",
        },
    }
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return columns.table([{"id": f"{at:032x}", **row} for at, row in enumerate(rows)], NAMES)


def trial(rows: pa.Table) -> Trial:
    weights = {"seconds": np.arange(len(rows), dtype=np.float64)}
    return Trial(len(rows), lambda names: rows.select(names), weights)


def judged(rows: pa.Table, rules: tuple[Rule, ...]) -> set[str]:
    return set(judge(rows, settle(rules, rows.select), step="filter")["id"].to_pylist())


SWEPT = {"dark.max": "max", "soft.max": "bottom", "aside.max": "max", "told.min": "min"}


@settings(max_examples=80, deadline=None)
@given(ROWS, st.sampled_from(sorted(SWEPT)), st.lists(st.floats(0.01, 1), min_size=1, max_size=3))
def test_a_sweep_is_judging_value_by_value(
    rows: list[dict[str, Any]], name: str, values: list[float]
) -> None:
    """What a sweep says is kept at each value is what judging with that value keeps: of a rule that rejects,
    one whose threshold is a share, one that is off, and one that sends rows to be captioned."""
    given_rows, (rule, parameter) = table(rows), name.split(".")
    ids = given_rows["id"].to_pylist()
    before = [at for at, id_ in enumerate(ids) if id_ not in judged(given_rows, RULES)]
    for one in trial(given_rows).sweep(RULES, name, values):
        value = {"bottom": one["value"]} if SWEPT[name] == "bottom" else one["value"]
        changed = override(RULES, {rule: {parameter: value}})
        gone = judged(given_rows, changed)
        stay = [at for at, id_ in enumerate(ids) if id_ not in gone]
        assert {"rows": len(stay), "seconds": float(sum(stay))} == one["kept"]
        assert (len({*stay} - {*before}), len({*before} - {*stay})) == (one["gained"], one["lost"])
        way = routes(given_rows, settle(changed, given_rows.select)).to_pylist()
        assert one["routed"] == (sum(way[at] == "recaption" for at in stay) if rule == "told" else 0)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_kept_and_lost_are_all(rows: list[dict[str, Any]]) -> None:
    """Conservation: what is kept, and what each rule takes at its place, are all rows; as `effect` says."""
    given_rows = table(rows)
    mine, told = trial(given_rows), trial(given_rows).effect(RULES)
    kept = int(mine.kept(RULES).sum())
    assert len(rows) == kept + sum(one["here"] for one in told)
    expected = effect(given_rows, settle(rejecting(RULES), given_rows.select)).to_pylist()
    assert expected == [{k: one[k] for k in ("rule", "alone", "only", "here")} for one in told]


def test_only_what_changed_is_judged_again() -> None:
    """A rule whose threshold did not move is not computed a second time, whatever its neighbours do."""
    rows = table([{"kind": "video", "corpus": "a", "black_share": 0.4, "detail": 0.5, "blur": 0.2}])
    asked: list[list[str]] = []

    def read(names: list[str]) -> pa.Table:
        asked.append(names)
        return rows.select(names)

    mine = Trial(1, read, {})
    mine.kept(RULES[:2])
    mine.kept(override(RULES[:2], {"flat": {"min": 0.4}}))
    assert [["black_share", "detail", "kind"], ["detail", "kind"]] == asked


def test_an_overlap_counts_pairs() -> None:
    """The diagonal holds what one rule takes, the rest what two take both."""
    rows = [
        {"kind": "video", "corpus": "a", "black_share": 1.0, "detail": 0.0, "blur": 0.0},
        {"kind": "video", "corpus": "a", "black_share": 1.0, "detail": 1.0, "blur": 0.0},
        {"kind": "video", "corpus": "a", "black_share": 0.0, "detail": 0.0, "blur": 0.0},
    ]
    assert [[2, 1], [1, 2]] == trial(table(rows)).overlap(RULES[:2])

"""The fates of rows: which verdict wins, what it leaves on the row, and that every row is counted once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import verdicts
from manifests.errors import ManifestError


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=verdicts.SCHEMA)


def verdict(id_: str, step: str, fate: str, reason: str, **more: Any) -> dict[str, Any]:
    of = {"of": "kept"} if fate == "duplicate" else {}
    return {"id": id_, "step": step, "fate": fate, "reason": reason, **of, **more}


def ids(*names: str) -> pa.Table:
    return pa.table({"id": pa.array(names, pa.string())})


VERDICTS = st.lists(
    st.builds(
        verdict,
        st.sampled_from("abcdef"),
        st.sampled_from(verdicts.STEPS),
        st.sampled_from(verdicts.FATES),
        st.sampled_from(["x", "y"]),
        detail=st.one_of(st.none(), st.just("why")),
    )
)


def test_earlier_step_wins() -> None:
    """A row that an earlier step rejected stays rejected by it, in whatever order the verdicts come."""
    late = verdict("a", "dedup", "duplicate", "content")
    early = verdict("a", "filter", "rejected", "not_black")
    assert ["not_black"] == verdicts.first(table(late, early))["reason"].to_pylist()
    assert ["not_black"] == verdicts.first(table(early, late))["reason"].to_pylist()


def test_within_a_step_failed_wins_over_rejected_over_duplicate() -> None:
    """One step's failure goes first, then its rejection, then its duplicate; a tie goes by reason."""
    fates = [verdict("a", "split", fate, "r") for fate in ("duplicate", "rejected", "failed")]
    assert ["failed"] == verdicts.first(table(*fates))["fate"].to_pylist()
    assert ["rejected"] == verdicts.first(table(*fates[:2]))["fate"].to_pylist()
    two = table(
        verdict("a", "split", "failed", "truncated"), verdict("a", "split", "failed", "no_video_stream")
    )
    assert ["no_video_stream"] == verdicts.first(two)["reason"].to_pylist()


def test_fates_stand_in_their_columns() -> None:
    """Each fate fills its own column, the order of rows stays, and a row without a verdict is live."""
    given_verdicts = table(
        verdict("r", "filter", "rejected", "not_black"),
        verdict("d", "dedup", "duplicate", "perceptual", of="r2"),
        verdict("f", "ingest", "failed", "truncated", detail="moov atom not found"),
        verdict("g", "ingest", "failed", "empty"),
    )
    fated = verdicts.with_fates(ids("r", "live", "g", "d", "f"), given_verdicts)
    assert ["r", "live", "g", "d", "f"] == fated["id"].to_pylist()
    assert ["not_black", None, None, None, None] == fated["rejected_by"].to_pylist()
    assert [None, None, None, "r2", None] == fated["duplicate_of"].to_pylist()
    assert [None, None, "empty", None, "truncated: moov atom not found"] == fated["error"].to_pylist()
    assert ["live"] == verdicts.live(fated)["id"].to_pylist()


def test_old_fates_are_replaced() -> None:
    """A row whose verdict was withdrawn is live again."""
    before = verdicts.with_fates(ids("a"), table(verdict("a", "filter", "rejected", "not_black")))
    after = verdicts.with_fates(before, table())
    assert before.column_names == after.column_names
    assert ["a"] == verdicts.live(after)["id"].to_pylist()


def test_rows_without_fate_columns_are_live() -> None:
    """Rows that no verdict has touched need no fate columns."""
    assert 2 == len(verdicts.live(ids("a", "b")))


def test_counts_by_hand() -> None:
    """Five rows, five fates; a verdict of a row that is not here is not counted."""
    given_verdicts = table(
        verdict("a", "filter", "rejected", "not_black"),
        verdict("b", "filter", "rejected", "not_black"),
        verdict("c", "dedup", "duplicate", "content"),
        verdict("d", "split", "failed", "truncated"),
        verdict("elsewhere", "split", "failed", "truncated"),
    )
    expected = {
        "rows": 5,
        "live": 1,
        "rejected": {"not_black": 2},
        "duplicates": {"content": 1},
        "failed": {"truncated": 1},
    }
    assert expected == verdicts.counts(ids("a", "b", "c", "d", "e"), given_verdicts)


@settings(max_examples=25, deadline=None)
@given(VERDICTS, st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_every_row_is_counted_once(given_verdicts: list[dict[str, Any]], names: list[str]) -> None:
    """rows = live + rejected + duplicates + failed, and live rows are those that `live` returns."""
    rows, told = ids(*names), table(*given_verdicts)
    counts = verdicts.counts(rows, told)
    dead = sum(sum(counts[fate].values()) for fate in ("rejected", "duplicates", "failed"))
    assert len(names) == counts["rows"] == counts["live"] + dead
    assert counts["live"] == len(verdicts.live(verdicts.with_fates(rows, told)))


@settings(max_examples=25, deadline=None)
@given(VERDICTS, st.randoms(use_true_random=False))
def test_order_of_verdicts_does_not_matter(given_verdicts: list[dict[str, Any]], random: Any) -> None:
    """The same verdicts in another order give the same winners."""
    shuffled = random.sample(given_verdicts, len(given_verdicts))
    assert verdicts.first(table(*given_verdicts)).equals(verdicts.first(table(*shuffled)))


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (verdict("a", "filtre", "rejected", "x"), "'filtre'"),
        (verdict("a", "filter", "dropped", "x"), "'dropped'"),
        ({**verdict("a", "filter", "rejected", "x"), "reason": None}, "lacks"),
        (verdict("a", "dedup", "duplicate", "content", of=None), "no row that is kept"),
    ],
)
def test_verdicts_that_would_lose_a_row_are_refused(wrong: dict[str, Any], found: str) -> None:
    """A verdict that leaves no mark on its row would count the row as live: it is an error instead."""
    with pytest.raises(ManifestError, match=found):
        verdicts.first(table(wrong))

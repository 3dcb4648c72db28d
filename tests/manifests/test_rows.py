"""Rows gain results, are replaced by what is made of them, and never vanish."""

from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from manifests import columns
from manifests.rows import absorb, failures
from manifests.store import Results

MEASURE = Results(Path("out"), "split", "Measure", "f", ("luma_mean",))
SPLIT = Results(Path("out"), "split", "Split", "f", ("id", "start_pts", "duration_s"))


def assets(*ids: str) -> pa.Table:
    return columns.table(
        [{"id": i, "asset_id": i, "kind": "video", "duration_s": 9.0} for i in ids],
        ["id", "parent_id", "asset_id", "kind", "duration_s"],
    )


def made(*rows: tuple[str, str | None, float | None, str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"parent_id": p, "input": "x", "id": i, "start_pts": 0, "duration_s": d, "error": e}
            for p, i, d, e in rows
        ],
        schema=SPLIT.schema,
    )


def test_clips_replace_their_asset_and_inherit() -> None:
    """Clips carry what their asset had, but for what the stage wrote; parent_id names it."""
    rows = absorb(assets("a"), made(("a", "c2", 2.0, None), ("a", "c1", 3.0, None)), SPLIT)
    assert [("c1", "a", "video", 3.0), ("c2", "a", "video", 2.0)] == [
        (r["id"], r["parent_id"], r["kind"], r["duration_s"]) for r in rows.to_pylist()
    ]


def test_a_row_that_passes_as_itself_has_no_parent() -> None:
    """An image keeps its id."""
    rows = absorb(assets("a"), made(("a", "a", None, None)), SPLIT)
    assert [("a", None)] == [(r["id"], r["parent_id"]) for r in rows.to_pylist()]


def test_a_failed_row_stays_and_has_a_verdict() -> None:
    """A row whose stage failed keeps its old values; its error becomes a verdict with reason and detail."""
    results = made(("a", None, None, "truncated: 3 of 9 s"))
    assert [("a", 9.0, None)] == [
        (r["id"], r["duration_s"], r["start_pts"]) for r in absorb(assets("a"), results, SPLIT).to_pylist()
    ]
    assert [
        {
            "id": "a",
            "step": "split",
            "fate": "failed",
            "reason": "truncated",
            "detail": "3 of 9 s",
            "of": None,
            "failing": None,
        }
    ] == failures(results, SPLIT).to_pylist()


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(min_value=-1, max_value=3)))
def test_no_row_is_lost(plan: dict[str, int]) -> None:
    """Every input id is itself among the rows or the parent of one, whatever the stage made of it."""
    results = [(k, None, None, "decode_error: x") for k, n in plan.items() if n < 0]
    results += [(k, f"{k}{i}", 1.0, None) for k, n in plan.items() for i in range(n)]
    rows = absorb(assets(*plan), made(*results), SPLIT)
    assert set(plan) == {r["parent_id"] or r["id"] for r in rows.to_pylist()}
    assert sum(max(n, 1) for n in plan.values()) == len(rows)


def test_order_comes_from_ids() -> None:
    """Rows are sorted by id, columns as they are defined."""
    results = pa.Table.from_pylist(
        [{"id": "b", "input": "x", "luma_mean": 0.5, "error": None}], schema=MEASURE.schema
    )
    rows = absorb(assets("b", "a"), results, MEASURE)
    assert ["a", "b"] == rows["id"].to_pylist()
    assert [None, 0.5] == rows["luma_mean"].to_pylist()
    assert sorted(rows.column_names, key=list(columns.COLUMNS).index) == rows.column_names

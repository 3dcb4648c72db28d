"""Which fate a row has met: every verdict that was given on it, and which of them wins."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ManifestError
from manifests.sql import query

STEPS = ("ingest", "split", "score", "filter", "dedup", "caption", "mix", "pack")
FATES = ("failed", "rejected", "duplicate")
COLUMNS = ("rejected_by", "duplicate_of", "error")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("step", pa.string()),
        ("fate", pa.string()),
        ("reason", pa.string()),
        ("of", pa.string()),
        ("detail", pa.string()),
        ("failing", pa.list_(pa.string())),
    ]
)

_FIRST = """
    select * from verdicts
    qualify row_number() over (
        partition by id
        order by list_position($steps, step), list_position($fates, fate), reason, "of", detail
    ) = 1
    order by id
"""


def first(verdicts: pa.Table) -> pa.Table:
    """The verdict that wins for each id, ordered by id.

    The earliest step wins; within a step a failure goes before a rejection, a rejection before a duplicate,
    then the reason decides by its name. Raises ManifestError when a verdict names no known step or fate,
    gives no reason, or is a duplicate of nothing.
    """
    _check(verdicts)
    parameters = {"steps": list(STEPS), "fates": list(FATES)}
    return query(_FIRST, {"verdicts": verdicts.select(SCHEMA.names)}, parameters).cast(SCHEMA)


def with_fates(rows: pa.Table, verdicts: pa.Table) -> pa.Table:
    """The same rows in the same order, with `rejected_by`, `duplicate_of` and `error` by the winning verdict.

    Fates that the rows carried before are replaced. A row without a verdict gets three nulls: it is live.
    """
    won = _won(rows, verdicts)
    told = pc.binary_join_element_wise(won["reason"], won["detail"], ": ")
    values = {
        "rejected_by": _where(won, "rejected", won["reason"]),
        "duplicate_of": _where(won, "duplicate", won["of"]),
        "error": _where(won, "failed", pc.coalesce(told, won["reason"])),
    }
    for name in COLUMNS:
        rows = _put(rows, name, values[name])
    return rows


def live(rows: pa.Table) -> pa.Table:
    """The rows that carry no fate; a fate column that is absent counts as null."""
    for name in COLUMNS:
        if name in rows.column_names:
            rows = rows.filter(pc.is_null(rows[name]))
    return rows


def counts(rows: pa.Table, verdicts: pa.Table) -> dict[str, Any]:
    """Rows by fate: `rows`, `live`, `rejected` by rule, `duplicates` by kind, `failed` by reason.

    Each row is exactly one of live, rejected, duplicate and failed. Verdicts of ids that are not among the
    rows are not counted.
    """
    won = _won(rows.select(["id"]), verdicts)
    groups = won.group_by(["fate", "reason"]).aggregate([([], "count_all")]).sort_by("reason").to_pylist()
    by_fate = {
        fate: {group["reason"]: group["count_all"] for group in groups if group["fate"] == fate}
        for fate in FATES
    }
    return {
        "rows": len(rows),
        "live": sum(group["count_all"] for group in groups if group["fate"] is None),
        "rejected": by_fate["rejected"],
        "duplicates": by_fate["duplicate"],
        "failed": by_fate["failed"],
    }


def _won(rows: pa.Table, verdicts: pa.Table) -> pa.Table:
    """The winning verdict of each row, in the order of the rows; all null for a live one."""
    winners = first(verdicts)
    return winners.take(pc.index_in(rows["id"], value_set=winners["id"]))


def _where(won: pa.Table, fate: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(won["fate"], fate), values, pa.scalar(None, pa.string()))


def _put(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, values)
    return rows.append_column(name, values)


def _check(verdicts: pa.Table) -> None:
    for name, known in (("step", STEPS), ("fate", FATES)):
        unknown = set(pc.unique(verdicts[name]).to_pylist()) - set(known)
        if unknown:
            found = ", ".join(sorted(map(repr, unknown)))
            raise ManifestError(
                f"the verdicts name the {name} {found}, expected one of {', '.join(known)}; run the step anew"
            )
    if verdicts["id"].null_count or verdicts["reason"].null_count:
        raise ManifestError("a verdict lacks its id or its reason; run the step anew")
    of_nothing = pc.and_(pc.equal(verdicts["fate"], "duplicate"), pc.is_null(verdicts["of"]))
    if pc.any(of_nothing).as_py():
        raise ManifestError("a verdict says duplicate, yet names no row that is kept; run the step anew")

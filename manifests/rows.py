"""The verbs on rows: gain results, take failures out as verdicts, stay in order; no verb deletes a row."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns, verdicts
from manifests.sql import query, quoted
from manifests.store import Results, digest_name, part_name

_PLACE = {
    name: (index, rank)
    for index, column in enumerate(columns.COLUMNS.values())
    for rank, name in enumerate([column.name, digest_name(column.name), part_name(column.name)])
}


def absorb(rows: pa.Table, results: pa.Table, of: Results, *, again: bool = False) -> pa.Table:
    """Rows with what a stage wrote about them; a row that it made others of is replaced by these.

    A row's parent is a row of the step before: with `again`, an earlier stage of this step made rows, too,
    and theirs are passed on.

    Rows without a result (dead ones, failed ones) stay as they are, with nulls in the new columns.
    """
    good = results.filter(pc.is_null(results["error"]))
    names = of.row_columns
    for name in names:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(len(rows), good.schema.field(name).type))
    inherited = [name for name in rows.column_names if name not in {*names, "id", "parent_id"}]
    kept = ", ".join(f"r.{quoted(name)}" for name in inherited)
    made = ", ".join(f"g.{quoted(name)}" for name in names if name != "id")
    own = ", ".join(f"r.{quoted(name)}" for name in names if name != "id")
    parent = "coalesce(r.parent_id, nullif(r.id, g.id))" if again else "nullif(r.id, g.id)"
    new = f"g.id as id, {parent} as parent_id" if of.makes_rows else "r.id as id, r.parent_id as parent_id"
    statement = f"""
        select {new}, {kept}, {made} from rows r join good g on r.id = g.{of.key}
        union all
        select r.id, r.parent_id, {kept}, {own} from rows r anti join good g on r.id = g.{of.key}
    """
    order = ["id", "parent_id", *inherited, *(name for name in names if name != "id")]
    answer = query(statement, {"rows": rows, "good": good})
    schema = pa.schema([rows.schema.field(name) for name in order])
    return ordered(answer.rename_columns(order).cast(schema))


def failures(results: pa.Table, of: Results) -> pa.Table:
    """The verdicts of the rows on which a stage failed."""
    bad = results.filter(pc.is_valid(results["error"]))
    split = [error.partition(": ") for error in bad["error"].to_pylist()]
    return pa.Table.from_pylist(
        [
            {"id": id_, "step": of.step, "fate": "failed", "reason": reason, "detail": detail}
            for id_, (reason, _, detail) in zip(bad[of.key].to_pylist(), split, strict=True)
        ],
        schema=verdicts.SCHEMA,
    )


def ordered(rows: pa.Table) -> pa.Table:
    """Rows by id, columns in the order in which they are defined."""
    last = (len(_PLACE), 0)
    names = sorted(rows.column_names, key=lambda name: (_PLACE.get(name, last), name))
    return rows.select(names).sort_by("id").combine_chunks()

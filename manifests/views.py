"""Every step as a SQL view: rows with their fates; files are opened by us, the database reaches nothing."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow as pa

from manifests import columns, sql, verdicts
from manifests.errors import RecipeError, nearest
from manifests.manifest import Manifest, finished
from manifests.store import digest_name, part_name, read_side

_UNKNOWN = re.compile(r"Table with name (\S+) does not exist")


def step_view(out: Path, step: str, sides: tuple[str, ...] = ()) -> pa.Table:
    """The rows of a step with their fates; side columns (frames, media) only when asked for by name."""
    manifest = Manifest.open(out, step)
    rows = verdicts.with_fates(manifest.all_rows(), manifest.table("verdicts"))
    for side in sides:
        if part_name(side) in rows.column_names:
            rows = rows.append_column(side, read_side(out, rows, side))
    hidden = [f(name) for name, c in columns.COLUMNS.items() if c.side for f in (digest_name, part_name)]
    return rows.drop_columns([name for name in hidden if name in rows.column_names])


def ask(out: Path, statement: str) -> pa.Table:
    """The answer to one SQL statement over the views of a work directory.

    Views: every finished step, `verdicts` (of the last step), and the tables that steps published (`sources`,
    `pairs`, `groups`, `plan`, `files`). Only what the statement names is read. Raises RecipeError for wrong
    SQL, ManifestError for a directory without a finished step and for files that are damaged or gone.
    """
    words = _words(statement)
    with sql.connect() as connection:
        names = sorted(
            {name for step in finished(out).values() for name in _register(connection, step, words)}
        )
        try:
            found = connection.extract_statements(statement)
            if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
                raise RecipeError(
                    "sql takes one select statement; the views can be read, nothing can be written"
                )
            if words == {"show", "tables"}:
                return pa.table({"view": names})
            return _plain(connection.sql(statement).to_arrow_table())
        except duckdb.Error as error:
            unknown = _UNKNOWN.search(str(error))
            told = f"no view {unknown[1]!r}; {nearest(unknown[1], names)}" if unknown else f"{error}"
            raise RecipeError(f"{told}\nviews: {', '.join(names)}") from error


def _plain(table: pa.Table) -> pa.Table:
    """A sum of integers is one, too: DuckDB's are of 128 bits, which few readers know. What does not fit in
    64 becomes a float."""
    for at, column in enumerate(table.schema):
        if pa.types.is_decimal(column.type) and column.type.scale == 0:
            try:
                plain = table.column(at).cast(pa.int64())
            except pa.ArrowInvalid:
                plain = table.column(at).cast(pa.float64())
            table = table.set_column(at, column.name, plain)
    return table


def _register(connection: duckdb.DuckDBPyConnection, manifest: Manifest, words: set[str]) -> list[str]:
    """Register a step's view and tables, but read only those that the statement names."""
    step, tables = manifest.step, sorted(manifest.record["tables"])
    for name in words & {step, *tables}:
        table = step_view(manifest.out, step, _sides(words)) if name == step else manifest.table(name)
        connection.register(name, table)
    return [step, *tables]


def _sides(words: set[str]) -> tuple[str, ...]:
    return tuple(name for name, column in columns.COLUMNS.items() if column.side and name in words)


def _words(statement: str) -> set[str]:
    """The names in a statement, in lower case as SQL compares them; texts and comments name nothing."""
    if not statement.strip():
        raise RecipeError("sql takes one select statement, found none; such as: select * from split limit 3")
    content = statement.encode()
    tokens = duckdb.tokenize(statement)
    ends = [begin for begin, _ in tokens[1:]] + [len(content)]
    named = (duckdb.token_type.identifier, duckdb.token_type.keyword)
    return {
        content[begin:end].decode().strip().strip('"').lower()
        for (begin, kind), end in zip(tokens, ends, strict=True)
        if kind in named
    }

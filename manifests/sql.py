"""One way to ask a question of Arrow tables: a DuckDB connection that can reach nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

# Division by nought is null: DuckDB's NaN would compare as the largest number and pass a `>= $min`.
_SETTINGS = """
    set enable_external_access = false; set threads = 2; set python_enable_replacements = false;
    set ieee_floating_point_ops = false; set error_on_division_by_zero = false; set lock_configuration = true
"""


def connect() -> duckdb.DuckDBPyConnection:
    """An in-memory database without access to files, network or extensions; its configuration is locked."""
    connection = duckdb.connect()
    connection.execute(_SETTINGS)
    return connection


def query(
    statement: str, tables: Mapping[str, pa.Table], parameters: Mapping[str, object] | None = None
) -> pa.Table:
    """The answer to one statement over named tables; raises duckdb.Error for a wrong statement."""
    with connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        relation = connection.sql(statement, params=dict(parameters or {}))
        return relation.to_arrow_table()


def quoted(name: str) -> str:
    """A column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'

"""Tables for people and for other programs: text, CSV that spreadsheets cannot execute, JSON."""

from __future__ import annotations

import base64
import csv
import io
from typing import Any

import pyarrow as pa

WIDEST = 48


def as_text(table: pa.Table) -> str:
    """Columns side by side, long values cut."""
    cells = [table.column_names, *([_short(v) for v in row.values()] for row in table.to_pylist())]
    widths = [max(len(line[at]) for line in cells) for at in range(table.num_columns)]
    return "\n".join(
        "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def inert(text: str) -> str:
    """Text from data cannot steer a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() or c in "\n " else repr(c)[1:-1] for c in text)


def csv_text(table: pa.Table) -> str:
    """CSV; a cell that a spreadsheet would take for a formula gets a leading quote (OWASP, CSV injection)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows([_quoted(value) for value in row.values()] for row in table.to_pylist())
    return buffer.getvalue().rstrip("\n")


def json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as JSON values; bytes in base64, times as text."""
    return [{name: _json(value) for name, value in row.items()} for row in table.to_pylist()]


def _short(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _quoted(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, dict):
        return {name: _json(one) for name, one in value.items()}
    return value if isinstance(value, int | float | str | bool | None) else str(value)

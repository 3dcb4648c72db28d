"""Tables for people and for other programs: text, CSV that spreadsheets cannot execute, JSON."""

from __future__ import annotations

import base64
import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

# A column that has to shrink keeps as much of its longest value.
NARROWEST = 8


def as_text(table: pa.Table, line_cells: int | None = None) -> str:
    """A table as lines of text, each row one line; with `line_cells` no line is wider, as long as columns may
    shrink (the widest first), and a last line says so."""
    rows = [list(row.values()) for row in table.to_pylist()]
    text = aligned(table.column_names, rows, line_cells=line_cells)
    whole = line_cells is None or text == aligned(table.column_names, rows)
    return text if whole else f"{text}\n(cut to the width of the terminal; --wide shows cells whole)"


def aligned(head: Sequence[str], rows: Iterable[Sequence[Any]], *, line_cells: int | None = None) -> str:
    """Columns side by side: numbers to the right, the rest to the left.

    In lines wider than `line_cells` texts are cut, numbers never; then the gaps of two become gaps of one.
    """
    rows = list(rows)
    texts = [[_cell(value) for value in line] for line in (head, *rows)]
    widths = [max(map(_width, column)) for column in zip(*texts, strict=True)]
    right = [_numeric(column) for column in zip(*rows, strict=True)] or [False] * len(widths)
    gap = "  "
    if line_cells:
        widths = _shrunk(widths, right, line_cells - 2 * (len(widths) - 1))
        gap = " " if sum(widths) + 2 * (len(widths) - 1) > line_cells else gap
    lines = ([_padded(*cell) for cell in zip(line, widths, right, strict=True)] for line in texts)
    return "\n".join(gap.join(line).rstrip() for line in lines)


def cut(text: str, cells: int) -> str:
    """At most so many cells of a terminal, an ellipsis where something is missing."""
    if _width(text) <= cells:
        return text
    while _width(text) > max(cells - 1, 0):
        text = text[:-1]
    return text + "…"


def inert(text: str) -> str:
    """Text from data cannot steer a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() or c in "\n " else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """`inert`, and a line feed draws no line of its own."""
    return inert(text).replace("\n", "\\n")


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


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return one_line(text)


def _width(text: str) -> int:
    """Cells that a terminal takes for a text: Chinese, Japanese and Korean take two each (UAX #11)."""
    return len(text) + sum(unicodedata.east_asian_width(c) in "WF" for c in text if c > "\u10ff")


def _numeric(column: Iterable[Any]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in column)


def _shrunk(widths: list[int], fixed: list[bool], most: int) -> list[int]:
    """The widths, the largest of those that are not fixed cut down until all fit, none below NARROWEST."""
    limit = max(widths, default=0)
    shrunk = widths
    while limit > NARROWEST and sum(shrunk) > most:
        limit -= 1
        shrunk = [w if whole else min(w, limit) for w, whole in zip(widths, fixed, strict=True)]
    return shrunk


def _padded(text: str, cells: int, right: bool) -> str:
    text = cut(text, cells)
    blank = " " * (cells - _width(text))
    return blank + text if right else text + blank


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

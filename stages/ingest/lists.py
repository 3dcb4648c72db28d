"""Lists of media: parquet, JSONL and CSV files with a path a row, and texts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import RecipeError, RowError
from stages.ingest import texts

PATHS = ("path", "uri", "file", "video", "image")
LONGEST_LINE = 16 << 20


@dataclass(frozen=True)
class Listed:
    """One row of a list."""

    path: str
    texts: tuple[str, ...]


def read_list(path: Path) -> Iterator[Listed]:
    """The rows of a list.

    Raises RecipeError that names the file, the line (of parquet the row) and what to do: for a list that
    cannot be read, for a row without a path, with an address, or with characters that no path or text has.
    """
    for where, row in _rows(path):
        place = next((row[key] for key in PATHS if row.get(key)), None)
        if not isinstance(place, str):
            raise RecipeError(
                f"{path}, {where}: no path; one of the columns {', '.join(PATHS)} must hold it, as text"
            )
        if "://" in place and not place.startswith("file://"):
            raise RecipeError(f"{path}, {where}: {place!r} is remote; copy the media here first")
        if "\0" in place:
            raise RecipeError(f"{path}, {where}: the path {place!r} holds a NUL; no file has such a name")
        yield Listed(_encodable(place.removeprefix("file://"), path, where), _texts(row, path, where))


def _texts(row: dict[str, Any], path: Path, where: str) -> tuple[str, ...]:
    try:
        return texts.from_value(row)
    except (RowError, RecursionError) as error:
        raise RecipeError(f"{path}, {where}: {error}; mend the text or leave it out") from error


def _encodable(text: str, path: Path, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(f"{path}, {where}: no UTF-8 ({error}); write the list as UTF-8") from error
    return text


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with the words for its place."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        yield from _from_parquet(path)
        return
    try:
        # Bytes that are no UTF-8 come through as half characters, so that their line can be named.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as handle:
            yield from _from_csv(path, handle) if kind == ".csv" else _from_jsonl(path, handle)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error


def _from_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in (*PATHS, *texts.KEYS) if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=names):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise RecipeError(
            f"{path}: no parquet that can be read, after row {number}: {error}; write the list anew"
        ) from error


def _from_csv(path: Path, handle: IO[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(line for _, line in _lines(path, handle))
    try:
        for row in reader:
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        # The row begins behind the last one that was read, wherever its quotes led the reader.
        raise RecipeError(
            f"{path}, line {reader.line_num + 1}: {error}; close its quotes, or write the list as JSONL"
        ) from error


def _from_jsonl(path: Path, handle: IO[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in _lines(path, handle):
        if line.strip():
            yield f"line {number}", _parsed(path, number, line)


def _lines(path: Path, handle: IO[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(iter(lambda: handle.readline(LONGEST_LINE + 1), ""), 1):
        if len(line) > LONGEST_LINE:
            raise RecipeError(f"{path}, line {number}: longer than {LONGEST_LINE} characters; one row a line")
        yield number, _encodable(line, path, f"line {number}")


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}, line {number}: no JSON that can be read: {error}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{path}, line {number}: expected a JSON object, found {type(value).__name__}")
    return value

"""Lists of media: parquet, JSONL and CSV files with a path a row, and texts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from manifests.errors import RecipeError
from stages.ingest import texts

PATHS = ("path", "uri", "file", "video", "image")


@dataclass(frozen=True)
class Listed:
    """One row of a list."""

    path: str
    texts: tuple[str, ...]


def read_list(path: Path) -> Iterator[Listed]:
    """The rows of a list; raises RecipeError that names the line for a row without a path or with an
    address."""
    for number, row in enumerate(_rows(path), 1):
        place = next((row[key] for key in PATHS if row.get(key)), None)
        if not isinstance(place, str):
            raise RecipeError(
                f"{path}, row {number}: no path; one of the columns {', '.join(PATHS)} must hold it"
            )
        if "://" in place and not place.startswith("file://"):
            raise RecipeError(f"{path}, row {number}: {place!r} is remote; copy the media here first")
        yield Listed(place.removeprefix("file://"), texts.from_value(row))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix.lower() == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8-sig", newline="") as handle:
        if path.suffix.lower() == ".csv":
            yield from csv.DictReader(handle)
            return
        yield from (_parsed(path, number, line) for number, line in enumerate(handle, 1) if line.strip())


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise RecipeError(f"{path}, line {number}: no JSON: {error}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{path}, line {number}: expected a JSON object, found {type(value).__name__}")
    return value

"""What people said of clips: good, bad or unsure, one vote a clip, the last one counts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from manifests.errors import ManifestError, RecipeError, nearest

VOTES = ("good", "bad", "unsure")
FILE = "votes.jsonl"
_READERS = {".parquet": pq.read_table, ".csv": pa.csv.read_csv, ".jsonl": pa.json.read_json}


@dataclass(frozen=True)
class Votes:
    """The votes of a work directory, in OUT/tune/votes.jsonl; new ones are only remembered, not written,
    unless `keeps`."""

    out: Path
    keeps: bool = False
    by_id: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, *, keeps: bool = False) -> Votes:
        """Raises ManifestError for a file that holds something else."""
        path, found = out / "tune" / FILE, dict[str, str]()
        if path.exists():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                try:
                    vote = json.loads(line)
                    _count(found, vote["id"], vote["vote"])
                except (ValueError, KeyError, TypeError) as error:
                    fault = f"{path}, line {number}, is no vote ({error}); remove the line"
                    raise ManifestError(fault) from error
        return cls(out, keeps, found)

    def cast(self, id_: str, vote: str | None) -> None:
        """Take a vote, or take one back. Raises RecipeError for another word."""
        if vote is not None and vote not in VOTES:
            raise RecipeError(f"a vote is {', '.join(VOTES)}, found {vote!r}")
        _count(self.by_id, id_, vote)
        if self.keeps:
            path = self.out / "tune" / FILE
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps({"id": id_, "vote": vote, "at": time.time()}) + "\n")

    def labels(self) -> dict[str, bool]:
        """Which clips are good, which bad; unsure ones are neither."""
        return {id_: vote == "good" for id_, vote in self.by_id.items() if vote != "unsure"}


def _count(votes: dict[str, str], id_: str, vote: str | None) -> None:
    if vote is None:
        votes.pop(id_, None)
    else:
        votes[id_] = vote


def read_labels(path: Path) -> dict[str, bool]:
    """Labels of a .parquet, .csv or .jsonl file with the columns `id` and `good` (true, false, 1 or 0).

    Raises RecipeError for another file.
    """
    if path.suffix not in _READERS:
        raise RecipeError(f"{path} is no file of labels; {nearest(path.suffix, _READERS)}")
    try:
        table = _READERS[path.suffix](path)
    except (OSError, pa.ArrowException) as error:
        raise RecipeError(f"{path} cannot be read: {str(error).partition(chr(10))[0]}") from error
    rows: list[Mapping[str, Any]] = table.to_pylist()
    if not {"id", "good"} <= set(table.column_names):
        raise RecipeError(f"{path} needs the columns id and good, it has {', '.join(table.column_names)}")
    for row in rows:
        if row["good"] not in (True, False):
            raise RecipeError(f"{path}: good is true, false, 1 or 0, found {row['good']!r}")
    return {str(row["id"]): bool(row["good"]) for row in rows}

"""What became of a drawn corpus: every file and shot of the truth joined with its rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

File = dict[str, Any]
Shot = dict[str, Any]
Row = dict[str, Any]
Clip = tuple[File, Shot, Row | None]


@dataclass(frozen=True)
class Results:
    """Files of the truth, the asset of each path, the rows of each asset or path, what each row id shows."""

    files: list[File]
    assets: dict[str, str | None]
    rows: dict[str, list[Row]]
    contents: dict[str, list[str]]

    def rows_of(self, file: File) -> list[Row]:
        """The rows of a file, by its asset or, when it got none, by its path."""
        return self.rows.get(self.assets.get(file["path"]) or file["path"], [])

    def row_of(self, file: File, shot: Shot) -> Row | None:
        """The row that has the most of a shot; null when none touches it."""
        rows = self.rows_of(file)
        origin_s = first_s(rows)
        touching = [row for row in rows if _shared_s(row, shot, origin_s) > 0]
        return max(touching, key=lambda row: _shared_s(row, shot, origin_s), default=None)

    def clips(self) -> list[Clip]:
        """Every shot with its file and row."""
        return [(file, shot, self.row_of(file, shot)) for file in self.files for shot in file["shots"]]

    def same_content(self, shot: Shot, row: Row) -> bool:
        """Whether a row is the duplicate of one that shows the same as the shot."""
        return shot["content"] in self.contents.get(row["duplicate_of"] or "", [])


def join(files: list[File], rows: list[Row], sources: list[Row]) -> Results:
    """The join; a row is found by its asset and by its own path."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for key in {row["asset_id"], row["source_uri"]} - {None}:
            by_key[key].append(row)
    assets = {source["source_uri"]: source["asset_id"] for source in sources}
    results = Results(files, assets, dict(by_key), {})
    for _, shot, shown in results.clips():
        if shown:
            results.contents.setdefault(shown["id"], []).append(shot["content"])
    return results


def first_s(rows: list[Row]) -> float:
    """When the first of an asset's rows begins: files need not begin at zero, the truth does."""
    return min((row["start_s"] for row in rows if row["start_s"] is not None), default=0.0)


def live(row: Row | None) -> bool:
    return row is not None and not (row["rejected_by"] or row["duplicate_of"] or row["error"])


def fate(row: Row | None) -> str:
    """The row's fate in words, for a note."""
    if row is None:
        return "no row"
    of = row["duplicate_of"]
    return str(row["error"] or row["rejected_by"] or (f"duplicate of {of}" if of else "live"))


def _shared_s(row: Row, shot: Shot, origin_s: float) -> float:
    """Seconds that row and shot have in common; a row or a shot without times covers all."""
    if row["start_s"] is None or shot["start_s"] is None:
        return 1.0
    start_s, end_s = row["start_s"] - origin_s, row["end_s"] - origin_s
    return float(min(end_s, shot["end_s"]) - max(start_s, shot["start_s"]))

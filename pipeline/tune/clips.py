"""What people see of a row: its pictures, its media as bytes, and the words on its card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import verdicts
from manifests.manifest import Manifest, finished
from manifests.store import part_name, read_side
from pipeline.stale import stale_steps
from pipeline.tune.places import Places

CARD = (
    *("id", "source_uri", "corpus", "kind", "start_s", "end_s", "duration_s", "width_px", "height_px"),
    *("best_text", "source_texts"),
)
# The types that browsers play or show; of others they see the stored frames.
TYPES = {
    "video": {".mp4": "video/mp4", ".webm": "video/webm", ".m4v": "video/mp4", ".mov": "video/mp4"},
    "image": {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"},
}
TEXT_CHARACTERS = 400
KEPT_FRAMES = 256


@dataclass(frozen=True)
class Clips:
    """The rows of a work directory as people look at them; `manifest` is the latest step that has frames."""

    out: Path
    manifest: Manifest
    _frames: dict[str, list[bytes]] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, out: Path, *, assets: bool = False) -> Clips:
        """Of the last step up to `score`, or of `assets` as they were ingested; raises ManifestError when
        none is finished."""
        found = finished(out)
        steps = ("ingest",) if assets else ("score", "split", "ingest")
        return cls(out, next(found[step] for step in steps if step in found))

    def has(self, id_: str) -> bool:
        """Whether there is a row of that id."""
        return self._places.find(id_) is not None

    @cached_property
    def _rows(self) -> pa.Table:
        """What is needed to find a row's pictures and media, of every row."""
        first = next(iter(self.manifest.record["rows"].values()))
        known = pa.parquet.read_schema(self.manifest.folder / first).names
        names = ["id", *CARD[1:], "location", part_name("frames")]
        return self.manifest.all_rows([name for name in dict.fromkeys(names) if name in known])

    @cached_property
    def _places(self) -> Places:
        return Places.of(self._rows["id"])

    def _row(self, id_: str) -> pa.Table | None:
        place = self._places.find(id_)
        return None if place is None else self._rows.slice(place, 1)

    def card(self, id_: str) -> dict[str, Any]:
        """What a card says of a row: its place, its text; only the id of a row that is not there."""
        found = self._row(id_)
        if found is None:
            return {"id": id_}
        row = found.to_pylist()[0]
        text = row.get("best_text") or next(iter(row.get("source_texts") or []), None)
        told = {name: row.get(name) for name in CARD[:-2]}
        text = text[:TEXT_CHARACTERS] if text else None
        return {**told, "text": text, "plays": self._type(row), "frames": len(self.frames(id_))}

    def frames(self, id_: str) -> list[bytes]:
        """The stored JPEG frames of a row; none where it has none, or is unknown."""
        if id_ not in self._frames:
            while len(self._frames) >= KEPT_FRAMES:
                self._frames.pop(next(iter(self._frames)))
            self._frames[id_] = self._read_frames(id_)
        return self._frames[id_]

    def _read_frames(self, id_: str) -> list[bytes]:
        row = self._row(id_)
        if row is None or part_name("frames") not in row.column_names:
            return []
        (held,) = read_side(self.out, row, "frames").to_pylist()
        return [frame["jpeg"] for frame in held or []]

    def media(self, id_: str) -> tuple[Path, int, int, str] | None:
        """(file, offset, bytes, media type) of the file or tar member that a row comes from; None where it is
        not there any more."""
        found = self._row(id_)
        if found is None:
            return None
        row = found.to_pylist()[0]
        place, path = row["location"], Path(row["location"]["path"])
        if not path.is_file():
            return None
        size = place["size"] if place["offset"] is not None else path.stat().st_size
        return path, place["offset"] or 0, size, self._type(row) or "application/octet-stream"

    def _type(self, row: Mapping[str, Any]) -> str | None:
        """The media type, where a browser plays such files."""
        return TYPES.get(row["kind"] or "", {}).get(Path(row["source_uri"] or "").suffix.lower())


def failures(out: Path, *, examples: int = 5) -> list[dict[str, Any]]:
    """The failed rows by step and reason, with the first few of each, as far as steps still follow from what
    was run before them; rules that fail what they cannot score are among them."""
    steps = finished(out)
    fresh = [m for step, m in steps.items() if step not in stale_steps(steps)]
    given = verdicts.first(fresh[-1].table("verdicts"))
    bad = given.filter(pc.equal(given["fate"], "failed"))
    counts = bad.group_by(["step", "reason"]).aggregate([([], "count_all")])
    told = []
    for group in counts.sort_by([("count_all", "descending"), ("reason", "ascending")]).to_pylist():
        mine = bad.filter(
            pc.and_(pc.equal(bad["step"], group["step"]), pc.equal(bad["reason"], group["reason"]))
        )
        first = mine.select(["id", "detail"]).slice(0, examples)
        told.append(
            {
                "step": group["step"],
                "reason": group["reason"],
                "rows": group["count_all"],
                "examples": _named(out, first.to_pylist()),
            }
        )
    return told


def _named(out: Path, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the file that each comes from: an asset's, as failed rows may be in no later step."""
    rows = list(rows)
    uris: dict[str, str] = {}
    for step in ("ingest", "split"):
        if found := Manifest.find(out, step):
            table = found.all_rows(["id", "source_uri"])
            mine = table.filter(pc.is_in(table["id"], value_set=pa.array([row["id"] for row in rows])))
            uris |= dict(zip(mine["id"].to_pylist(), mine["source_uri"].to_pylist(), strict=True))
    return [{**row, "uri": uris.get(row["id"])} for row in rows]

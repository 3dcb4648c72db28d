"""A committed step: its rows by bucket, its verdicts, its tables, and the record that makes them count."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import files, verdicts
from manifests.errors import ManifestError
from manifests.store import Results

FORMAT = 1
PARTS = pa.schema(
    [("path", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string()), ("table", pa.string())]
)
_SHAPE = {"inputs": str, "rows": dict, "tables": dict, "counts": dict, "parts": str}


@dataclass(frozen=True)
class Manifest:
    """What a step committed. Raises ManifestError when there is no record, one that cannot be read, or one of
    another format, and when a file that it names is damaged or gone."""

    out: Path
    step: str
    record: Mapping[str, Any]

    @classmethod
    def open(cls, out: Path, step: str) -> Manifest:
        found = cls.find(out, step)
        if found is None:
            raise ManifestError(f"{out / step} holds no finished step; run `reelmix run --out {out}` first")
        return found

    @classmethod
    def find(cls, out: Path, step: str) -> Manifest | None:
        """The committed step, or None."""
        path = out / step / "record.json"
        if not path.exists():
            return None
        if fault := broken_record(out, step):
            raise ManifestError(f"{fault}; {files.remedy(out)}")
        record = files.read_json(path)
        if record["format"] != FORMAT:
            raise ManifestError(
                f"{path} has format {record['format']}, expected {FORMAT}; use another OUT folder"
            )
        return cls(out, step, record)

    @property
    def folder(self) -> Path:
        return self.out / self.step

    @property
    def digest(self) -> str:
        """Changes whenever anything that this step committed changes; clock times and hosts are no part of
        it."""
        return files.sha256(self.folder / "record.json")

    def parts(self) -> pa.Table:
        """Every file of this step that counts: path in the step's folder, size, the first digits of its
        SHA-256 (all 64 but for results, whose names hold 32), and the table it belongs to."""
        return files.read_table(self.out, self.folder / self.record["parts"])

    def buckets(self) -> list[str]:
        """The buckets that rows lie in; [""] when there is one only."""
        return sorted(self.record["rows"])

    def rows(self, bucket: str, names: list[str] | None = None) -> pa.Table:
        """The rows of one bucket, by id; without fates."""
        return files.read_table(self.out, self.folder / self.record["rows"][bucket], names)

    def all_rows(self, names: list[str] | None = None) -> pa.Table:
        """The rows of every bucket. Ask for few columns: this is the one read whose size grows with the
        corpus."""
        return pa.concat_tables([self.rows(bucket, names) for bucket in self.buckets()])

    def table(self, name: str) -> pa.Table:
        """A table that the step published: `verdicts` (all so far), `sources`, `pairs`, `groups`, `plan`,
        …"""
        if name not in self.record["tables"]:
            raise ManifestError(f"{self.step} has no table {name!r}; it has {sorted(self.record['tables'])}")
        return files.read_table(self.out, self.folder / self.record["tables"][name])


def finished(out: Path) -> dict[str, Manifest]:
    """The committed steps of a work directory, in their order; raises ManifestError when there is none."""
    found = {step: m for step in verdicts.STEPS if (m := Manifest.find(out, step))}
    if not found:
        raise ManifestError(f"{out} holds no finished step; name the folder of a `reelmix run --out`")
    return found


def broken_record(out: Path, step: str) -> str:
    """Why the record of a step cannot be used, whatever its format; empty when it can, or there is none."""
    path = out / step / "record.json"
    if not path.exists():
        return ""
    with files.reading(out, path):
        content = path.read_bytes()
    try:
        record = json.loads(content)
    except ValueError as error:
        return f"{path} is no JSON ({error})"
    if not isinstance(record, dict) or "format" not in record:
        return f"{path} is no record of a step"
    if record["format"] != FORMAT:
        return ""
    wrong = [name for name, kind in _SHAPE.items() if not isinstance(record.get(name), kind)]
    if wrong:
        return f"{path} lacks {', '.join(wrong)}"
    return "" if record.get("sha256") in (None, _own(record)) else f"{path} was changed after it was written"


def put(folder: Path, name: str, table: pa.Table) -> str:
    """Write a table under a name that its content decides, so that nothing which an old record lists is
    overwritten, unless it is no longer what its name says."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}.parquet"
    if not path.exists() or path.read_bytes() != content:
        files.write_bytes(path, content)
    return path.name


def commit(out: Path, step: str, record: Mapping[str, Any], results: list[Results]) -> Manifest:
    """Make a step count: list its files with sizes and hashes, then write the record, then drop what no
    record lists.

    `record` names the row files by bucket (`rows`) and the published tables (`tables`), written by `put`
    before. It is written with the digest of the step before (`before`), from which this one was made, and one
    of its own content (`sha256`).
    """
    folder = out / step
    listed = put(folder, "parts", _list_parts(folder, record, results))
    record = {**record, "format": FORMAT, "step": step, "before": _before(out, step), "parts": listed}
    files.write_json(folder / "record.json", {**record, "sha256": _own(record)})
    keep = {listed, *record["rows"].values(), *record["tables"].values()}
    for stale in folder.glob("*.parquet"):
        if stale.name not in keep:
            stale.unlink()
    return Manifest.open(out, step)


def _own(record: Mapping[str, Any]) -> str:
    """The digest of a record's content, but for the digest."""
    content = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _before(out: Path, step: str) -> str:
    """The digest of the step before, as it is now; empty when it is not finished."""
    at = verdicts.STEPS.index(step)
    found = Manifest.find(out, verdicts.STEPS[at - 1]) if at else None
    return found.digest if found else ""


def _list_parts(folder: Path, record: Mapping[str, Any], results: list[Results]) -> pa.Table:
    own = [(folder / name, "rows") for name in sorted(record["rows"].values())]
    own += [(folder / name, table) for table, name in sorted(record["tables"].items())]
    listed = [_line(folder, path, table, files.sha256(path)) for path, table in own]
    for result in results:
        # What the name has said since the part was written, whatever lies there now; old names say nothing.
        listed += [
            _line(folder, path, result.stage, files.promised(path) or files.sha256(path))
            for path in sorted(result.folder.glob("*.parquet"))
        ]
    return pa.Table.from_pylist(listed, schema=PARTS)


def _line(folder: Path, path: Path, table: str, sha256: str) -> dict[str, Any]:
    return {
        "path": str(path.relative_to(folder)),
        "bytes": path.stat().st_size,
        "sha256": sha256,
        "table": table,
    }

"""A committed step: its rows by bucket, its verdicts, its tables, and the record that makes them count."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import files
from manifests.errors import ManifestError
from manifests.store import Results

FORMAT = 1
PARTS = pa.schema(
    [("path", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string()), ("table", pa.string())]
)


@dataclass(frozen=True)
class Manifest:
    """What a step committed. Raises ManifestError when there is no record, or one of another format."""

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
        record = files.read_json(path)
        if record.get("format") != FORMAT:
            raise ManifestError(
                f"{path} has format {record.get('format')}, expected {FORMAT}; use another OUT folder"
            )
        return cls(out, step, record)

    @property
    def folder(self) -> Path:
        return self.out / self.step

    @property
    def digest(self) -> str:
        """Changes whenever anything that this step committed changes; clock times and hosts are no part of
        it."""
        return hashlib.sha256((self.folder / "record.json").read_bytes()).hexdigest()

    def parts(self) -> pa.Table:
        """Every file of this step that counts: path in the step's folder, size, hash, and the table it
        belongs to."""
        return pq.read_table(self.folder / self.record["parts"])

    def buckets(self) -> list[str]:
        """The buckets that rows lie in; [""] when there is one only."""
        return sorted(self.record["rows"])

    def rows(self, bucket: str, names: list[str] | None = None) -> pa.Table:
        """The rows of one bucket, by id; without fates."""
        return pq.read_table(self.folder / self.record["rows"][bucket], columns=names)

    def all_rows(self, names: list[str] | None = None) -> pa.Table:
        """The rows of every bucket. Ask for few columns: this is the one read whose size grows with the
        corpus."""
        return pa.concat_tables([self.rows(bucket, names) for bucket in self.buckets()])

    def table(self, name: str) -> pa.Table:
        """A table that the step published: `verdicts` (all so far), `sources`, `pairs`, `groups`, `plan`,
        …"""
        if name not in self.record["tables"]:
            raise ManifestError(f"{self.step} has no table {name!r}; it has {sorted(self.record['tables'])}")
        return pq.read_table(self.folder / self.record["tables"][name])


def put(folder: Path, name: str, table: pa.Table) -> str:
    """Write a table under a name that its content decides, so that nothing which an old record lists is
    overwritten."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}.parquet"
    if not path.exists():
        files.write_bytes(path, content)
    return path.name


def commit(out: Path, step: str, record: Mapping[str, Any], results: list[Results]) -> Manifest:
    """Make a step count: list its files with sizes and hashes, then write the record, then drop what no
    record lists.

    `record` names the row files by bucket (`rows`) and the published tables (`tables`), written by `put`
    before.
    """
    folder = out / step
    listed = put(folder, "parts", _list_parts(out, step, record, results))
    files.write_json(folder / "record.json", {**record, "format": FORMAT, "step": step, "parts": listed})
    keep = {listed, *record["rows"].values(), *record["tables"].values()}
    for stale in folder.glob("*.parquet"):
        if stale.name not in keep:
            stale.unlink()
    return Manifest.open(out, step)


def _list_parts(out: Path, step: str, record: Mapping[str, Any], results: list[Results]) -> pa.Table:
    folder = out / step
    before = Manifest.find(out, step)
    known = {row["path"]: row for row in before.parts().to_pylist()} if before else {}
    listed: list[dict[str, Any]] = []
    for path, table in _paths(folder, record, results):
        name, size = str(path.relative_to(folder)), path.stat().st_size
        old = known.get(name)
        sha = old["sha256"] if old and old["bytes"] == size else files.sha256(path)
        listed.append({"path": name, "bytes": size, "sha256": sha, "table": table})
    return pa.Table.from_pylist(listed, schema=PARTS)


def _paths(folder: Path, record: Mapping[str, Any], results: list[Results]) -> Iterator[tuple[Path, str]]:
    for name in sorted(record["rows"].values()):
        yield folder / name, "rows"
    for table, name in sorted(record["tables"].items()):
        yield folder / name, table
    for result in results:
        for path in sorted(result.folder.glob("*.parquet")):
            yield path, result.stage

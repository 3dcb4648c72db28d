"""How samples become one shard: a tar, its index, its manifest in parquet and its counts, under one stem."""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from manifests import columns
from manifests.errors import ManifestError
from manifests.files import replacing, sha256, write_bytes, write_table
from stages.pack import tar

SCHEMA_VERSION = "1"
ENDINGS = (".tar", ".tar.idx", "_stats.json", ".parquet")
_PLAN = ("shard", "shard_index")

ROW_COLUMNS = tuple(
    name
    for name, column in columns.COLUMNS.items()
    if column.group != "fate" and not column.side and not column.resource and name not in _PLAN
)
# What dedup compares pictures by stays in the parquet: unsigned 64 bits overflow in most readers of JSON, and
# no training job reads them.
JSON_COLUMNS = tuple(name for name in ROW_COLUMNS if name not in ("phashes", "colours"))

_NUMBERS = ("header_offset", "media_offset", "txt_offset", "txt_size", "json_offset", "json_size")
PLACES = ("key", *_PLAN, *_NUMBERS, "txt_sha256")


def _manifest(more: Iterable[str]) -> pa.Schema:
    """The schema of a shard's parquet; `more` are measures that only this recipe takes."""
    numbers = [pa.field(name, pa.int64()) for name in _NUMBERS]
    own = [
        pa.field("key", pa.string()),
        *columns.schema(_PLAN),
        *numbers,
        pa.field("txt_sha256", pa.string()),
    ]
    return pa.schema([*own, *columns.schema([*ROW_COLUMNS, *more])])


def size_column(member: str) -> str:
    """The parquet column with the size in bytes of a sample's `media`, `txt` or `json`."""
    return "media_bytes" if member == "media" else f"{member}_size"


@dataclass(frozen=True)
class Sample:
    """A row, the bytes of its media as `media_ext` names them, and its text (may be empty)."""

    row: Mapping[str, Any]
    media: bytes
    text: str


class _Counted:
    """A file that knows its size and digests while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._bytes = 0
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False)

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self.sha256.update(content)
        self.md5.update(content)
        self._bytes += len(content)

    def tell(self) -> int:
        return self._bytes


def sample_json(row: Mapping[str, Any], schema: pa.Schema) -> bytes:
    """A row as the JSON of a sample: the keys of `schema` in its order, always all of them.

    Floats are written as floats, unknown values as null, text as UTF-8. Raises ManifestError for NaN and
    infinity.
    """
    value = {field.name: _plain(field, row.get(field.name)) for field in schema}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(field: pa.Field, value: Any) -> Any:
    if value is None:
        return None
    if pt.is_list(field.type):
        return [_plain(field.type.value_field, one) for one in value]
    if pt.is_struct(field.type):
        return {inner.name: _plain(inner, value.get(inner.name)) for inner in field.type}
    if not pt.is_floating(field.type):
        return value
    if not math.isfinite(value):
        raise ManifestError(
            f"{field.name} is {value}; an unknown number must be null. Mend the stage that wrote it"
        )
    return float(value)


def write_shard(
    folder: Path, name: str, samples: Iterable[Sample], *, inputs: str = "", more: Iterable[str] = ()
) -> dict[str, Any]:
    """Write shards/NAME.tar, .tar.idx, _stats.json and, last, .parquet; returns `read_summary`.

    Samples come in ascending order of their ids. `inputs` is whatever tells the caller that the shard need
    not be written again (a digest of what it is made from). The parquet marks the shard complete: it is
    removed first and written last. Its rows are ROW_COLUMNS and `more` with key, shard (relative to
    `folder`), place, offsets and digests; offsets are those of contents, `header_offset` that of the sample.
    Raises ManifestError for an empty shard, ids out of order, mixed extensions, or media that is not what the
    row says.
    """
    shards, more = folder / "shards", sorted(more)
    (shards / f"{name}.parquet").unlink(missing_ok=True)
    with replacing(shards / f"{name}.tar") as file:
        counted = _Counted(file)
        rows = _append_all(counted, f"shards/{name}.tar", samples, more)
        end = counted.tell()
        tar.finish(counted)
    if not rows:
        raise ManifestError(f"no samples for shard {name}; an empty shard stops megatron-energon, plan none")
    write_bytes(shards / f"{name}.tar.idx", tar.index([*(row["header_offset"] for row in rows), end]))
    write_bytes(shards / f"{name}_stats.json", stats(len(rows)))
    facts = {
        "reelmix.schema": SCHEMA_VERSION,
        "reelmix.json_columns": ",".join([*JSON_COLUMNS, *more]),
        "reelmix.tar_bytes": str(counted.tell()),
        "reelmix.tar_sha256": counted.sha256.hexdigest(),
        "reelmix.tar_md5": counted.md5.hexdigest(),
        "reelmix.inputs": inputs,
    }
    table = pa.Table.from_pylist(rows, schema=_manifest(more).with_metadata(facts))
    write_table(shards / f"{name}.parquet", table)
    return read_summary(folder, name)


def _append_all(
    counted: _Counted, shard: str, samples: Iterable[Sample], more: list[str]
) -> list[dict[str, Any]]:
    schema = columns.schema([*JSON_COLUMNS, *more])
    rows: list[dict[str, Any]] = []
    for index, sample in enumerate(samples):
        _check(sample, rows[-1] if rows else None)
        contents = {
            sample.row["media_ext"]: sample.media,
            "txt": sample.text.encode(),
            "json": sample_json(sample.row, schema),
        }
        header_offset = counted.tell()
        media, text, facts = tar.append(counted, sample.row["id"], contents)
        place = {
            "key": sample.row["id"],
            "shard": shard,
            "shard_index": index,
            "header_offset": header_offset,
            "media_offset": media.offset,
            "txt_offset": text.offset,
            "txt_size": text.size,
            "json_offset": facts.offset,
            "json_size": facts.size,
            "txt_sha256": hashlib.sha256(contents["txt"]).hexdigest(),
        }
        rows.append({**{name: sample.row.get(name) for name in (*ROW_COLUMNS, *more)}, **place})
    return rows


def _check(sample: Sample, before: Mapping[str, Any] | None) -> None:
    row = sample.row
    if (
        row["media_bytes"] != len(sample.media)
        or row["media_sha256"] != hashlib.sha256(sample.media).hexdigest()
    ):
        raise ManifestError(
            f"the stored media of {row['id']} is not what its row says; remove it and cut it again"
        )
    if before and before["id"] >= row["id"]:
        raise ManifestError(
            f"sample {row['id']} follows {before['id']}; samples come once each, in order of their ids"
        )
    if before and before["media_ext"] != row["media_ext"]:
        raise ManifestError(
            f"{row['id']} is {row['media_ext']} beside {before['media_ext']}; one kind of media a dataset"
        )


def stats(samples: int) -> bytes:
    """The counts of a shard under the names of img2dataset 1.x, without its clock times."""
    value = {
        "count": samples,
        "successes": samples,
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "status_dict": {"success": samples},
    }
    return (json.dumps(value, indent=1) + "\n").encode()


def read_summary(folder: Path, name: str) -> dict[str, Any]:
    """What the parquet of a complete shard says of it: counts, sizes in bytes, digests, `inputs`.

    Raises ManifestError when there is none, which means that the shard is not complete.
    """
    path = folder / "shards" / f"{name}.parquet"
    try:
        table = pq.read_table(path, columns=["media_ext", "media_bytes", "duration_s"])
        facts = {key.decode(): value.decode() for key, value in pq.read_schema(path).metadata.items()}
        return {
            "name": name,
            "samples": len(table),
            "media_ext": table["media_ext"][0].as_py(),
            "media_bytes": sum(table["media_bytes"].to_pylist()),
            "media_s": math.fsum(second or 0.0 for second in table["duration_s"].to_pylist()),
            "tar_bytes": int(facts["reelmix.tar_bytes"]),
            "tar_sha256": facts["reelmix.tar_sha256"],
            "tar_md5": facts["reelmix.tar_md5"],
            "parquet_bytes": path.stat().st_size,
            "parquet_sha256": sha256(path),
            "json_columns": facts["reelmix.json_columns"].split(","),
            "schema": facts["reelmix.schema"],
            "inputs": facts["reelmix.inputs"],
        }
    except (OSError, pa.ArrowException, KeyError, IndexError, ValueError) as error:
        raise ManifestError(
            f"shard {name} has no readable manifest ({error}); write the shard again"
        ) from error


def beside(name: str, table: pa.Table) -> dict[str, bytes]:
    """The small files of a shard, by name, as its parquet (`table`) says that they are."""
    last = table.slice(len(table) - 1).to_pylist()[0]
    return {
        f"{name}.tar.idx": tar.index([*table["header_offset"].to_pylist(), end(last)]),
        f"{name}_stats.json": stats(len(table)),
    }


def end(row: Mapping[str, Any]) -> int:
    """Where the sample after this row begins."""
    return int(row["json_offset"] + row["json_size"] + -row["json_size"] % tarfile.BLOCKSIZE)


def is_there(folder: Path, name: str) -> bool:
    """Whether all four files of a shard are there as its parquet says; of the tar only the size counts."""
    shards = folder / "shards"
    try:
        summary = read_summary(folder, name)
        table = pq.read_table(
            shards / f"{name}.parquet", columns=["header_offset", "json_offset", "json_size"]
        )
        small = all((shards / path).read_bytes() == content for path, content in beside(name, table).items())
        return small and (shards / f"{name}.tar").stat().st_size == summary["tar_bytes"]
    except (ManifestError, OSError):
        return False


def remove_others(folder: Path, names: Iterable[str]) -> list[str]:
    """Remove the shards that are not in `names`, as an earlier plan left them; returns their names.

    Removes what an interrupted write left, too: nobody else may be writing into the folder.
    """
    for path in (folder / "shards").glob(".*.tmp"):
        path.unlink()
    kept = set(names)
    found = {
        path.name.split(".")[0]
        for path in (folder / "shards").glob("*.*")
        if path.suffix in (".tar", ".parquet")
    }
    for name in sorted(found - kept):
        for ending in reversed(ENDINGS):
            (folder / "shards" / f"{name}{ending}").unlink(missing_ok=True)
    return sorted(found - kept)

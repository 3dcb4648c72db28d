"""What a packed shard holds, seen from its tar alone: samples, members, texts; and where a sample came
from."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import ManifestError, RecipeError, RowError
from pipeline.show import aligned, cut
from pipeline.trace import lines as trace_lines
from pipeline.trace import trace
from stages.ingest.headers import Header, headers

# Of a shard the texts and JSON of so many samples are read, and of a sample so much; what is longer is told
# by its size.
SHOWN = 40
LONGEST_BYTES = 1 << 20
LINE = 80
_TEXTS = ("json", "txt")


@dataclass(frozen=True)
class Member:
    """One file of a sample: its extension, and where in the tar its content lies."""

    extension: str
    offset: int
    size: int


def asked(words: str) -> tuple[Path, str] | None:
    """The tar and the key of `SHARD.tar` or `SHARD.tar:KEY`; None for anything else."""
    if words.endswith(".tar"):
        return Path(words), ""
    path, _, key = words.rpartition(":")
    return (Path(path), key) if path.endswith(".tar") else None


def shard(path: Path) -> dict[str, Any]:
    """A shard: `samples`, `bytes`, `members` by extension, what its parquet promises of the tar (`sha256`,
    null without one), and `list`, each sample's key and members, of the first SHOWN with JSON and text.

    Raises RecipeError when there is no such tar, ManifestError for one that cannot be read on.
    """
    found = dict(_samples(path))
    by_extension: dict[str, dict[str, int]] = {}
    for member in (member for members in found.values() for member in members):
        total = by_extension.setdefault(member.extension, {"count": 0, "bytes": 0})
        total["count"], total["bytes"] = total["count"] + 1, total["bytes"] + member.size
    return {
        "shard": str(path),
        "bytes": path.stat().st_size,
        "samples": len(found),
        "members": by_extension,
        "sha256": _promised(path),
        "list": [
            _sample(path, key, members, texts=at < SHOWN) for at, (key, members) in enumerate(found.items())
        ],
    }


def sample(path: Path, wanted: str) -> dict[str, Any]:
    """One sample by the first digits of its key, with `lineage` (as `pipeline.trace`) where the shard lies in
    the work directory that made it, else null. Raises as `shard`, and RecipeError with the nearest key."""
    key, members = _by_parquet(path, wanted) or _by_walk(path, wanted)
    return {"shard": str(path), **_sample(path, key, members), "lineage": _lineage(path, key)}


def _samples(path: Path) -> Iterator[tuple[str, list[Member]]]:
    """The samples of a tar, grouped as webdataset does: folder and name up to the first dot."""
    _there(path)
    try:
        with path.open("rb") as handle:
            plain = [header for header in headers(handle) if header.is_plain]
    except RowError as error:
        raise ManifestError(f"{path} cannot be read: {error.detail}; `reelmix verify` says more") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    for key, group in groupby(plain, _key):
        yield key, [Member(_extension(header), header.offset, header.size) for header in group]


def _there(path: Path) -> None:
    if path.is_file():
        return
    tars = sorted(str(p) for p in path.parent.glob("*.tar")) or [
        str(p) for p in sorted(path.parent.glob("*/*.tar"))
    ]
    near = difflib.get_close_matches(str(path), tars, n=1, cutoff=0.0)
    raise RecipeError(
        f"no shard {path}; {f'the nearest is {near[0]}' if near else 'its folder holds no .tar'}"
    )


def _key(header: Header) -> str:
    name = PurePosixPath(header.name)
    return str(name.parent / name.name.partition(".")[0])


def _extension(header: Header) -> str:
    return PurePosixPath(header.name).name.partition(".")[2]


def _by_walk(path: Path, wanted: str) -> tuple[str, list[Member]]:
    found = dict(_samples(path))
    keys = [wanted] if wanted in found else [key for key in found if key.startswith(wanted)]
    if len(keys) == 1:
        return keys[0], found[keys[0]]
    if keys:
        raise RecipeError(
            f"{len(keys)} samples of {path} begin with {wanted!r}, first {keys[0]}; give more digits"
        )
    near = difflib.get_close_matches(wanted, found, n=1, cutoff=0.0)
    hint = f"the nearest is {near[0]}" if near else "it is empty"
    raise RecipeError(f"no sample of {path} has the key {wanted!r}; {hint}")


def _by_parquet(path: Path, wanted: str) -> tuple[str, list[Member]] | None:
    """A sample's members by the offsets in the shard's parquet; None where it has none, or is not of this
    tar. Raises ManifestError for members that do not lie within the tar."""
    row = _listed(path, wanted)
    if row is None or not _begins(path, row["header_offset"], row["key"].encode()):
        return None
    members = [Member(row["media_ext"], row["media_offset"], row["media_bytes"])]
    members += [Member(ext, row[f"{ext}_offset"], row[f"{ext}_size"]) for ext in _TEXTS[::-1]]
    end = path.stat().st_size
    if None in row.values() or any(not 0 <= m.offset <= m.offset + m.size <= end for m in members):
        raise ManifestError(
            f"{path.with_suffix('.parquet')} places {row['key']} elsewhere than within the {end} bytes of "
            f"{path.name}; `reelmix verify` says more"
        )
    return row["key"], members


def _listed(path: Path, wanted: str) -> dict[str, Any] | None:
    """The one row of the shard's parquet whose key begins so."""
    _there(path)
    numbers = ["header_offset", "media_offset", "media_bytes"]
    numbers += [f"{ext}_{what}" for ext in _TEXTS for what in ("offset", "size")]
    kinds = dict.fromkeys(("key", "media_ext"), pa.string()) | dict.fromkeys(numbers, pa.int64())
    schema = pa.schema(kinds)
    try:
        rows = pq.read_table(path.with_suffix(".parquet"), columns=schema.names).cast(schema)
    except (OSError, ValueError, pa.ArrowException):
        return None
    mine: list[dict[str, Any]] = rows.filter(pc.starts_with(rows["key"], wanted)).to_pylist()
    return mine[0] if len(mine) == 1 else None


def _begins(path: Path, at: int | None, name: bytes) -> bool:
    """Whether a sample's first header stands there."""
    return at is not None and at >= 0 and _read(path, at, len(name)) == name


def _sample(path: Path, key: str, members: list[Member], *, texts: bool = True) -> dict[str, Any]:
    return {
        "key": key,
        "members": [{"extension": m.extension, "offset": m.offset, "bytes": m.size} for m in members],
        **(dict(_texts(path, members)) if texts else {}),
    }


def _texts(path: Path, members: list[Member]) -> Iterator[tuple[str, Any]]:
    """What a sample says by extension; all of it together is bounded."""
    room = LONGEST_BYTES
    for member in members:
        if member.extension.rpartition(".")[2] not in _TEXTS:
            continue
        if member.size > room:
            yield member.extension, f"({member.size} bytes, more than are shown)"
            continue
        room -= member.size
        text = _read(path, member.offset, member.size).decode("utf-8", "backslashreplace")
        yield member.extension, _parsed(member.extension, text)


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text) if name.endswith("json") else text
    except (ValueError, RecursionError):
        return text


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as handle:
            handle.seek(offset)
            return handle.read(size)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def _promised(path: Path) -> str | None:
    try:
        facts = pq.read_schema(path.with_suffix(".parquet")).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return facts.get(b"reelmix.tar_sha256", b"").decode() or None


def _lineage(path: Path, key: str) -> dict[str, Any] | None:
    """The way of a sample, by the work directory above its shard; a copy elsewhere has none."""
    out = next((p for p in path.absolute().parents if (p / "pack" / "record.json").is_file()), None)
    if out is None or not path.absolute().is_relative_to(out.absolute() / "pack"):
        return None
    try:
        found = trace(out, key)
    except (RecipeError, ManifestError):
        return None
    return found if [key] == [row["id"] for row in found["rows"]] else None


def shard_lines(value: dict[str, Any]) -> Iterator[str]:
    """A shard as text for people: totals, then a line a sample."""
    yield f"{value['shard']}: {value['samples']} samples, {value['bytes']} bytes"
    if value["sha256"]:
        yield f"SHA-256 by its parquet: {value['sha256']}"
    totals = [[name, total["count"], total["bytes"]] for name, total in value["members"].items()]
    yield aligned(["members", "count", "bytes"], totals, line_cells=LINE)
    yield ""
    rows = [_row(one, list(value["members"])) for one in value["list"][:SHOWN]]
    yield aligned(["key", *value["members"], "text"], rows, line_cells=LINE)
    if value["samples"] > SHOWN:
        yield f"… and {value['samples'] - SHOWN} more; --json has the keys of all"
    yield f"{value['shard']}:KEY shows one sample with its JSON and where it came from"


def _row(one: dict[str, Any], extensions: list[str]) -> list[Any]:
    sizes = {member["extension"]: member["bytes"] for member in one["members"]}
    return [one["key"], *(sizes.get(name) for name in extensions), one.get("txt", "")]


def sample_lines(value: dict[str, Any]) -> Iterator[str]:
    """A sample as text for people: members, text, JSON, and its way here."""
    yield f"{value['shard']}:{value['key']}"
    members = [[m["extension"], m["bytes"], m["offset"]] for m in value["members"]]
    yield aligned(["member", "bytes", "at byte"], members, line_cells=LINE)
    for name in (m["extension"] for m in value["members"] if m["extension"] in value):
        held = value[name]
        yield f"{name}: {held if isinstance(held, str) else json.dumps(held, indent=1, ensure_ascii=False)}"
    if value["lineage"] is None:
        yield "no work directory above this shard made it: where it came from stands in its JSON only"
        return
    yield "\nits way: " + " -> ".join(_way(value))
    yield from trace_lines(value["lineage"])


def _way(value: dict[str, Any]) -> Iterator[str]:
    lineage = value["lineage"]
    yield from (f"source {cut(file['source_uri'], LINE)}" for file in lineage["files"][:1])
    yield f"asset {lineage['asset_id'][:12]}"
    if value["key"] != lineage["asset_id"]:
        yield f"clip {value['key'][:12]}"
    yield f"shard {Path(value['shard']).name}"

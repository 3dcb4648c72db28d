"""Whether a packed dataset is whole, or which file is to blame: every byte is compared with what its own
manifests promise."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import ManifestError, RowError
from manifests.files import sha256
from stages.pack import cards, shard, tar

_SIDE = ("shards/sizes.json",)


@dataclass(frozen=True)
class Finding:
    """A fault: the file to blame, relative to the dataset, and a sentence about it; `extra` is a file too
    many."""

    path: str
    says: str
    extra: bool = False


def check_dataset(folder: Path, *, media: bool = False) -> list[str]:
    """What `findings` says about a packed dataset, one sentence each, empty when it is whole."""
    return [finding.says for finding in findings(folder, media=media)]


def findings(folder: Path, *, media: bool = False) -> list[Finding]:
    """Findings about a packed dataset, empty when it is whole.

    dataset.json says which shards there are; each shard's parquet says what its tar holds; tar, index,
    counts, JSON and every card are compared with them, byte for byte where they can be made anew. `media`
    has each sample of a whole dataset probed in the guarded child, too. Everything is read once; nothing is
    written and nothing raised for a damaged dataset.
    """
    try:
        summary = cards.read_summary(folder)
    except ManifestError as error:
        return [Finding(cards.SUMMARY, str(error))]
    names = [part["name"] for part in summary["shards"]]
    found = [*_files(folder, names), *_cards(folder, summary)]
    keys: dict[str, str] = {}
    for part in cards.parts(summary):
        found += _shard(folder, part, keys)
    if media and not found:
        found = [finding for name in names for finding in _media(folder, name)]
    return found


def _files(folder: Path, names: list[str]) -> Iterator[Finding]:
    """Files that are missing, and files in shards/ that nobody named."""
    expected = {f"shards/{name}{ending}" for name in names for ending in shard.ENDINGS} | set(_SIDE)
    found = {f"shards/{path.name}" for path in (folder / "shards").glob("*")}
    for path in sorted(expected - found):
        yield Finding(path, f"{path} is missing")
    for path in sorted(found - expected):
        yield Finding(path, f"{path} is extra: {cards.SUMMARY} does not name it", extra=True)


def _cards(folder: Path, summary: Mapping[str, Any]) -> Iterator[Finding]:
    """Cards that are not what dataset.json makes of them; of README.md only the part that machines read."""
    for path, content in cards.cards(summary).items():
        try:
            found = (folder / path).read_bytes()
        except OSError:
            yield Finding(path, f"{path} cannot be read")
            continue
        if path == "README.md":
            same = cards.front_matter(found.decode(errors="replace")) == cards.front_matter(content.decode())
        else:
            same = found == content
        if not same:
            yield Finding(path, f"{path} is not what {cards.SUMMARY} says")
    if summary != cards.summarise(cards.parts(summary), summary["name"], summary["run"]):
        yield Finding(
            cards.SUMMARY, f"{cards.SUMMARY} does not add up: its totals are not those of its shards"
        )
    if (folder / cards.SUMMARY).read_bytes() != cards.written(summary):
        yield Finding(cards.SUMMARY, f"{cards.SUMMARY} was edited by hand")


def _shard(folder: Path, part: Mapping[str, Any], keys: dict[str, str]) -> Iterator[Finding]:
    name, path = part["name"], f"shards/{part['name']}.parquet"
    try:
        found = shard.read_summary(folder, name)
        table = pq.read_table(folder / path)
    except (ManifestError, pa.ArrowException, OSError) as error:
        yield Finding(path, f"{path}: {error}")
        return
    # A parquet of the size and digest that dataset.json gives is the one that was written.
    wrong = cards.SUMMARY if found["parquet_sha256"] == part["parquet_sha256"] else path
    for key, value in part.items():
        if found.get(key) != value:
            yield Finding(wrong, f"{path}: {key} is {found.get(key)}, {cards.SUMMARY} says {value}")
    unusable = _unusable(table, found)
    if unusable:
        yield Finding(path, f"{path} cannot place its samples: {unusable}")
        return
    yield from _keys(name, table, keys)
    yield from _side_files(folder / "shards", name, table)
    yield from _tar(folder / "shards" / f"{name}.tar", table, found)


def _unusable(table: pa.Table, found: Mapping[str, Any]) -> str:
    """Why no sample can be looked up by this parquet; empty when all can."""
    missing = {*shard.PLACES, "media_ext", *found["json_columns"]} - set(table.column_names)
    if missing:
        return f"it lacks {', '.join(sorted(missing))}"
    for member in ("media", "txt", "json"):
        offsets, sizes = table[f"{member}_offset"], table[shard.size_column(member)]
        ends = pc.add(offsets, sizes)
        if offsets.null_count or sizes.null_count or pc.min(offsets).as_py() < tarfile.BLOCKSIZE:
            return f"a place of {member} is unknown"
        if pc.min(sizes).as_py() < 0 or pc.max(ends).as_py() > found["tar_bytes"]:
            return f"a place of {member} lies outside the tar"
    return ""


def _keys(name: str, table: pa.Table, keys: dict[str, str]) -> Iterator[Finding]:
    rows, path = table.select(["id", "key", "shard", "shard_index"]).to_pylist(), f"shards/{name}.parquet"
    for index, row in enumerate(rows):
        if row != {"id": row["key"], "key": row["key"], "shard": f"shards/{name}.tar", "shard_index": index}:
            yield Finding(path, f"{path}: row {index} says {row}; expected this shard and this place")
        if row["key"] in keys:
            yield Finding(path, f"key {row['key']} stands in shard {keys[row['key']]} and again in {name}")
        keys[row["key"]] = name


def _side_files(shards: Path, name: str, table: pa.Table) -> Iterator[Finding]:
    for path, content in shard.beside(name, table).items():
        if (shards / path).exists() and (shards / path).read_bytes() != content:
            yield Finding(f"shards/{path}", f"shards/{path} is not what shards/{name}.parquet says")


def _tar(path: Path, table: pa.Table, found: Mapping[str, Any]) -> Iterator[Finding]:
    if not path.exists():
        return
    name, size = f"shards/{path.name}", path.stat().st_size
    if size != found["tar_bytes"]:
        yield Finding(name, f"{name} has {size} bytes, expected {found['tar_bytes']}; it is cut or grown")
    whole = sha256(path) == found["tar_sha256"]
    if not whole:
        yield Finding(name, f"{name} has another SHA-256 than its parquet says; it was damaged or changed")
    # What a tar that is as it was written does not hold, its parquet should not say.
    wrong = f"shards/{path.stem}.parquet" if whole else name
    for says in (*_samples(path, table, found), *_names(path, table)):
        yield Finding(wrong, says)


def _samples(path: Path, table: pa.Table, found: Mapping[str, Any]) -> Iterator[str]:
    schema = pa.schema([table.schema.field(name) for name in found["json_columns"]])
    begin = 0
    with path.open("rb") as file:
        for row in table.to_pylist():
            if row["header_offset"] != begin:
                yield f"{path.name}: {row['key']} begins at {row['header_offset']}, expected {begin}"
            yield from (f"{path.name}: {says}" for says in _sample(file, row, schema))
            begin = shard.end(row)


def _sample(file: IO[bytes], row: Mapping[str, Any], schema: pa.Schema) -> Iterator[str]:
    """Compare a sample with its row, and its stretch of the tar with what the writer makes of it."""
    key, extension = row["key"], row["media_ext"]
    contents = {
        extension: _content(file, row, "media"),
        "txt": _content(file, row, "txt"),
        "json": _content(file, row, "json"),
    }
    if hashlib.sha256(contents[extension]).hexdigest() != row["media_sha256"]:
        yield f"the {extension} of {key} is not what its row says"
    if hashlib.sha256(contents["txt"]).hexdigest() != row["txt_sha256"]:
        yield f"the txt of {key} is not what its row says"
    try:
        if shard.sample_json(row, schema) != contents["json"]:
            yield f"the json of {key} is not what its row says"
        made = io.BytesIO()
        tar.append(made, key, contents)
    except (ManifestError, ValueError) as error:
        yield str(error)
        return
    file.seek(row["header_offset"])
    if file.read(made.tell()) != made.getvalue():
        yield f"the members of {key} do not stand side by side as {extension}, txt, json"


def _content(file: IO[bytes], row: Mapping[str, Any], member: str) -> bytes:
    file.seek(row[f"{member}_offset"])
    return file.read(row[shard.size_column(member)])


def _names(path: Path, table: pa.Table) -> Iterator[str]:
    """What another reader, the standard library's, finds in the tar."""
    pairs = zip(table["key"].to_pylist(), table["media_ext"].to_pylist(), strict=True)
    expected = [f"{key}.{ending}" for key, media_ext in pairs for ending in (media_ext, "txt", "json")]
    try:
        with tarfile.open(path, "r:") as opened:
            found = opened.getnames()
    except (tarfile.TarError, OSError) as error:
        yield f"shards/{path.name} cannot be read as a tar: {error}"
        return
    if found != expected:
        yield f"shards/{path.name} has {len(found)} members, not the {len(expected)} of its parquet in order"


def _media(folder: Path, name: str) -> Iterator[Finding]:
    from stages import child

    decoder = child.decoder()
    table = pq.read_table(folder / "shards" / f"{name}.parquet")
    path = str((folder / "shards" / f"{name}.tar").resolve())
    for row in table.select(["key", "media_ext", "media_offset", "media_bytes"]).to_pylist():
        location = {"path": path, "offset": row["media_offset"], "size": row["media_bytes"]}
        named = {"location": location, "source_uri": f"{row['key']}.{row['media_ext']}"}
        try:
            decoder.call("probe", deadline_s=decoder.limits.deadline_s, **named)
        except RowError as error:
            yield Finding(f"shards/{name}.tar", f"the media of {row['key']} cannot be read: {error}")

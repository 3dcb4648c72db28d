"""What there is to ingest: every file of every source as one entry, with its texts; nothing is opened but
texts."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages.ingest import lists, tars, texts

TABLES = {".parquet", ".jsonl", ".csv"}
# Files that systems leave behind; webdataset's own `._*` rule and its neighbours.
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Entry:
    """One listed file: where it is, what it is called under its root, the texts that came with it.

    `role` is media, text (its content went to a media entry of the same stem) or ignored; `error` is set when
    the entry could not even be listed.
    """

    uri: str
    corpus: str
    path: str
    offset: int | None = None
    size: int | None = None
    modified_ns: int = 0
    role: str = "media"
    texts: tuple[str, ...] = ()
    error: str | None = None


def list_entries(uri: str, corpus: str) -> list[Entry]:
    """The entries of a folder, a glob, a media file, a WebDataset tar, or a parquet, JSONL or CSV list.

    Raises RecipeError when there is nothing at that place or it is a remote address.
    """
    if "://" in uri and not uri.startswith("file://"):
        raise RecipeError(f"source {uri!r} is remote; copy it here first and name the folder")
    local = Path(uri.removeprefix("file://")).expanduser()
    if local.is_dir():
        return list(_paired(_walk(local), corpus, local))
    if local.is_file():
        return list(_file(local, corpus, local.parent))
    matches = sorted(Path(match) for match in glob.glob(str(local), recursive=True) if Path(match).is_file())
    if not matches:
        raise RecipeError(f"source {uri!r}: no such folder or file, and as a pattern it matches nothing")
    root = Path(os.path.commonpath([match.parent for match in matches]))
    return list(_paired(matches, corpus, root))


def entry_table(entries: Iterable[Entry]) -> pa.Table:
    """Entries as rows: `id` changes when the file at that place changes, so a changed file is read again."""
    rows = [_entry_row(entry) for entry in entries]
    names = ["id", "source_uri", "corpus", "size_bytes", "modified_ns", "location", "source_texts", "error"]
    fields = [*columns.schema(names), pa.field("role", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _entry_row(entry: Entry) -> dict[str, Any]:
    name = "\0".join(
        map(str, (entry.corpus, entry.uri, entry.path, entry.offset, entry.size, entry.modified_ns))
    )
    return {
        "id": hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32],
        "source_uri": _printable(entry.uri),
        "corpus": entry.corpus,
        "size_bytes": entry.size,
        "modified_ns": entry.modified_ns,
        "location": {"path": _printable(entry.path), "offset": entry.offset, "size": entry.size},
        "source_texts": sorted(set(entry.texts)),
        "error": entry.error,
        "role": entry.role,
    }


def _printable(name: str) -> str:
    """A name that is not UTF-8 keeps its bytes as \\xNN; it is then refused as unreadable, under a visible
    name."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def _paired(paths: Iterable[Path], corpus: str, root: Path) -> Iterator[Entry]:
    """Entries of files, folder by folder; a .txt or .json beside media of the same stem is its text."""
    by_folder: dict[Path, list[Path]] = {}
    for path in paths:
        by_folder.setdefault(path.parent, []).append(path)
    for siblings in by_folder.values():
        stems = {path.stem for path in siblings if path.suffix.lower() not in texts.SIDECARS}
        captions: dict[str, tuple[str, ...]] = {}
        for path in siblings:
            if path.suffix.lower() in texts.SIDECARS and path.stem in stems:
                entry, found = _sidecar(path, corpus, root)
                captions[path.stem] = captions.get(path.stem, ()) + found
                yield entry
        for path in siblings:
            if path.suffix.lower() not in texts.SIDECARS or path.stem not in stems:
                found = () if path.suffix.lower() in texts.SIDECARS else captions.get(path.stem, ())
                yield from (replace(e, texts=e.texts + found) for e in _file(path, corpus, root, inside=True))


def _sidecar(path: Path, corpus: str, root: Path) -> tuple[Entry, tuple[str, ...]]:
    entry = replace(_stat(path, corpus, root), role="text")
    try:
        return entry, texts.from_sidecar(path.suffix.lower(), texts.read_file(path))
    except RowError as error:
        return replace(entry, error=str(error)), ()


def _file(path: Path, corpus: str, root: Path, *, inside: bool = False) -> Iterator[Entry]:
    """One file as entries; a list is only followed when it was named itself, not when it lies in a folder."""
    entry = _stat(path, corpus, root)
    if path.name.startswith("._") or path.name in LITTER:
        yield replace(entry, role="ignored")
    elif path.suffix.lower() == ".tar":
        yield from _tar(path, entry)
    elif path.suffix.lower() in TABLES and not inside:
        yield from _list(path, entry)
    else:
        yield entry


def _stat(path: Path, corpus: str, root: Path) -> Entry:
    uri = str(path.relative_to(root))
    try:
        status = path.stat()
    except OSError as error:
        return Entry(uri, corpus, str(path.absolute()), error=f"unreadable: {error.strerror}")
    return Entry(uri, corpus, str(path.absolute()), size=status.st_size, modified_ns=status.st_mtime_ns)


def _tar(path: Path, tar: Entry) -> Iterator[Entry]:
    for member in tars.members(path):
        uri = f"{tar.uri}/{member.name}" if member.name else tar.uri
        yield replace(
            tar,
            uri=uri,
            offset=member.offset,
            size=member.size,
            role=member.role,
            texts=member.texts,
            error=member.error,
        )


def _list(path: Path, listed: Entry) -> Iterator[Entry]:
    for row in lists.read_list(path):
        place = (path.parent / row.path).absolute()
        entry = _stat(place, listed.corpus, Path("/"))
        inside = place.is_relative_to(path.parent.absolute())
        uri = str(place.relative_to(path.parent.absolute())) if inside else entry.uri
        yield replace(entry, uri=uri, texts=row.texts)

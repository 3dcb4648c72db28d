"""What there is to ingest: every file of every source as one entry, with its texts; nothing is opened but
texts."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages.ingest import folders, lists, tars, texts
from stages.ingest.folders import Aside

TABLES = {".parquet", ".jsonl", ".csv"}
# They hold samples and are none: a .json beside a shard describes the shard (img2dataset's 00000_stats.json,
# webdataset's indexes), it captions nothing in it.
CONTAINERS = {".tar", *TABLES}
# Files that systems leave behind; webdataset's own `._*` rule and its neighbours.
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
# Of several entries of one place the first of these stands: a text whose content went to media is no media.
ROLES = ("text", "ignored", "media")


@dataclass(frozen=True)
class Entry:
    """One listed file: where it is, what it is called under its root, the texts that came with it.

    `role` is media, text (its content went to a media entry of the same stem) or ignored; `error` says why an
    entry is refused, or why a folder was not entered.
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

    Raises RecipeError when there is nothing at that place, it is a remote address or a work directory, or a
    list is broken.
    """
    if "://" in uri and not uri.startswith("file://"):
        raise RecipeError(f"source {uri!r} is remote; copy it here first and name the folder")
    local = Path(uri.removeprefix("file://")).expanduser()
    if os.path.isdir(local):
        _no_results(uri, local)
        return list(_paired(folders.walk(local), corpus, local))
    if os.path.isfile(local):
        return list(_file(local, corpus, local.parent))
    fixed, _ = folders.split(str(local))
    _no_results(uri, fixed)
    found = folders.matching(str(local))
    if not found:
        raise RecipeError(f"source {uri!r}: no such folder or file, and as a pattern it matches nothing")
    files = [one for one in found if isinstance(one, Path)]
    root = Path(os.path.commonpath([file.parent for file in files])) if files else fixed
    return list(_paired(found, corpus, root))


def _no_results(uri: str, folder: Path) -> None:
    if folders.is_work(folder):
        raise RecipeError(
            f"source {uri!r} is the work directory of a run, so what lies there are results; name the folder "
            f"of the media and an --out beside it, or to take what was packed {folder / 'pack' / 'images'} "
            f"or {folder / 'pack' / 'video-clips'}. If it is none, remove {folder / folders.LOCK}"
        )


def entry_table(entries: Iterable[Entry]) -> pa.Table:
    """Entries as rows: `id` changes when the file at that place changes, so a changed file is read again.

    Entries of one corpus, name and place (a list with a row a caption, a folder named twice) are one row,
    with the texts of all.
    """
    places: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        places.setdefault((entry.corpus, entry.uri, entry.path, entry.offset), []).append(entry)
    rows = [_entry_row(_merged(same)) for same in places.values()]
    names = ["id", "source_uri", "corpus", "size_bytes", "modified_ns", "location", "source_texts", "error"]
    fields = [*columns.schema(names), pa.field("role", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _merged(same: list[Entry]) -> Entry:
    """One of the entries of one place, whatever their order, with the texts of all."""
    first = min(same, key=lambda entry: (ROLES.index(entry.role), entry.error or ""))
    return replace(first, texts=tuple(dict.fromkeys(text for entry in same for text in entry.texts)))


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


def _paired(found: Iterable[Path | Aside], corpus: str, root: Path) -> Iterator[Entry]:
    """Entries of files, folder by folder; a .txt or .json beside media of the same stem is its text."""
    by_folder: dict[Path, list[Path]] = {}
    for one in found:
        if isinstance(one, Aside):
            yield _aside(one, corpus, root)
        else:
            by_folder.setdefault(one.parent, []).append(one)
    for siblings in by_folder.values():
        yield from _siblings(siblings, corpus, root)


def _aside(folder: Aside, corpus: str, root: Path) -> Entry:
    """A folder without size and time: what it holds changes nothing."""
    uri = os.path.relpath(folder.path, root)
    return Entry(uri, corpus, str(folder.path.absolute()), role=folder.role, error=folder.error)


def _siblings(siblings: list[Path], corpus: str, root: Path) -> Iterator[Entry]:
    own = {path for path in siblings if path.suffix.lower() not in {*texts.SIDECARS, *CONTAINERS}}
    stems = {path.stem for path in own}
    captions: dict[str, tuple[str, ...]] = {}
    rest: list[Path] = []
    for path in siblings:
        if path.suffix.lower() not in texts.SIDECARS or path.stem not in stems:
            rest.append(path)
            continue
        entry, found = _sidecar(path, corpus, root)
        captions[path.stem] = captions.get(path.stem, ()) + found
        yield entry
    for path in rest:
        given = captions.get(path.stem, ()) if path in own else ()
        yield from (replace(e, texts=e.texts + given) for e in _file(path, corpus, root, inside=True))


def _sidecar(path: Path, corpus: str, root: Path) -> tuple[Entry, tuple[str, ...]]:
    entry = replace(_stat(path, corpus, root), role="text")
    if entry.error:
        return entry, ()
    try:
        return entry, texts.from_sidecar(path.suffix.lower(), texts.read_file(path))
    except RowError as error:
        return replace(entry, error=str(error)), ()


def _file(path: Path, corpus: str, root: Path, *, inside: bool = False) -> Iterator[Entry]:
    """One file as entries; a list is only followed when it was named itself, not when it lies in a folder."""
    entry = _stat(path, corpus, root)
    if path.name.startswith("._") or path.name in LITTER:
        yield replace(entry, role="ignored")
    elif path.suffix.lower() == ".tar" and not entry.error:
        yield from _tar(path, entry)
    elif path.suffix.lower() in TABLES and not inside:
        yield from _list(path, entry)
    else:
        yield entry


def _stat(path: Path, corpus: str, root: Path) -> Entry:
    """A file as it is now; what is no plain file is never opened, for a pipe would never end."""
    listed = Entry(str(path.relative_to(root)), corpus, str(path.absolute()))
    try:
        status = path.stat()
    except OSError as error:
        return replace(listed, error=f"unreadable: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "pipe, socket or device"
        return replace(listed, error=f"not_a_file: a {what}; only plain files are read")
    return replace(listed, size=status.st_size, modified_ns=status.st_mtime_ns)


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

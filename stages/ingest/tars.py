"""WebDataset tars: members grouped by key, read by their headers, never unpacked."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from manifests.errors import RowError
from stages.ingest import texts

LONGEST_NAME = 1024


@dataclass(frozen=True)
class Member:
    """One member: its name, the range of the tar that holds its bytes, its role, its texts, or why it is
    refused."""

    name: str
    offset: int | None = None
    size: int | None = None
    role: str = "media"
    texts: tuple[str, ...] = ()
    error: str | None = None


def members(path: Path) -> Iterator[Member]:
    """The members of a plain tar, sample by sample; a sample's .txt and .json become the texts of its media.

    A hostile name, a link or a device is a member with `error`; so is the tar itself (no name) from the place
    where it cannot be read on.
    """
    key, sample = "", list[Member]()
    for member in _read(path):
        if _key(member.name) != key:
            yield from _with_texts(path, sample)
            key, sample = _key(member.name), []
        sample.append(member)
    yield from _with_texts(path, sample)


def _key(name: str) -> str:
    """Folder and name up to the first dot of the base name, as webdataset groups members."""
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}"


def _read(path: Path) -> Iterator[Member]:
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if not info.isdir():
                    yield _member(info)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        yield Member("", error=f"bad_tar: {error}; members before this place are listed")


def _member(info: tarfile.TarInfo) -> Member:
    error = _refusal(info)
    shown = (
        info.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\0")
    )
    if error:
        return Member(shown[:LONGEST_NAME], error=error)
    base = PurePosixPath(info.name).name
    suffix = PurePosixPath(info.name).suffix.lower()
    role = "ignored" if base.startswith("._") else "text" if suffix in texts.SIDECARS else "media"
    return Member(shown, info.offset_data, info.size, role)


def _refusal(info: tarfile.TarInfo) -> str | None:
    parts = info.name.split("/")
    if info.name.startswith("/") or ".." in parts or "\0" in info.name or len(info.name) > LONGEST_NAME:
        return "hostile_name: a member's name must be relative, without '..', and at most 1024 characters"
    if not info.isreg() or info.issparse():
        return "not_a_file: only plain files are taken from a tar, no link, device or sparse file"
    return None


def _with_texts(path: Path, sample: list[Member]) -> Iterator[Member]:
    found: tuple[str, ...] = ()
    done: list[Member] = []
    if not any(member.role == "media" and not member.error for member in sample):
        sample = [replace(m, role="media") if m.role == "text" else m for m in sample]
    for member in sample:
        if member.role == "text" and not member.error:
            try:
                found += texts.from_sidecar(PurePosixPath(member.name).suffix.lower(), _content(path, member))
            except RowError as error:
                member = replace(member, error=str(error))
        done.append(member)
    yield from (replace(m, texts=found) if m.role == "media" else m for m in done)


def _content(path: Path, member: Member) -> bytes:
    with path.open("rb") as handle:
        handle.seek(member.offset or 0)
        return texts.bounded(handle.read(min(member.size or 0, texts.LONGEST_BYTES + 1)))

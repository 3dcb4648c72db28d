"""WebDataset tars: members grouped by key, read by their headers, never unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from manifests.errors import RowError
from stages.ingest import texts
from stages.ingest.headers import Header, headers

LONGEST_NAME = 1024
# A sample's texts are copied to each of its media: the bytes that this may come to.
SAMPLE_BYTES = 64 << 20


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
    where it cannot be read on. A tar without a file is one ignored member without a name.
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
    found = False
    try:
        with path.open("rb") as handle:
            for header in headers(handle):
                if not header.is_folder:
                    found = True
                    yield _member(header)
    except RowError as error:
        yield Member("", error=f"{error}; members before this place are listed")
        return
    except OSError as error:
        yield Member("", error=f"unreadable: {error.strerror}")
        return
    if not found:
        yield Member("", role="ignored", error="empty_tar: the tar holds no file")


def _member(header: Header) -> Member:
    error = _refusal(header)
    shown = header.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    shown = shown.replace("\0", "\\0")
    if error:
        return Member(shown[:LONGEST_NAME], error=error)
    base = PurePosixPath(header.name).name
    suffix = PurePosixPath(header.name).suffix.lower()
    role = "ignored" if base.startswith("._") else "text" if suffix in texts.SIDECARS else "media"
    return Member(shown, header.offset, header.size, role)


def _refusal(header: Header) -> str | None:
    parts = header.name.split("/")
    long = len(header.name) > LONGEST_NAME
    if header.name.startswith("/") or ".." in parts or "\0" in header.name or long:
        return "hostile_name: a member's name must be relative, without '..', and at most 1024 characters"
    if not header.is_plain:
        return "not_a_file: only plain files are taken from a tar, no link, device or sparse file"
    return None


def _with_texts(path: Path, sample: list[Member]) -> Iterator[Member]:
    found: tuple[str, ...] = ()
    done: list[Member] = []
    media = sum(member.role == "media" and not member.error for member in sample)
    if not media:
        sample = [replace(m, role="media") if m.role == "text" else m for m in sample]
    room = min(texts.LONGEST_BYTES, SAMPLE_BYTES // max(1, media))
    for member in sample:
        if member.role == "text" and not member.error:
            try:
                content = _content(path, member, room)
                found += texts.from_sidecar(PurePosixPath(member.name).suffix.lower(), content)
                room -= len(content)
            except RowError as error:
                member = replace(member, error=str(error))
        done.append(member)
    yield from (replace(m, texts=found) if m.role == "media" else m for m in done)


def _content(path: Path, member: Member, most: int) -> bytes:
    with path.open("rb") as handle:
        handle.seek(member.offset or 0)
        return texts.bounded(handle.read(min(member.size or 0, most + 1)), most)

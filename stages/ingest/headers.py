"""Tar headers, read one after the other: ustar, GNU and PAX as POSIX.1-2001 and GNU tar lay them out; none of
them is trusted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

from manifests.errors import RowError

BLOCK_BYTES = 512
# Long names and PAX records are read whole; no honest ones come near.
LONGEST_BYTES = 1 << 20
LONGEST_NUMBER = 19
LONGEST_SHOWN = 100
# Headers that speak about the next one (long name, long link, PAX) or about all (global PAX: nothing in it
# says where a member lies).
_NAME, _PAX = b"L", (b"x", b"X")
_ABOUT_OTHERS = (_NAME, b"K", b"g", *_PAX)
_PLAIN, _FOLDER, _SPARSE = (b"0", b"\0", b"7"), b"5", b"S"
# Links, devices, folders and pipes have no content, whatever their size says (as GNU tar reads them).
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", _FOLDER, b"6")


@dataclass(frozen=True)
class Header:
    """One member: its header's byte `at`, its name, and where its content lies."""

    at: int
    name: str
    kind: bytes
    offset: int
    size: int
    sparse: bool = False

    @property
    def is_plain(self) -> bool:
        return self.kind in _PLAIN and not self.sparse

    @property
    def is_folder(self) -> bool:
        return self.kind == _FOLDER or (self.kind == b"\0" and self.name.endswith("/"))

    @property
    def next_at(self) -> int:
        content = 0 if self.kind in _WITHOUT_CONTENT else self.size
        return self.offset + -(-content // BLOCK_BYTES) * BLOCK_BYTES


def headers(handle: IO[bytes]) -> Iterator[Header]:
    """The members of a tar, in order; raises RowError `bad_tar` where it cannot be read on.

    Memory and depth are bounded whatever the tar says: the content of a member is not read, and every member
    lies within the file.
    """
    end = os.fstat(handle.fileno()).st_size
    if not end:
        raise _bad(0, "the file is empty")
    at, told = 0, dict[str, Any]()
    while found := _header(handle, at, end):
        if found.kind in _ABOUT_OTHERS:
            told |= _told(handle, found, end)
        else:
            found = _within(replace(found, **told), end)
            told = {}
            yield found
        at = found.next_at


def _header(handle: IO[bytes], at: int, end: int) -> Header | None:
    """The header at a byte; None at the end of the tar."""
    if at >= end:
        return None
    block = _read(handle, at, BLOCK_BYTES, end)
    if not block.strip(b"\0"):
        return None
    if _number(block[148:156]) not in _checksums(block):
        raise _bad(at, "no tar header (is the tar compressed or damaged?)")
    name, kind, size = _text(block[:100]), block[156:157], _number(block[124:136])
    # Only ustar has a prefix; GNU tar keeps times in its place.
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    if size is None:
        raise _bad(at, f"{name[:LONGEST_SHOWN]!r} has no size that a file can have")
    offset = _after_map(handle, at, end) if kind == _SPARSE else at + BLOCK_BYTES
    return Header(at, name, kind, offset, size, sparse=kind == _SPARSE)


def _checksums(block: bytes) -> tuple[int, int]:
    """The sum of a header's bytes with its own field as spaces; old programs took bytes as signed."""
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    return unsigned, unsigned - 256 * sum(byte > 127 for byte in rest)


def _number(field: bytes) -> int | None:
    """An octal number, or one in GNU's base 256; None for what is neither, or below zero."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        return None
    return int(digits or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _after_map(handle: IO[bytes], at: int, end: int) -> int:
    """Where the content of GNU's old sparse files begins: behind blocks that each say if one more follows."""
    more = _read(handle, at, BLOCK_BYTES, end)[482]
    at += BLOCK_BYTES
    while more:
        more = _read(handle, at, BLOCK_BYTES, end)[504]
        at += BLOCK_BYTES
    return at


def _told(handle: IO[bytes], header: Header, end: int) -> dict[str, Any]:
    """What a header says about the next one: fields of Header."""
    _within(header, end)
    if header.kind not in (_NAME, *_PAX):
        return {}
    if header.size > LONGEST_BYTES:
        raise _bad(header.at, f"a header of {header.size} bytes, at most {LONGEST_BYTES}")
    content = _read(handle, header.offset, header.size, end)
    if header.kind == _NAME:
        return {"name": _text(content)}
    told: dict[str, Any] = {}
    for key, value in _records(content, header.at):
        if key in (b"path", b"GNU.sparse.name"):
            told["name"] = value.decode("utf-8", "surrogateescape")
        elif key == b"size":
            told["size"] = _decimal(value, header.at)
        if key.startswith(b"GNU.sparse."):
            told["sparse"] = True
    return told


def _records(content: bytes, where: int) -> Iterator[tuple[bytes, bytes]]:
    """PAX records: `length key=value` and a line feed, the length being that of all of it."""
    at = 0
    while at < len(content) and content[at]:
        digits = content[at : at + LONGEST_NUMBER + 1].partition(b" ")[0]
        until = at + _decimal(digits, where)
        record = content[at + len(digits) + 1 : until]
        key, found, value = record.removesuffix(b"\n").partition(b"=")
        if not found or until > len(content) or not record.endswith(b"\n"):
            raise _bad(where, "a PAX record is not as long as it says")
        yield key, value
        at = until


def _decimal(digits: bytes, where: int) -> int:
    if not digits.isdigit() or len(digits) > LONGEST_NUMBER:
        raise _bad(where, f"a PAX header has a number of {len(digits)} characters that no file can have")
    return int(digits)


def _within(header: Header, end: int) -> Header:
    if header.kind not in _WITHOUT_CONTENT and header.offset + header.size > end:
        name = header.name[: LONGEST_NUMBER * 4]
        raise _bad(header.at, f"{name!r} claims {header.size} bytes; the file ends before")
    return header


def _read(handle: IO[bytes], at: int, size: int, end: int) -> bytes:
    handle.seek(at)
    content = handle.read(size) if at + size <= end else b""
    if len(content) < size:
        raise _bad(at, "the file ends within a header")
    return content


def _bad(at: int, what: str) -> RowError:
    return RowError("bad_tar", f"byte {at}: {what}")

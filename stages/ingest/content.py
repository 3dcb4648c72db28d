"""What a file is by its bytes: their digest, and the kind that their first bytes show."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from manifests.errors import RowError
from stages.base import Map, Row, Work, per_row

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4096
_ISO_STILLS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"heim", b"heis")
_ISO_AUDIO = (b"M4A ", b"M4B ")
# Offset and bytes that begin a file of each kind; the first that fits counts.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image"),
    (0, b"\x89PNG\r\n\x1a\n", "image"),
    (0, b"GIF8", "image"),
    (8, b"WEBP", "image"),
    (0, b"II*\0", "image"),
    (0, b"MM\0*", "image"),
    (0, b"II+\0", "image"),
    (0, b"\0\0\0\x0cjP  ", "image"),
    (0, b"\xff\x4f\xff\x51", "image"),
    (0, b"8BPS", "image"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"FLV\x01", "video"),
    (8, b"AVI ", "video"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video"),
    (0, b"\0\0\x01\xba", "video"),
    (0, b"\0\0\x01\xb3", "video"),
    (0, b"DKIF", "video"),
    (4, b"moov", "video"),
    (4, b"mdat", "video"),
    (4, b"wide", "video"),
    (8, b"WAVE", "audio"),
    (0, b"fLaC", "audio"),
    (0, b"ID3", "audio"),
    (0, b"\xff\xfb", "audio"),
    (0, b"\xff\xf3", "audio"),
    (0, b"\xff\xf1", "audio"),
    (0, b"%PDF-", "document"),
    (0, b"PK\x03\x04", "document"),
)


class HashContent(Map):
    """The identity of a file: the first 128 bits of the SHA-256 of its bytes, as 32 hex digits.

    Fails a row with `empty_file` or `unreadable`. What it reads is where the bytes are, so the rows it is given must
    have ids that change when a file changes.
    """

    reads = ("location", "size_bytes")
    writes = ("asset_id",)

    def open(self) -> Work:
        def digest(row: Row) -> Iterator[Row]:
            yield {"asset_id": _digest(row)}

        return per_row(digest, self.writes)


def _digest(row: Row) -> str:
    location = row["location"]
    if row["size_bytes"] == 0:
        raise RowError("empty_file", "the file holds no bytes")
    found, left = hashlib.sha256(), row["size_bytes"]
    try:
        with Path(location["path"]).open("rb") as handle:
            handle.seek(location["offset"] or 0)
            while left and (chunk := handle.read(min(left, CHUNK_BYTES))):
                found.update(chunk)
                left -= len(chunk)
    except OSError as error:
        raise RowError("unreadable", f"{error.strerror}") from error
    if left:
        raise RowError("truncated", f"{left} of {row['size_bytes']} bytes are missing at the end")
    return found.hexdigest()[:32]


def sniff(head: bytes) -> str:
    """The kind that the first bytes show: video, image, audio, text, document or other.

    Bytes as in the formats' own specifications. An Ogg stream is video when it begins with a Theora header.
    """
    if head[4:8] == b"ftyp":
        return _iso(head[8:12])
    if head[:4] == b"OggS":
        return "video" if b"theora" in head[:512] or b"\x01video" in head[:512] else "audio"
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic and (offset == 0 or kind != "video" or _box(head, offset, magic)):
            return kind
    if head[:1] == b"G" and head[188:189] in (b"G", b""):
        return "video"
    return _plain_kind(head)


def _iso(brand: bytes) -> str:
    if brand in _ISO_STILLS:
        return "image"
    return "audio" if brand in _ISO_AUDIO else "video"


def _box(head: bytes, offset: int, magic: bytes) -> bool:
    """A box of an ISO file begins with its size; RIFF files name themselves in the first four bytes."""
    return head[:4] == b"RIFF" if offset == 8 else int.from_bytes(head[:4]) >= 8 or magic == b"mdat"


def _plain_kind(head: bytes) -> str:
    if (head[:2] == b"BM" and head[6:10] == bytes(4)) or re.match(rb"P[1-7fF]\s[#\d\sW-]", head):
        return "image"
    if b"\0" in head:
        return "other"
    for cut in range(4):
        try:
            head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return "text"
    return "other"

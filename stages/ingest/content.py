"""What a file is by its bytes: their digest, and the kind that their first bytes show."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from manifests.errors import RowError
from stages.base import Map, Row, Work, per_row
from stages.media import REASONS

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4096
_ISO_STILLS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"heim", b"heis")
_ISO_AUDIO = (b"M4A ", b"M4B ")
_RIFF = {b"WEBP": "image", b"AVI ": "video", b"AVIX": "video", b"WAVE": "audio"}
# The boxes with which a QuickTime file may begin when it has no `ftyp`; their size stands before them.
_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
# The byte that begins each packet of an MPEG transport stream: 188 bytes, in Blu-ray's files 4 more before.
_SYNC, _PACKETS = b"G", ((0, 188), (4, 192))
# Bytes that begin a file of each kind; the first that fits counts.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"GIF8", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"II+\0", "image"),
    (b"MM\0+", "image"),
    (b"\0\0\0\x0cjP  ", "image"),
    (b"\xff\x4f\xff\x51", "image"),
    (b"\0\0\0\x0cJXL ", "image"),
    (b"8BPS", "image"),
    (b"\0\0\1\0", "image"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"FLV\x01", "video"),
    (b"0&\xb2u\x8ef\xcf\x11", "video"),
    (b"\0\0\x01\xba", "video"),
    (b"\0\0\x01\xb3", "video"),
    (b"DKIF", "video"),
    (b"fLaC", "audio"),
    (b"ID3", "audio"),
    (b"\xff\xfb", "audio"),
    (b"\xff\xfa", "audio"),
    (b"\xff\xf3", "audio"),
    (b"\xff\xf2", "audio"),
    (b"\xff\xf1", "audio"),
    (b"\xff\xf9", "audio"),
    (b"\xff\xfe", "text"),
    (b"\xfe\xff", "text"),
    (b"%PDF-", "document"),
    (b"%!PS", "document"),
    (b"PK\x03\x04", "document"),
)


class HashContent(Map):
    """The identity of a file: the first 128 bits of the SHA-256 of its bytes, as 32 hex digits.

    Fails a row with `empty_file`, `unreadable`, or `truncated` when bytes that were listed are missing. It
    reads where the bytes are, so the rows it is given must have ids that change when a file changes.
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
        raise RowError("empty_file", REASONS["empty_file"])
    found, left = hashlib.sha256(), row["size_bytes"]
    try:
        with Path(location["path"]).open("rb") as handle:
            handle.seek(location["offset"] or 0)
            while left > 0 and (chunk := handle.read(min(left, CHUNK_BYTES))):
                found.update(chunk)
                left -= len(chunk)
    except OSError as error:
        raise RowError("unreadable", f"{error.strerror}") from error
    if left:
        raise RowError("truncated", f"{left} of {row['size_bytes']} bytes are missing at the end")
    return found.hexdigest()[:32]


def sniff(head: bytes) -> str:
    """The kind that the first bytes show: video, image, audio, text, document or other.

    `head` is the content's first HEAD_BYTES, or all of it when it is shorter. Marks as in the formats' own
    specifications. An Ogg stream is video when it begins with a Theora header. No bytes are text.
    """
    if head[4:8] == b"ftyp":
        return _iso(head[8:12])
    if head[4:8] in _BOXES and _plain_kind(head) != "text":
        return "video"
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "other")
    if head[:4] == b"OggS":
        return "video" if b"theora" in head[:512] or b"\x01video" in head[:512] else "audio"
    marked = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    return marked or ("video" if _is_transport(head) else _plain_kind(head))


def _is_transport(head: bytes) -> bool:
    return any(head[first : first + 3 * size : size] == _SYNC * 3 for first, size in _PACKETS)


def _iso(brand: bytes) -> str:
    if brand in _ISO_STILLS:
        return "image"
    return "audio" if brand in _ISO_AUDIO else "video"


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

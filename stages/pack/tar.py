"""The bytes of a WebDataset tar: plain USTAR members that depend on nothing but key and content."""

from __future__ import annotations

import re
import struct
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from manifests.errors import ManifestError

KEY = re.compile(r"[0-9a-f]{32}")
RECORD_BYTES = tarfile.RECORDSIZE


class Sink(Protocol):
    """What a tar is written to: it takes bytes and knows how many it has taken."""

    def write(self, content: bytes, /) -> object: ...

    def tell(self) -> int: ...


@dataclass(frozen=True)
class Member:
    """Where the content of one file of a sample stands in its tar; its header is the 512 bytes before."""

    extension: str
    offset: int
    size: int


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a member: USTAR, mode 0644, time 0, no owner.

    An integer time keeps the PAX header away, which costs 1024 bytes a file and differs from run to run.
    """
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def append(tar: Sink, key: str, contents: Mapping[str, bytes]) -> list[Member]:
    """Write one sample, its members side by side in the order of `contents` (extension to bytes).

    Raises ManifestError for a key that is not 32 hex digits: readers split names at the first dot and at
    slashes.
    """
    if not KEY.fullmatch(key):
        raise ManifestError(f"the key {key!r} cannot name a sample; expected 32 hex digits")
    members = []
    for extension, content in contents.items():
        tar.write(header(f"{key}.{extension}", len(content)))
        members.append(Member(extension, tar.tell(), len(content)))
        tar.write(content)
        tar.write(bytes(-len(content) % tarfile.BLOCKSIZE))
    return members


def finish(tar: Sink) -> None:
    """Write the end of the archive: two empty blocks, filled up to a whole record as other writers do."""
    end = tar.tell() + 2 * tarfile.BLOCKSIZE
    tar.write(bytes(2 * tarfile.BLOCKSIZE + -end % RECORD_BYTES))


def index(offsets: Iterable[int]) -> bytes:
    """A `.tar.idx` as megatron-energon 7.4.1 writes it: offset of each sample's first header, then the end.

    Energon writes native unsigned 64-bit numbers; these are little-endian on every machine.
    """
    numbers = list(offsets)
    return struct.pack(f"<{len(numbers)}Q", *numbers)

"""The bytes of a tar."""

import io
import tarfile

import pytest

from manifests.errors import ManifestError
from stages.pack import tar

KEY = "0123456789abcdef" * 2


def written(*samples: tuple[str, dict[str, bytes]]) -> tuple[bytes, list[list[tar.Member]]]:
    sink = io.BytesIO()
    members = [tar.append(sink, key, contents) for key, contents in samples]
    tar.finish(sink)
    return sink.getvalue(), members


def test_python_reads_what_was_written() -> None:
    """The standard library finds every member, mode 0644, time 0, no owner, no extra header."""
    content, _ = written((KEY, {"jpg": b"x" * 600, "txt": b"", "json": b"{}"}))
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        infos = opened.getmembers()
        found = {info.name: opened.extractfile(info).read() for info in infos}  # type: ignore[union-attr]
    assert {f"{KEY}.jpg": b"x" * 600, f"{KEY}.txt": b"", f"{KEY}.json": b"{}"} == found
    assert {(0o644, 0, 0, 0, "", "")} == {(i.mode, i.mtime, i.uid, i.gid, i.uname, i.gname) for i in infos}
    assert [0, 512 + 1024, 512 + 1024 + 512] == [info.offset for info in infos]
    assert b"ustar\x0000" == content[257:265]
    assert not any(info.pax_headers for info in infos)


def test_it_is_as_long_as_pythons() -> None:
    """Headers, padding and end are those of the standard library's own USTAR archive, byte for byte."""
    theirs = io.BytesIO()
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.USTAR_FORMAT) as opened:
        for ending, content in {"jpg": b"abc", "txt": b"t" * 512}.items():
            info = tarfile.TarInfo(f"{KEY}.{ending}")
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    ours, _ = written((KEY, {"jpg": b"abc", "txt": b"t" * 512}))
    assert theirs.getvalue() == ours


def test_offsets_point_at_contents() -> None:
    """Each member says where its bytes are."""
    content, members = written(
        (KEY, {"mp4": b"one", "txt": b"two"}), ("f" * 32, {"mp4": b"three", "txt": b""})
    )
    found = [content[m.offset : m.offset + m.size] for sample in members for m in sample]
    assert [b"one", b"two", b"three", b""] == found


@pytest.mark.parametrize(
    "key", ["", "a.b", "../" + "a" * 29, "A" * 32, "a" * 31, "a" * 33, "a" * 31 + "\n", "a" * 32 + "\n"]
)
def test_other_keys_are_refused(key: str) -> None:
    """Dots, slashes, capitals and other lengths would collapse or escape in a reader."""
    with pytest.raises(ManifestError, match="32 hex digits"):
        written((key, {"txt": b""}))


def test_the_index_is_little_endian_64_bits() -> None:
    """Two samples, the end: three numbers of eight bytes."""
    assert bytes(8) + b"\x00\x08" + bytes(6) + b"\x00\x00\x01" + bytes(5) == tar.index([0, 2048, 65536])

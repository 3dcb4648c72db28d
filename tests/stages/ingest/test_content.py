"""Content tells what a file is: its digest names it, its first bytes tell its kind."""

from pathlib import Path

import pytest

from manifests import columns
from stages.ingest.content import HashContent, sniff

READS = ["id", "location", "size_bytes"]
# FIPS 180-2, appendix B.1 and B.2: the digests of "abc" and of the 56 letters, the first half of each.
ABC = "ba7816bf8f01cfea414140de5dae2223"
LETTERS = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
OF_LETTERS = "248d6a61d20638b8e5c026930c3e6039"


def digests(*rows: tuple[Path, int | None, int]) -> list[tuple[str | None, str | None]]:
    given = [
        {"id": str(n), "location": {"path": str(p), "offset": o, "size": size}, "size_bytes": size}
        for n, (p, o, size) in enumerate(rows)
    ]
    done = HashContent().open()(columns.table(given, READS)).to_pylist()
    return [(row["asset_id"], row["error"] and row["error"].partition(":")[0]) for row in done]


def test_content_is_the_identity(tmp_path: Path) -> None:
    """The id is the first half of the SHA-256, of a file or of a range of one."""
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"###" + LETTERS + b"###")
    assert [(ABC, None), (OF_LETTERS, None)] == digests((tmp_path / "a", None, 3), (tmp_path / "b", 3, 56))


def test_what_cannot_be_hashed_fails_alone(tmp_path: Path) -> None:
    """Nothing to read, no file, a folder, and a file shorter than it was listed."""
    (tmp_path / "a").write_bytes(b"abc")
    rows = [
        (tmp_path / "a", None, 0),
        (tmp_path / "gone", None, 3),
        (tmp_path, None, 3),
        (tmp_path / "a", None, 4),
    ]
    assert ["empty_file", "unreadable", "unreadable", "truncated"] == [error for _, error in digests(*rows)]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image"),
        (b"\0\0\0\x20ftypavif", "image"),
        (b"\0\0\0\x20ftypisom", "video"),
        (b"\0\0\0\x20ftypM4A ", "audio"),
        (b"\0\0\0\x08wide\0\0\x01\0mdat", "video"),
        (b"RIFF\0\0\0\0AVI ", "video"),
        (b"RIFF\0\0\0\0WAVE", "audio"),
        (b"RIFF\0\0\0\0WEBP", "image"),
        (b"\x1aE\xdf\xa3", "video"),
        (b"OggS" + bytes(24) + b"\x80theora", "video"),
        (b"OggS" + bytes(24) + b"OpusHead", "audio"),
        ((b"G" + bytes(187)) * 4, "video"),
        ((bytes(4) + b"G" + bytes(187)) * 4, "video"),
        (b"BM\0\0\0\0\0\0\0\0", "image"),
        (b"P6\n3 2\n255\n", "image"),
        (b"%PDF-1.7", "document"),
        (b"%!PS-Adobe-3.0", "document"),
        (b"\0\1\2", "other"),
    ],
)
def test_first_bytes_tell_the_kind(head: bytes, kind: str) -> None:
    """Marks as the formats' specifications give them."""
    assert kind == sniff(head)


@pytest.mark.parametrize(
    "head",
    [
        *(
            b"BMW is a car",
            b"The free world",
            b"Go to the park",
            b"P.S. 1",
            b"Get it: 3",
            b"{}",
            b"a,b\n1,2\n",
        ),
        *("\u00fcber".encode()[:-1], "\ufeffa".encode("utf-16-le")),
    ],
)
def test_text_that_looks_like_a_mark_is_text(head: bytes) -> None:
    """Words that begin like a BMP, an ISO box or a transport stream are words; cut in a character, too."""
    assert "text" == sniff(head)

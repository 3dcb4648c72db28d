"""A tar is read by its headers: what tar programs write is found where it lies, hostile ones end in words."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.ingest import texts
from stages.ingest.listing import Entry, list_entries
from stages.ingest.tars import Member, members

# POSIX.1-1988, ustar: where the fields of a header block lie.
SIZE, CHECKSUM, KIND = slice(124, 136), slice(148, 156), 156


def block(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """A header block by hand, with whatever size field."""
    made = bytearray(512)
    made[: len(name)] = name.encode()
    made[SIZE], made[CHECKSUM], made[KIND] = size.ljust(12, b"\0"), b" " * 8, kind[0]
    made[257:265] = b"ustar\x0000"
    made[CHECKSUM] = b"%06o\0 " % sum(made)
    return bytes(made)


def member(name: str, content: bytes, kind: bytes = b"0") -> bytes:
    return block(name, b"%011o" % len(content), kind) + content + bytes(-len(content) % 512)


def pax(*records: tuple[str, str]) -> bytes:
    """A PAX header: each record begins with its own length."""
    content = b""
    for key, value in records:
        body = f" {key}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        content += str(length).encode() + body
    return member("pax", content, b"x")


END = bytes(1024)
GOOD = member("good.jpg", b"JPEG")


def listed(folder: Path, *parts: bytes) -> dict[str, Entry]:
    """The entries of a folder with a tar of these parts and a neighbour."""
    (folder / "s.tar").write_bytes(b"".join(parts))
    (folder / "beside.jpg").write_bytes(b"x")
    found = {entry.uri: entry for entry in list_entries(str(folder), "main")}
    assert found["beside.jpg"].error is None
    return found


def word(entry: Entry) -> str:
    return str(entry.error).partition(":")[0]


NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=150)
FILES = st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=6)


@settings(max_examples=60, deadline=None)
@given(files=FILES, form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_members_lie_where_the_standard_library_says(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes]], form: int
) -> None:
    """Names, places and sizes are those of `tarfile`, in the three formats that it writes."""
    path = tmp_path_factory.mktemp("tars") / "s.tar"
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in files:
            info = tarfile.TarInfo("x/" + name)
            info.size = len(content)
            if form != tarfile.USTAR_FORMAT or len(info.name.encode()) <= 100:
                tar.addfile(info, io.BytesIO(content))
    with tarfile.open(path) as tar:
        expected = [(i.name, i.offset_data, i.size) for i in tar if ".." not in i.name.split("/")]
    found = [(m.name, m.offset, m.size) for m in members(path) if m.name and not m.error]
    assert sorted(expected) == sorted(found)


def test_no_bytes_and_no_members_are_not_silence(tmp_path: Path) -> None:
    """A tar without a file is listed as ignored, one of no bytes as broken."""
    empty = listed(tmp_path, member("folder/", b"", b"5"), END)["s.tar"]
    assert ("ignored", "empty_tar") == (empty.role, word(empty))
    assert "bad_tar" == word(listed(tmp_path)["s.tar"])


@pytest.mark.parametrize(
    "chain",
    [member("L", b"n.jpg\0", b"L") * 1000, pax(("path", "n.jpg")) * 1000],
    ids=["long names", "pax"],
)
def test_chained_headers_cost_no_depth(tmp_path: Path, chain: bytes) -> None:
    """Of a thousand headers about one member the last counts."""
    found = listed(tmp_path, chain, member("short.jpg", b"JPEG"), GOOD, END)
    assert {"beside.jpg", "s.tar/n.jpg", "s.tar/good.jpg"} == set(found)
    assert [] == [entry for entry in found.values() if entry.error]


HUGE = b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7
BROKEN = {
    "pax size of 30 digits": pax(("size", "9" * 30)) + GOOD,
    "pax size of 5000 digits": pax(("size", "9" * 5000)) + GOOD,
    "pax size below zero": pax(("size", "-1024")) + GOOD,
    "pax without lengths": member("pax", b"path=x\n" * 50, b"x") + GOOD,
    "pax of length zero": member("pax", b"0 path=x\n", b"x") + GOOD,
    "size -1": block("bad.jpg", b"\xff" * 12),
    "size -1024": block("bad.jpg", b"\xff" * 10 + b"\xfc\x00"),
    "octal below zero": block("bad.jpg", b"-0000001000"),
    "octal with letters": block("bad.jpg", b"0x000000010"),
    "size past the end": block("bad.jpg", b"%011o" % 100_000),
    "size of exabytes": block("bad.jpg", HUGE),
    "long name past the end": block("L", b"%011o" % (1 << 32), b"L"),
    "garbage": b"garbage!" * 64,
    "half a header": b"x" * 100,
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_header_is_one_failure(tmp_path: Path, what: str) -> None:
    """Where a tar cannot be read on is one entry that says why; what stands before and beside is taken."""
    found = listed(tmp_path, GOOD, BROKEN[what], *([GOOD, END] if len(BROKEN[what]) % 512 == 0 else []))
    assert None is found["s.tar/good.jpg"].error
    assert {"s.tar": "bad_tar"} == {uri: word(entry) for uri, entry in found.items() if entry.error}
    assert {"s.tar", "s.tar/good.jpg", "beside.jpg"} == set(found)
    table = list_entries(str(tmp_path), "main")
    assert all(entry.size is None or 0 <= entry.size < 1 << 40 for entry in table)


def test_a_giant_header_is_not_loaded(tmp_path: Path) -> None:
    """A long name of 4 GiB that is really there is refused, not read."""
    with (tmp_path / "s.tar").open("wb") as handle:
        handle.write(GOOD + block("L", b"%011o" % (1 << 32), b"L"))
        handle.truncate((1 << 32) + 4096)
    found = list(members(tmp_path / "s.tar"))
    assert ["good.jpg", ""] == [m.name for m in found]
    assert str(found[1].error).startswith("bad_tar: ")


@pytest.mark.parametrize(
    "sparse",
    [
        block("hole.jpg", b"%011o" % 512, b"S") + b"x" * 512,
        pax(("GNU.sparse.major", "1"), ("GNU.sparse.name", "hole.jpg"))
        + member("hole.jpg", b"1\n0\n4\nJPEG"),
    ],
    ids=["old", "pax"],
)
def test_sparse_files_are_refused_and_stepped_over(tmp_path: Path, sparse: bytes) -> None:
    """The bytes of a sparse file are not the file's; the next member is found all the same."""
    found = listed(tmp_path, sparse, GOOD, END)
    assert "not_a_file" == word(found["s.tar/hole.jpg"])
    assert None is found["s.tar/good.jpg"].error


def test_long_sparse_maps_are_stepped_over(tmp_path: Path) -> None:
    """An old sparse header goes on in blocks that each say whether one more follows."""
    head = bytearray(block("hole.jpg", b"%011o" % 512, b"S"))
    head[482] = 1
    head[CHECKSUM] = b" " * 8
    head[CHECKSUM] = b"%06o\0 " % sum(head)
    more, last = bytearray(512), bytes(512)
    more[504] = 1
    found = listed(tmp_path, bytes(head), bytes(more), last, b"x" * 512, GOOD, END)
    assert "not_a_file" == word(found["s.tar/hole.jpg"])
    assert None is found["s.tar/good.jpg"].error


def test_texts_of_a_sample_have_one_bound(tmp_path: Path) -> None:
    """The texts of one sample are bounded together, and by how many media they would be copied to."""
    half = b"x" * (texts.LONGEST_BYTES // 2 + 1)
    (tmp_path / "a.tar").write_bytes(
        b"".join([member("k.1.txt", half), member("k.2.txt", half), member("k.jpg", b"J"), END])
    )
    found: dict[str, Member] = {m.name: m for m in members(tmp_path / "a.tar")}
    assert (None, "text_too_long") == (
        found["k.1.txt"].error,
        str(found["k.2.txt"].error).partition(":")[0],
    )
    assert 1 == len(found["k.jpg"].texts)
    many = [member(f"k.{n}.jpg", b"J") for n in range(200)]
    (tmp_path / "b.tar").write_bytes(b"".join([member("k.txt", half), *many, END]))
    assert () == next(m for m in members(tmp_path / "b.tar") if m.name == "k.0.jpg").texts

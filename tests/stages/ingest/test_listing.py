"""Every file of every source is listed once, with its texts; nothing is skipped without a word."""

import io
import json
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import RecipeError
from stages.ingest import gather, texts
from stages.ingest.listing import Entry, entry_table, list_entries


def fill(root: Path, **names: bytes) -> None:
    for name, content in names.items():
        path = root / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def listed(uri: object) -> dict[str, Entry]:
    return {entry.uri: entry for entry in list_entries(str(uri), "main")}


def test_folder_with_sidecars(tmp_path: Path) -> None:
    """A .txt and a .json beside media of the same stem are its texts; alone they are entries of their own."""
    fill(
        tmp_path,
        a__mp4=b"v",
        a__txt=b"ein Text\n",
        sub_in_b__jpg=b"i",
        sub_in_b__json=json.dumps({"texts": ["one", "two"]}).encode(),
        notes__txt=b"nothing beside me",
        **{"._a__mp4".replace(".", "__", 1): b"litter"},
    )
    found = listed(tmp_path)
    assert ("ein Text",) == found["a.mp4"].texts
    assert ("one", "two") == found["sub/b.jpg"].texts
    assert {
        "a.mp4": "media",
        "a.txt": "text",
        "sub/b.jpg": "media",
        "sub/b.json": "text",
        "notes.txt": "media",
        "._a.mp4": "ignored",
    } == {uri: entry.role for uri, entry in found.items()}


def test_bad_sidecar_is_an_error_of_its_own(tmp_path: Path) -> None:
    """A broken sidecar is listed with its error; the media stands without the text."""
    fill(tmp_path, a__jpg=b"i", a__json=b"{no json")
    found = listed(tmp_path)
    assert () == found["a.jpg"].texts
    assert str(found["a.json"].error).startswith("bad_sidecar: ")


def test_sidecar_of_no_bound_is_not_read(tmp_path: Path) -> None:
    """A sidecar larger than the bound is refused, not loaded."""
    fill(tmp_path, a__jpg=b"i", a__txt=b"x" * (texts.LONGEST_BYTES + 1))
    assert str(listed(tmp_path)["a.txt"].error).startswith("text_too_long: ")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_lists(tmp_path: Path, kind: str) -> None:
    """A list names paths relative to itself, with texts; a file that is missing is an entry with an error."""
    fill(tmp_path, v_in_a__mp4=b"v")
    rows = [{"path": "v/a.mp4", "caption": "a, film"}, {"path": "v/gone.mp4", "caption": "b"}]
    path = tmp_path / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        path.write_text('path,caption\nv/a.mp4,"a, film"\nv/gone.mp4,b\n')
    found = listed(path)
    assert ("a, film",) == found["v/a.mp4"].texts
    assert None is found["v/a.mp4"].error
    assert "unreadable: No such file or directory" == found["v/gone.mp4"].error


@pytest.mark.parametrize(
    "line", ['{"caption": "no path"}', "[1]", "no json", '{"path": "https://example.org/a.mp4"}']
)
def test_wrong_list_names_the_line(tmp_path: Path, line: str) -> None:
    """A list that cannot be meant is an error before any work, with its line."""
    path = tmp_path / "list.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(RecipeError, match=r"(row|line) 1"):
        list_entries(str(path), "main")


def tar_of(path: Path, *members: tuple[str, bytes], extra: tarfile.TarInfo | None = None) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if extra:
            tar.addfile(extra)


def test_webdataset_tar(tmp_path: Path) -> None:
    """Members with one key are one sample; media are ranges of the tar, `._*` members are ignored."""
    tar_of(
        tmp_path / "s.tar",
        ("k1.jpg", b"JPEG"),
        ("k1.txt", b"eins"),
        ("k1.json", b'{"caption": "one"}'),
        ("._k1.jpg", b"x"),
        ("k2.mp4", b"MP4"),
    )
    found = listed(tmp_path / "s.tar")
    first = found["s.tar/k1.jpg"]
    assert ("eins", "one") == first.texts
    assert b"JPEG" == (tmp_path / "s.tar").read_bytes()[first.offset : first.offset + first.size]
    assert "ignored" == found["s.tar/._k1.jpg"].role
    assert () == found["s.tar/k2.mp4"].texts


@pytest.mark.parametrize("name", ["../../etc/x.jpg", "/etc/x.jpg", "a/../../x.jpg", "n" * 2000 + ".jpg"])
def test_hostile_member_names_are_refused(tmp_path: Path, name: str) -> None:
    """A name that leaves the tar's own folder is refused and listed; its neighbours are taken."""
    tar_of(tmp_path / "s.tar", (name, b"x"), ("good.jpg", b"JPEG"))
    found = listed(tmp_path / "s.tar")
    assert ["hostile_name"] == [str(e.error).partition(":")[0] for e in found.values() if e.error]
    assert None is found["s.tar/good.jpg"].error


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    """Only plain files are taken from a tar."""
    info = tarfile.TarInfo("bad.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    tar_of(tmp_path / "s.tar", ("good.jpg", b"JPEG"), extra=info)
    assert str(listed(tmp_path / "s.tar")["s.tar/bad.jpg"].error).startswith("not_a_file: ")


def test_truncated_tar_gives_what_it_has(tmp_path: Path) -> None:
    """A tar that ends early is an entry with an error beside the members before the end."""
    tar_of(tmp_path / "s.tar", ("a.jpg", b"x" * 3000), ("b.jpg", b"y" * 3000))
    whole = (tmp_path / "s.tar").read_bytes()
    (tmp_path / "s.tar").write_bytes(whole[: 512 + 3072 + 512 + 100])
    found = listed(tmp_path / "s.tar")
    assert None is found["s.tar/a.jpg"].error
    assert any(str(entry.error).startswith("bad_tar: ") for entry in found.values())


@pytest.mark.parametrize("uri", ["/nowhere/at/all", "s3://bucket/folder", "no*match"])
def test_nothing_there_says_what_to_do(uri: str) -> None:
    """A source that does not exist, or is remote, is an error before any work."""
    with pytest.raises(RecipeError, match="source"):
        list_entries(uri, "main")


def test_glob_is_relative_to_its_common_folder(tmp_path: Path) -> None:
    """Files of a pattern are named relative to the folder that holds them all."""
    fill(tmp_path, x_in_a__mp4=b"v", y_in_b__mp4=b"w", y_in_c__jpg=b"i")
    assert {"x/a.mp4", "y/b.mp4"} == set(listed(f"{tmp_path}/**/*.mp4"))


def hashed(*entries: Entry) -> pa.Table:
    """Entries as hashing leaves them, with the path standing for the content."""
    table = entry_table(entries)
    ids = [None if e.role != "media" or e.error else e.path * 32 for e in entries]
    return table.append_column("asset_id", pa.array(ids, pa.string()))


def test_equal_bytes_are_one_asset_with_all_texts() -> None:
    """Copies are sources of one asset, which is named after the first of them by URI and has every text."""
    copies = (Entry("b.jpg", "main", "x", texts=("two", "one")), Entry("a.jpg", "main", "x", texts=("one",)))
    sources = gather.gather_sources(hashed(*copies, Entry("c.txt", "main", "t", role="text")))
    assert 3 == len(sources)
    assert 3 == len(set(sources["source_id"].to_pylist()))
    (asset,) = gather.gather_assets(sources).to_pylist()
    assert ("a.jpg", ["one", "two"]) == (asset["source_uri"], asset["source_texts"])


def test_order_of_files_does_not_matter() -> None:
    """The same files listed in another order give the same tables."""
    entries = [Entry(f"{n}.jpg", "main", "xyx"[n], texts=(str(n),)) for n in range(3)]
    one, other = (gather.gather_sources(hashed(*order)) for order in (entries, entries[::-1]))
    assert one.drop_columns("location") == other.drop_columns("location")
    assert gather.gather_assets(one) == gather.gather_assets(other)


def test_unread_files_are_failed_assets() -> None:
    """A file that could not be read is a row with a reason; it keeps an id of its own."""
    sources = gather.gather_sources(hashed(Entry("a.jpg", "main", "x", error="unreadable: no permission")))
    (verdict,) = gather.unread(sources).to_pylist()
    assert gather.gather_assets(sources)["id"].to_pylist() == [verdict["id"]]
    assert ("failed", "unreadable", "no permission") == (
        verdict["fate"],
        verdict["reason"],
        verdict["detail"],
    )


@pytest.mark.timeout(10)
def test_a_pipe_is_a_failure_and_opens_nothing(tmp_path: Path) -> None:
    """Only plain files are read: a pipe named like a text, a picture or a tar does not hold the run up."""
    fill(tmp_path, a__mp4=b"v")
    for name in ("a.txt", "b.jpg", "c.tar"):
        os.mkfifo(tmp_path / name)
    found = listed(tmp_path)
    assert None is found["a.mp4"].error
    assert ["not_a_file"] * 3 == [
        str(found[name].error).partition(":")[0] for name in ("a.txt", "b.jpg", "c.tar")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "\\ud800"}',
        b'{"text": "a", "n": ' + b"9" * 5000 + b"}",
        b'{"text": ' + b"[" * 100_000,
        b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}",
        b"\xff\xfe",
    ],
    ids=["half a character", "huge integer", "deep", "deep and whole", "no UTF-8"],
)
def test_hostile_sidecars_fail_alone(tmp_path: Path, content: bytes) -> None:
    """A sidecar that no reader takes is an error of its own, in a folder and in a tar, not the run's end."""
    fill(tmp_path, a__jpg=b"i", a__json=content, b__jpg=b"j", b__txt=b"fine")
    tar_of(tmp_path / "s.tar", ("k.jpg", b"J"), ("k.json", content), ("l.jpg", b"L"))
    found = listed(tmp_path)
    if not content.startswith(b'{"text": ' + b"[" * 900 + b"]"):
        assert str(found["a.json"].error).startswith("bad_sidecar: ")
        assert str(found["s.tar/k.json"].error).startswith("bad_sidecar: ")
    assert ("fine",) == found["b.jpg"].texts
    assert None is found["s.tar/l.jpg"].error
    json.dumps(entry_table(found.values()).to_pylist())


def test_a_json_beside_a_tar_is_no_text_of_its_members(tmp_path: Path) -> None:
    """A tar or a list holds samples and is none: what lies beside it describes it, and captions nothing."""
    tar_of(tmp_path / "00.tar", ("k.jpg", b"J"))
    fill(tmp_path, **{"00__json": b'{"text": "of the shard"}', "00__txt": b"too", "00__parquet": b"P"})
    fill(tmp_path, **{"01__json": b'{"text": "of the film"}', "01__mp4": b"v", "01__csv": b"path"})
    found = listed(tmp_path)
    assert () == found["00.tar/k.jpg"].texts
    assert "media" == found["00.json"].role
    assert ("of the film",) == found["01.mp4"].texts
    assert () == found["01.csv"].texts


def test_the_same_folder_twice_is_the_folder(tmp_path: Path) -> None:
    """A folder named twice, or with a list or a pattern of it, gives each file once, with all texts."""
    fill(tmp_path, a__jpg=b"i", a__txt=b"one", b__jpg=b"j")
    (tmp_path / "list.csv").write_text("path,caption\na.jpg,two\n")
    once = list_entries(str(tmp_path), "main")
    others = [*list_entries(str(tmp_path / "list.csv"), "main"), *list_entries(f"{tmp_path}/*.txt", "main")]
    assert entry_table(once) == entry_table([*once, *once])
    both = entry_table([*once, *others])
    assert both == entry_table([*others, *once]).take(
        [entry_table([*others, *once])["id"].to_pylist().index(i) for i in both["id"].to_pylist()]
    )
    assert entry_table(once)["id"] == both["id"]
    rows = {row["source_uri"]: row for row in both.to_pylist()}
    assert (["one", "two"], "text") == (rows["a.jpg"]["source_texts"], rows["a.txt"]["role"])


def test_one_name_twice_unread_is_one_failure() -> None:
    """Two unreadable files of one name, by different roads, are one failed asset with one verdict."""
    entries = [Entry("a.jpg", "main", path, error="unreadable: gone") for path in ("x", "y")]
    sources = gather.gather_sources(hashed(*entries))
    assert (2, 1, 1) == (len(sources), len(gather.gather_assets(sources)), len(gather.unread(sources)))

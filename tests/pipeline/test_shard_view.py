"""A shard is seen from its tar alone; in its work directory also where a sample came from."""

import io
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import ManifestError, RecipeError
from manifests.views import ask
from pipeline.shard_view import asked, sample, sample_lines, shard, shard_lines
from pipeline.show import inert

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


@pytest.fixture
def packed(finished: Path) -> Path:
    return finished / "pack" / "video-clips" / "shards" / "000000.tar"


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("out", None),
        ("a/b.tar", ("a/b.tar", "")),
        ("a:1/b.tar:0c5", ("a:1/b.tar", "0c5")),
        ("b.tar.gz", None),
    ],
)
def test_what_is_asked(words: str, expected: tuple[str, str] | None) -> None:
    """A path that ends with .tar is a shard; what follows a colon behind it is a key."""
    found = asked(words)
    assert expected == (found and (str(found[0]), found[1]))


def test_a_shard_is_its_samples(packed: Path, finished: Path) -> None:
    """Keys, sizes, JSON and texts are those of the rows; a copy of the tar alone tells the same."""
    rows = ask(
        finished,
        "select id, media_bytes, text from pack where media_ext = 'mp4' and shard is not null order by id",
    ).to_pylist()
    found = shard(packed)
    assert [row["id"] for row in rows] == [one["key"] for one in found["list"]]
    assert [row["text"] for row in rows] == [one["txt"] for one in found["list"]]
    assert [row["media_bytes"] for row in rows] == [one["members"][0]["bytes"] for one in found["list"]]
    assert [row["id"] for row in rows] == [one["json"]["id"] for one in found["list"]]
    assert {"mp4", "txt", "json"} == found["members"].keys()


def test_one_sample_and_its_way(packed: Path) -> None:
    """By its first digits: members by the offsets of the parquet, and the steps it went through."""
    key = shard(packed)["list"][1]["key"]
    found = sample(packed, key[:10])
    assert key == found["key"] == found["json"]["id"]
    assert shard(packed)["list"][1]["members"] == found["members"]
    assert [key] == [row["id"] for row in found["lineage"]["rows"]]
    text = "\n".join(sample_lines(found))
    assert f"its way: source {found['json']['source_uri']} -> asset" in text


def test_a_tar_at_hand_is_enough(packed: Path, tmp_path: Path) -> None:
    """Without parquet and work directory the same members are found by the headers; there is no lineage."""
    alone = Path(shutil.copy(packed, tmp_path / "any.tar"))
    key = shard(packed)["list"][0]["key"]
    assert sample(packed, key)["members"] == sample(alone, key)["members"]
    assert sample(alone, key)["lineage"] is None


def test_a_parquet_of_another_tar_is_not_believed(packed: Path, tmp_path: Path) -> None:
    """Offsets that do not lead to the sample are left aside."""
    tar = tar_of(tmp_path / "x.tar", {"a.txt": b"1", f"{shard(packed)['list'][0]['key']}.txt": b"2"})
    shutil.copy(packed.with_suffix(".parquet"), tmp_path / "x.parquet")
    assert "2" == sample(tar, shard(packed)["list"][0]["key"])["txt"]


@pytest.mark.parametrize(
    ("column", "value"), [("txt_size", -1), ("txt_offset", 1 << 40), ("json_size", None)]
)
def test_a_parquet_that_leads_outside_the_tar(
    packed: Path, tmp_path: Path, column: str, value: int | None
) -> None:
    """Nothing is read by a size below zero, none at all, or a place behind the end; it is said."""
    tar = Path(shutil.copy(packed, tmp_path / "x.tar"))
    table = pq.read_table(packed.with_suffix(".parquet"))
    wrong = pa.array([value] * len(table), pa.int64())
    table = table.set_column(table.column_names.index(column), column, wrong)
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(ManifestError, match=r"x.parquet places .* elsewhere than within"):
        sample(tar, table["key"][0].as_py())


def test_texts_are_read_of_those_that_are_shown(tmp_path: Path) -> None:
    """Every sample has its members; beyond the first 40, and beyond 1 MiB of one sample, no text."""
    members = {f"{n:02}.txt": b"word" for n in range(42)} | {"00.txt": b"x" * (1 << 20), "00.b.txt": b"y"}
    found = shard(tar_of(tmp_path / "x.tar", dict(sorted(members.items()))))
    assert [True] * 40 + [False] * 2 == [bool({"txt", "b.txt"} & one.keys()) for one in found["list"]]
    assert [4] * 41 == [one["members"][0]["bytes"] for one in found["list"][1:]]
    assert ("y", "(1048576 bytes, more than are shown)") == (
        found["list"][0]["b.txt"],
        found["list"][0]["txt"],
    )


def test_wrong_path_and_wrong_key(packed: Path) -> None:
    """Each names the nearest that there is; digits of several samples ask for more."""
    with pytest.raises(RecipeError, match=r"no shard .*000001.tar; the nearest is .*000000.tar"):
        shard(packed.with_name("000001.tar"))
    key = shard(packed)["list"][0]["key"]
    with pytest.raises(RecipeError, match=f"the nearest is {key}"):
        sample(packed, key[:-1] + "x")
    with pytest.raises(RecipeError, match="give more digits"):
        sample(packed, "")


def test_a_damaged_tar(packed: Path, tmp_path: Path) -> None:
    """It ends with one sentence."""
    (tmp_path / "x.tar").write_bytes(packed.read_bytes()[:-30_000])
    with pytest.raises(ManifestError, match="cannot be read"):
        shard(tmp_path / "x.tar")


def test_text_of_a_strange_tar_is_inert(tmp_path: Path) -> None:
    """Broken JSON, control characters and members without content are shown as they are, nothing is
    obeyed."""
    members = {"k.txt": b"\x1b[31mred", "k.json": b"{no", "k.jpg": b"", "l.txt": "café\u202e".encode()}
    found = shard(tar_of(tmp_path / "x.tar", members))
    assert {"k": "\x1b[31mred", "l": "café\u202e"} == {one["key"]: one["txt"] for one in found["list"]}
    assert "{no" == found["list"][0]["json"]
    text = "\n".join(map(inert, [*shard_lines(found), *sample_lines(sample(tmp_path / "x.tar", "k"))]))
    assert "\x1b" not in text and "\u202e" not in text

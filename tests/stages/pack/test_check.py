"""Damage of every kind is found, and a whole dataset has no findings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.pack import cards, shard
from stages.pack.check import check_dataset, findings
from stages.pack.shard import Sample

Write = Callable[..., Path]
PARQUET, TAR = "shards/000000.parquet", "shards/000000.tar"


@pytest.fixture
def folder(write: Write) -> Path:
    return write("image", 5)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 4
    path.write_bytes(bytes(content))


def edit(path: Path, column: str, change: Callable[[pa.Array], pa.Array]) -> None:
    table = pq.read_table(path)
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, table.schema.field(at), change(table[column])), path)


def seal(folder: Path) -> None:
    """Make every card agree with the parquets as they are now."""
    summary = cards.read_summary(folder)
    parts = [shard.read_summary(folder, part["name"]) for part in summary["shards"]]
    cards.write_cards(folder, parts, name=summary["name"], run=summary["run"])


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_whole_dataset_has_no_findings(write: Write, kind: str) -> None:
    """As written, nothing is found; also under another folder name."""
    folder = write(kind, 5)
    assert [] == check_dataset(folder)
    assert [] == check_dataset(folder.rename(folder.with_name("moved")))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_found_in_any_file(folder: Path, data: st.DataObject) -> None:
    """One bit, anywhere in any file but the prose of the README, gives a finding and never an exception."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    head = content.index(b"\n---\n") if path.name == "README.md" else len(content)
    flip(path, data.draw(st.integers(0, head - 1)))
    try:
        assert [] != check_dataset(folder)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("kept", [0, 1, 700, 1024, 5000])
def test_a_truncated_tar_is_found(folder: Path, kept: int) -> None:
    """A tar cut anywhere is named, with its size."""
    content = (folder / TAR).read_bytes()
    (folder / TAR).write_bytes(content[:kept])
    findings = " ".join(check_dataset(folder))
    assert f"{TAR} has {kept} bytes, expected {len(content)}" in findings
    assert f"{TAR} has another SHA-256" in findings


@pytest.mark.parametrize("ending", shard.ENDINGS)
def test_a_missing_file_is_found(folder: Path, ending: str) -> None:
    """Each of the four files of a shard is missed."""
    (folder / f"shards/000001{ending}").unlink()
    assert f"shards/000001{ending} is missing" in check_dataset(folder)


def test_an_extra_shard_is_found(folder: Path) -> None:
    """A shard that the cards do not name is named here."""
    for ending in shard.ENDINGS:
        shutil.copy(folder / f"shards/000000{ending}", folder / f"shards/000002{ending}")
    assert len(shard.ENDINGS) == sum("is extra" in finding for finding in check_dataset(folder))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("media_offset", "do not stand side by side"),
        ("txt_offset", "txt of"),
        ("json_size", "json of"),
        ("header_offset", "begins at"),
        ("width_px", "json of"),
    ],
)
def test_an_edited_parquet_is_found(folder: Path, column: str, words: str) -> None:
    """Even when every card was made to agree, a number changed in the parquet contradicts the tar."""
    edit(folder / PARQUET, column, lambda values: pc.add(values, 512))
    assert f"{PARQUET}: parquet_sha256 is" in " ".join(check_dataset(folder))
    seal(folder)
    assert words in " ".join(check_dataset(folder)) or "outside the tar" in " ".join(check_dataset(folder))


def test_an_edited_digest_is_found(folder: Path) -> None:
    """A digest that is not the media's is named."""
    edit(folder / PARQUET, "media_sha256", lambda values: pa.array(["0" * 64] * len(values)))
    seal(folder)
    assert "the jpg of" in " ".join(check_dataset(folder))


def test_lost_places_are_found(folder: Path) -> None:
    """A parquet that cannot place its samples is one finding, not an exception."""
    edit(folder / PARQUET, "txt_offset", lambda values: pa.array([None] * len(values), pa.int64()))
    seal(folder)
    assert [f"{PARQUET} cannot place its samples: a place of txt is unknown"] == check_dataset(folder)


def test_a_key_that_stands_twice_is_found(tmp_path: Path, new_sample: Callable[..., Sample]) -> None:
    """The same sample in two shards is one finding, although each shard is whole."""
    one = new_sample(1, "image", b"\xff\xd8")
    parts = [shard.write_shard(tmp_path, name, [one]) for name in ("000000", "000001")]
    cards.write_cards(tmp_path, parts, name="twice")
    key = one.row["id"]
    assert [f"key {key} stands in shard 000000 and again in 000001"] == check_dataset(tmp_path)


def test_wrong_counts_are_found(folder: Path) -> None:
    """A count changed in any card is a finding that names the card."""
    for path in ("index.json", "shards/sizes.json", ".nv-meta/.info.json"):
        content = (folder / path).read_text()
        (folder / path).write_text(content.replace(": 3", ": 4"))
        assert [f"{path} is not what dataset.json says"] == check_dataset(folder)
        (folder / path).write_text(content)
    summary = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**summary, "samples": 6}))
    assert "does not add up" in " ".join(check_dataset(folder))


@pytest.mark.parametrize(
    "name", [TAR, "shards/000000.tar.idx", "shards/000000_stats.json", "index.json", ".nv-meta/split.yaml"]
)
def test_the_broken_file_is_blamed(folder: Path, name: str) -> None:
    """Each finding names the file that is to be written again, not the good one that it was compared with."""
    flip(folder / name, 700)
    assert {name} == {finding.path for finding in findings(folder)}


def test_dataset_json_is_blamed_for_what_it_says_wrong_of_a_parquet(folder: Path) -> None:
    """A parquet of the right digest is right; so is a tar of the digest that its parquet has."""
    summary = json.loads((folder / "dataset.json").read_text())
    summary["shards"][0]["tar_sha256"] = "0" * 64
    (folder / "dataset.json").write_bytes(cards.written(summary))
    assert {"dataset.json", "croissant.json"} == {finding.path for finding in findings(folder)}
    seal(folder)
    edit(folder / PARQUET, "width_px", lambda values: pc.add(values, 1))
    seal(folder)
    assert {PARQUET} == {finding.path for finding in findings(folder)}


def test_a_folder_that_is_no_dataset_is_one_finding(tmp_path: Path) -> None:
    """Nothing is raised where there is nothing."""
    assert 1 == len(check_dataset(tmp_path))


def test_media_that_cannot_be_read_are_found(write: Write) -> None:
    """With `media`, each sample is probed: pictures pass, bytes that only claim to be video do not."""
    assert [] == check_dataset(write("image", 2, 1), media=True)
    findings = check_dataset(write("video", 2, 1), media=True)
    assert 2 == len(findings)
    assert "cannot be read" in findings[0]

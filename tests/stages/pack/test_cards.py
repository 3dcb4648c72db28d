"""The cards of a dataset, as the readers they are written for see them."""

import gc
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from manifests.errors import ManifestError
from stages.pack import cards, shard

Write = Callable[..., Path]
KINDS = [("image", 14, "jpg"), ("video", 9, "mp4")]


@pytest.fixture
def careless() -> Iterator[None]:
    """For readers that leave files open: they are closed here, where the test ignores the warning."""
    yield
    gc.collect()


@pytest.fixture
def hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """datasets.load_dataset without a network, with a cache of its own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets  # type: ignore[import-untyped]  # ships no types
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return lambda folder, **options: datasets.load_dataset(
        str(folder), split="train", cache_dir=str(tmp_path / "cache"), **options
    )


@pytest.mark.parametrize(("kind", "count", "extension"), KINDS)
@pytest.mark.filterwarnings("ignore")
def test_datasets_counts_and_types(
    write: Write, hugging_face: Callable[..., Any], kind: str, count: int, extension: str
) -> None:
    """Hugging Face reads the tars, not the parquets, with the types of our columns from the first sample."""
    folder = write(kind, count)
    loaded = hugging_face(folder)
    assert count == len(loaded)
    assert {"__key__", "__url__", extension, "txt", "json"} == set(loaded.column_names)
    rows = [row["json"] for row in loaded.remove_columns([extension])]
    assert {1.0, 1.5} == {row["detail"] for row in rows}
    assert {None, 0.25} == {row["motion"] for row in rows}
    assert {(), ("früh", "late")} == {tuple(row["source_texts"]) for row in rows}
    assert "float64" == loaded.features["json"]["start_s"].dtype
    assert count == sum(1 for _ in hugging_face(folder, streaming=True))
    assert loaded[0][extension] is not None


@pytest.mark.parametrize(("kind", "count", "extension"), KINDS)
@pytest.mark.usefixtures("careless")
@pytest.mark.filterwarnings("ignore")
def test_webdataset_counts(write: Write, kind: str, count: int, extension: str) -> None:
    """webdataset finds whole samples with these members, keys as our ids."""
    import webdataset  # type: ignore[import-untyped]  # ships no types

    folder = write(kind, count)
    samples = list(webdataset.WebDataset(f"{folder}/shards/{{000000..000001}}.tar", shardshuffle=False))
    assert count == len({sample["__key__"] for sample in samples})
    names = [{name for name in sample if not name.startswith("__")} for sample in samples]
    assert [{extension, "txt", "json"}] * count == names


@pytest.mark.usefixtures("careless")
@pytest.mark.filterwarnings("ignore")
def test_wids_counts(write: Write, tmp_path: Path) -> None:
    """wids finds the shards beside its index and any sample by number."""
    import wids  # type: ignore[import-untyped]  # ships no types

    index = wids.ShardListDataset(str(write("image", 14) / "index.json"), cache_dir=str(tmp_path / "wids"))
    assert 14 == len(index)
    assert {".jpg", ".txt", ".json"} <= set(index[11])


def test_duckdb_counts(write: Write) -> None:
    """The parquets are one table."""
    folder = write("video", 9)
    query = f"select count(distinct id), sum(media_bytes), max(phashes[1]) from '{folder}/shards/*.parquet'"
    assert [(9, 9 * 16, 2**64 - 1)] == duckdb.connect().execute(query).fetchall()


@pytest.mark.xdist_group("ray")
def test_ray_counts(write: Write, ray_session: None) -> None:
    """Ray Data reads the tars of a dataset with raw members."""
    import ray

    folder = write("video", 9)
    tars = sorted(str(path) for path in (folder / "shards").glob("*.tar"))
    rows = ray.data.read_webdataset(tars, decoder=False).take_all()
    assert 9 == len({row["__key__"] for row in rows})


def test_the_small_files_are_to_the_letter(write: Write) -> None:
    """Energon's and open_clip's files as their sources read them (megatron-energon 7.4.1, open_clip)."""
    folder = write("image", 3)
    assert (
        "sample_type:\n  __module__: megatron.energon\n  __class__: CaptioningSample\n"
        "field_map:\n  image: jpg\n  caption: txt\n"
    ) == (folder / ".nv-meta/dataset.yaml").read_text()
    assert (
        "split_parts:\n  train:\n  - shards/{000000..000001}.tar\n  val: []\n  test: []\nexclude: []\n"
    ) == (folder / ".nv-meta/split.yaml").read_text()
    info = {
        "energon_version": "7.4.1",
        "shard_counts": {"shards/000000.tar": 2, "shards/000001.tar": 1},
    }
    assert info == json.loads((folder / ".nv-meta/.info.json").read_text())
    assert {"000000.tar": 2, "000001.tar": 1} == json.loads((folder / "shards/sizes.json").read_text())
    crude = (write("video", 2) / ".nv-meta/dataset.yaml").read_text()
    assert "__module__: megatron.energon\n__class__: CrudeWebdataset\n" == crude


def test_one_shard_has_no_braces(write: Write) -> None:
    """A single shard is named as it is."""
    assert "  - shards/000000.tar\n" in (write("image", 2, 1) / ".nv-meta/split.yaml").read_text()


def test_croissant_names_every_file_with_its_digest(write: Write) -> None:
    """Each tar and parquet is a file object with its SHA-256; no member of a tar is described."""
    folder = write("image", 3)
    card = json.loads((folder / "croissant.json").read_text())
    files = {node["contentUrl"]: node["sha256"] for node in card["distribution"] if "contentUrl" in node}
    expected = {f"shards/{name}.{ending}" for name in ("000000", "000001") for ending in ("tar", "parquet")}
    assert {*expected, "dataset.json"} == set(files)
    assert hashlib.sha256((folder / "dataset.json").read_bytes()).hexdigest() == files["dataset.json"]
    assert shard.read_summary(folder, "000001")["tar_sha256"] == files["shards/000001.tar"]


def test_nothing_names_the_machine(write: Write, tmp_path: Path) -> None:
    """No card holds an absolute path."""
    folder = write("image", 3)
    found = [
        path for path in folder.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()
    ]
    assert [] == found


def test_a_folder_without_its_summary_is_refused(tmp_path: Path) -> None:
    """The error says what is missing and what to do."""
    with pytest.raises(ManifestError, match=r"no usable dataset.json .* run pack again"):
        cards.read_summary(tmp_path)


def test_shards_must_agree(write: Write) -> None:
    """Shards of two kinds make no dataset."""
    parts = [shard.read_summary(write(kind, 2, 1), "000000") for kind in ("image", "video")]
    with pytest.raises(ManifestError, match="2 shapes"):
        cards.summarise(parts, "both", {})

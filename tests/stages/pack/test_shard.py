"""A shard and the files beside it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests import columns
from manifests.errors import ManifestError
from stages.pack import shard
from stages.pack.shard import Sample

New = Callable[..., Sample]


def pair(new_sample: New) -> list[Sample]:
    both = [new_sample(n, "image", b"\xff\xd8picture%d" % n) for n in range(2)]
    return sorted(both, key=lambda one: str(one.row["id"]))


def test_equal_samples_give_equal_files(tmp_path: Path, new_sample: New) -> None:
    """Two writings in two folders have the same bytes in every file."""
    found = []
    for folder in (tmp_path / "a", tmp_path / "elsewhere"):
        shard.write_shard(folder, "000000", pair(new_sample), inputs="i")
        found.append({path.name: path.read_bytes() for path in (folder / "shards").iterdir()})
    assert {f"000000{ending}" for ending in shard.ENDINGS} == set(found[0])
    assert found[0] == found[1]


def test_the_parquet_points_into_the_tar(tmp_path: Path, new_sample: New) -> None:
    """Offsets and sizes give media, text and JSON; digests are theirs; row values are kept."""
    samples = pair(new_sample)
    shard.write_shard(tmp_path, "000003", samples)
    content = (tmp_path / "shards/000003.tar").read_bytes()
    rows = pq.read_table(tmp_path / "shards/000003.parquet").to_pylist()
    for index, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        assert sample.media == content[row["media_offset"] :][: row["media_bytes"]]
        assert sample.text.encode() == content[row["txt_offset"] :][: row["txt_size"]]
        assert row["id"] == json.loads(content[row["json_offset"] :][: row["json_size"]])["id"]
        assert hashlib.sha256(sample.text.encode()).hexdigest() == row["txt_sha256"]
        assert ("shards/000003.tar", index, [2**64 - 1]) == (row["shard"], row["shard_index"], row["phashes"])


def test_the_summary_says_what_was_written(tmp_path: Path, new_sample: New) -> None:
    """Sizes and digests are those of the files; the caller's inputs come back."""
    summary = shard.write_shard(tmp_path, "000000", pair(new_sample), inputs="digest")
    content = (tmp_path / "shards/000000.tar").read_bytes()
    manifest = (tmp_path / "shards/000000.parquet").read_bytes()
    assert hashlib.sha256(content).hexdigest() == summary["tar_sha256"]
    assert hashlib.md5(content).hexdigest() == summary["tar_md5"]
    assert (len(content), len(manifest)) == (summary["tar_bytes"], summary["parquet_bytes"])
    assert hashlib.sha256(manifest).hexdigest() == summary["parquet_sha256"]
    assert (2, 20, "digest") == (summary["samples"], summary["media_bytes"], summary["inputs"])
    assert summary == shard.read_summary(tmp_path, "000000")


def test_the_json_has_every_column_every_time(new_sample: New) -> None:
    """Unknown values are null, whole floats stay floats, text is not escaped, hashes and fates stay out."""
    row = {**new_sample(0, "image", b"").row, "detail": 1, "source_texts": ["中"], "rejected_by": "dark"}
    text = shard.sample_json(row, columns.schema(shard.JSON_COLUMNS)).decode()
    assert list(shard.JSON_COLUMNS) == list(json.loads(text))
    assert '"detail":1.0' in text
    assert '"motion":null' in text
    assert '"source_texts":["中"]' in text
    assert not {"phashes", "location", "rejected_by", "media", "shard"} & set(shard.JSON_COLUMNS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused(new_sample: New, value: float) -> None:
    """NaN and infinity stop the shard with the column's name."""
    row = {**new_sample(0, "image", b"").row, "motion": value}
    with pytest.raises(ManifestError, match="motion is"):
        shard.sample_json(row, columns.schema(shard.JSON_COLUMNS))


def test_what_cannot_be_a_shard_is_refused(tmp_path: Path, new_sample: New) -> None:
    """No samples, ids out of order or twice, two kinds of media, other media than the row's: no shard."""
    first, second = pair(new_sample)
    video = new_sample(9, "video", b"clip")
    video = Sample({**video.row, "id": "f" * 32}, video.media, "")
    changed = Sample(first.row, b"\xff\xd8picture9", "")
    cases = {
        "no samples": [],
        "in order of their ids": [second, first],
        "once each": [first, first],
        "is mp4 beside jpg": [first, video],
        "not what its row says": [changed],
    }
    for words, samples in cases.items():
        with pytest.raises(ManifestError, match=words):
            shard.write_shard(tmp_path, "000000", samples)
        with pytest.raises(ManifestError, match="write the shard again"):
            shard.read_summary(tmp_path, "000000")


def test_an_interrupted_rewrite_is_incomplete(tmp_path: Path, new_sample: New) -> None:
    """From the first moment of writing a shard again until its end, it has no summary."""
    shard.write_shard(tmp_path, "000000", pair(new_sample))

    def stopping() -> object:
        yield pair(new_sample)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shard.write_shard(tmp_path, "000000", stopping())  # type: ignore[arg-type]
    with pytest.raises(ManifestError, match="write the shard again"):
        shard.read_summary(tmp_path, "000000")


def test_shards_of_another_plan_are_removed(tmp_path: Path, new_sample: New) -> None:
    """Shards that no plan names and temporary files go; the named one stays whole."""
    for name in ("000000", "000001"):
        shard.write_shard(tmp_path, name, pair(new_sample))
    (tmp_path / "shards/.000000.tar.77.tmp").write_bytes(b"half")
    assert ["000001"] == shard.remove_others(tmp_path, ["000000"])
    found = {path.name for path in (tmp_path / "shards").iterdir()}
    assert {f"000000{ending}" for ending in shard.ENDINGS} == found


def test_measures_of_one_recipe_are_carried(tmp_path: Path, new_sample: New) -> None:
    """A classifier's column, which no other recipe has, stands in the sample's JSON and in the parquet."""
    sample = new_sample(1, "image", b"\xff\xd8picture")
    sample = shard.Sample({**sample.row, "class_nsfw": 0.25}, sample.media, sample.text)
    summary = shard.write_shard(tmp_path, "000000", [sample], more=["class_nsfw"])
    assert "class_nsfw" == summary["json_columns"][-1]
    assert [0.25] == pq.read_table(tmp_path / "shards/000000.parquet")["class_nsfw"].to_pylist()


def test_the_counts_have_img2datasets_names() -> None:
    """The names are those of img2dataset's stats files; there are no clock times."""
    names = {"count", "successes", "failed_to_download", "failed_to_resize", "status_dict"}
    assert names == set(json.loads(shard.stats(3)))

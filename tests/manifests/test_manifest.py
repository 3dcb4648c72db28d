"""A step counts when its record does; nothing that a record lists is ever overwritten."""

from pathlib import Path

import pyarrow as pa
import pytest

from manifests import files, manifest, verdicts
from manifests.errors import ManifestError
from manifests.manifest import Manifest


def commit(out: Path, ids: list[str]) -> Manifest:
    rows = manifest.put(out / "ingest", "rows-all", pa.table({"id": ids}))
    given = manifest.put(out / "ingest", "verdicts", verdicts.SCHEMA.empty_table())
    record = {"inputs": "x", "rows": {"": rows}, "tables": {"verdicts": given}, "counts": {}, "settings": {}}
    return manifest.commit(out, "ingest", record, [])


def test_no_record_no_manifest(tmp_path: Path) -> None:
    """Files without a record are nothing to a reader."""
    manifest.put(tmp_path / "ingest", "rows-all", pa.table({"id": ["a"]}))
    assert Manifest.find(tmp_path, "ingest") is None
    with pytest.raises(ManifestError, match="no finished step"):
        Manifest.open(tmp_path, "ingest")


def test_commit_lists_files_with_hashes(tmp_path: Path) -> None:
    """Each listed part has the size and SHA-256 of the file."""
    done = commit(tmp_path, ["a", "b"])
    assert ["a", "b"] == done.all_rows()["id"].to_pylist()
    assert [files.sha256(done.folder / p["path"]) for p in done.parts().to_pylist()] == done.parts()[
        "sha256"
    ].to_pylist()


def test_old_files_go_after_the_new_record(tmp_path: Path) -> None:
    """A second commit leaves only what its record lists; equal content gives an equal record."""
    first = commit(tmp_path, ["a"]).digest
    second = commit(tmp_path, ["a", "b"])
    assert first != second.digest
    assert {p["path"] for p in second.parts().to_pylist()} | {second.record["parts"]} == {
        p.name for p in second.folder.glob("*.parquet")
    }
    assert first == commit(tmp_path, ["a"]).digest


def test_unknown_format_says_what_to_do(tmp_path: Path) -> None:
    """A record of another version is refused with a way out."""
    done = commit(tmp_path, ["a"])
    files.write_json(done.folder / "record.json", {**done.record, "format": 99})
    with pytest.raises(ManifestError, match="another OUT"):
        Manifest.open(tmp_path, "ingest")


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    """A write that fails leaves the old content and no temporary file."""
    files.write_bytes(tmp_path / "f", b"old")
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "f") as handle:
        handle.write(b"new")
        raise RuntimeError
    assert b"old" == (tmp_path / "f").read_bytes()
    assert ["f"] == [p.name for p in tmp_path.iterdir()]

"""A step counts when its record does; nothing that a record lists is ever overwritten."""

from pathlib import Path

import pyarrow as pa
import pytest

from manifests import files, manifest, verdicts
from manifests.errors import ManifestError
from manifests.manifest import Manifest
from manifests.store import Results


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


def test_finished_steps(tmp_path: Path) -> None:
    """By step, in their order; a directory without one says how to make one."""
    with pytest.raises(ManifestError, match="no finished step; name the folder of a `reelmix run --out`"):
        manifest.finished(tmp_path)
    commit(tmp_path, ["a"])
    assert ["ingest"] == list(manifest.finished(tmp_path))


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


def test_put_does_not_trust_a_name(tmp_path: Path) -> None:
    """Junk under the name of a table is replaced by the table."""
    done = commit(tmp_path, ["a"])
    (done.folder / done.record["rows"][""]).write_bytes(b"junk")
    again = commit(tmp_path, ["a"])
    assert done.record == again.record
    assert ["a"] == again.all_rows()["id"].to_pylist()


def test_a_damaged_table_says_how_to_mend_it(tmp_path: Path) -> None:
    """Rows, tables and lists that cannot be read name the file and the command."""
    done = commit(tmp_path, ["a"])
    for path in done.folder.glob("*.parquet"):
        path.write_bytes(b"junk")
    for read in (done.all_rows, done.parts, lambda: done.table("verdicts")):
        with pytest.raises(ManifestError, match=r"ingest/.*parquet cannot be read.*verify .* --mend"):
            read()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 1}', "\udcff"])
def test_a_broken_record_says_how_to_mend_it(tmp_path: Path, content: str) -> None:
    """No JSON, no record, a record without its parts."""
    done = commit(tmp_path, ["a"])
    (done.folder / "record.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ManifestError, match=r"record.json.*verify .* --mend"):
        Manifest.find(tmp_path, "ingest")


def test_a_record_that_was_changed_is_told(tmp_path: Path) -> None:
    """A record knows the digest of its own content; one that lacks it, of an earlier version, is taken."""
    done = commit(tmp_path, ["a"])
    files.write_json(done.folder / "record.json", {**done.record, "settings": {"x": 1}})
    with pytest.raises(ManifestError, match="was changed after it was written"):
        Manifest.find(tmp_path, "ingest")
    files.write_json(done.folder / "record.json", {k: v for k, v in done.record.items() if k != "sha256"})
    assert Manifest.find(tmp_path, "ingest")


def test_a_record_knows_the_step_before(tmp_path: Path) -> None:
    """It holds the digest of what the step was made from, empty for the first step."""
    first = commit(tmp_path, ["a"])
    record = {**first.record, "rows": {}, "tables": {}}
    second = manifest.commit(tmp_path, "split", record, [])
    assert ("", first.digest) == (first.record["before"], second.record["before"])


def test_a_result_is_listed_as_it_was_written(tmp_path: Path) -> None:
    """What has happened to a part since shows against the list, even when it kept its size."""
    results = Results(tmp_path, "ingest", "Measure", "f1", ("luma_mean",))
    row = {"id": ["a"], "input": ["1"], "luma_mean": [0.5], "error": pa.nulls(1, pa.string())}
    results.write(pa.table(row))
    (part,) = results.parts()
    written = files.sha256(part)
    part.write_bytes(part.read_bytes()[::-1])
    rows = manifest.put(tmp_path / "ingest", "rows-all", pa.table({"id": ["a"]}))
    record = {"inputs": "x", "rows": {"": rows}, "tables": {}, "counts": {}, "settings": {}}
    listed = manifest.commit(tmp_path, "ingest", record, [results]).parts().to_pylist()
    assert [written[:32]] == [p["sha256"] for p in listed if p["table"] == "Measure"]

"""What verify finds can be mended: exactly the broken goes, a run makes it again, all that is good stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests import files, manifest
from manifests.errors import ManifestError
from manifests.manifest import Manifest
from manifests.verdicts import STEPS
from pipeline.inspect import summary, table
from pipeline.verify import mend, verify
from tests.pipeline.local import run_here

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def tree(out: Path) -> dict[str, str]:
    """SHA-256 of every file that a step keeps."""
    paths = sorted(p for step in STEPS for p in (out / step).rglob("*") if p.is_file())
    return {str(p.relative_to(out)): files.sha256(p) for p in paths}


def shards(out: Path) -> dict[str, str]:
    """SHA-256 of every file of the packed datasets."""
    return {
        name: d for name, d in tree(out).items() if name.startswith(("pack/images/", "pack/video-clips/"))
    }


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def one(out: Path, pattern: str) -> Path:
    return sorted(out.glob(pattern))[0]


BROKEN = [
    ("split/record.json", []),
    ("split/parts-*.parquet", ["split/record.json"]),
    ("filter/rows-*.parquet", ["filter/record.json"]),
    ("split/HashFrames-*/all-*.parquet", ["split/record.json"]),
    ("pack/images/shards/000000.tar", ["pack/record.json"]),
    ("pack/video-clips/shards/000000.parquet", ["pack/record.json"]),
    ("pack/video-clips/dataset.json", ["pack/record.json"]),
]


@pytest.mark.parametrize(("pattern", "records"), BROKEN)
def test_what_is_broken_goes_and_comes_back(
    corpus: Path, finished: Path, copied: Path, pattern: str, records: list[str]
) -> None:
    """A flipped bit in any kind of file: it and its record go, a run brings it back, all else stays."""
    victim = one(copied, pattern)
    name = str(victim.relative_to(copied))
    flip(victim)
    found = verify(copied)
    assert found
    assert all(f"reelmix verify {copied} --mend" in finding for finding in found)
    lines, left = mend(copied)
    assert not left
    good = tree(finished)
    assert sorted({name, *records}) == sorted(good.keys() - tree(copied).keys())
    assert sorted({name, *records}) == sorted(
        line.split()[-1] for line in lines if line.startswith("  removed ")
    )
    assert tree(copied).items() <= good.items()
    run_here(corpus, copied)
    assert [] == verify(copied)
    assert shards(finished) == shards(copied)


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_lost_side_file_takes_the_part_that_names_it(
    corpus: Path, finished: Path, copied: Path, damage: str
) -> None:
    """Without its media a result of the cut is none: both go, the same rows are cut again, to equal bytes."""
    side = one(copied, "pack/CutMedia-*/*.media.parquet")
    name = str(side.relative_to(copied))
    flip(side) if damage == "flip" else side.unlink()
    assert name.partition("/")[2] in verify(copied)[0]
    mend(copied)
    gone = tree(finished).keys() - tree(copied).keys()
    (part,) = gone - {name, "pack/record.json"}
    places = pq.read_table(finished / part)["media_part"].to_pylist()
    assert {name} == set(places) - {None}
    log = run_here(corpus, copied)
    assert len(places) == log.steps["pack"]["rows"]
    assert [] == verify(copied)
    assert shards(finished) == shards(copied)


def test_several_faults_are_mended_at_once(corpus: Path, finished: Path, copied: Path) -> None:
    """Faults of steps, results and shards, and the removal of each, in one go."""
    flip(one(copied, "pack/images/shards/*.tar"))
    flip(one(copied, "pack/images/index.json"))
    flip(one(copied, "ingest/rows-*.parquet"))
    one(copied, "mix/verdicts-*.parquet").unlink()
    (copied / "caption" / "record.json").write_text("{")
    assert 5 <= len(verify(copied))
    mend(copied)
    run_here(corpus, copied)
    assert [] == verify(copied)
    assert tree(finished) == tree(copied)


def test_nothing_broken_nothing_removed(finished: Path, copied: Path) -> None:
    """Mending a whole directory leaves every file, and says nothing."""
    assert ([], False) == mend(copied)
    assert tree(finished) == tree(copied)


def test_what_is_not_ours_stays(copied: Path) -> None:
    """A file that a person put beside the shards is named, is left, and keeps the exit code at 1."""
    note = copied / "pack" / "images" / "shards" / "notes.txt"
    note.write_text("mine")
    lines, left = mend(copied)
    assert (True, 1, "mine") == (left, len(lines), note.read_text())
    shutil.copy(note, note.with_name("000077.tar"))
    mend(copied)
    assert ["notes.txt"] == [p.name for p in note.parent.iterdir() if p.name in ("notes.txt", "000077.tar")]


def test_a_file_out_of_reach_is_not_removed(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read now may be good."""
    real, rows = files.sha256, one(copied, "filter/rows-*.parquet")

    def refused(path: Path) -> str:
        if path == rows:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files, "sha256", refused)
    lines, left = mend(copied)
    assert (True, True) == (left, rows.exists())
    assert [f"filter: {rows.name} cannot be read now: Permission denied; mend that and verify again"] == lines


@pytest.mark.parametrize("ending", [".tar", ".tar.idx", "_stats.json", ".parquet"])
def test_a_deleted_file_of_a_shard_is_written_again(
    corpus: Path, finished: Path, copied: Path, ending: str
) -> None:
    """A run sees that a packed file is gone; no other command is needed."""
    (copied / f"pack/images/shards/000000{ending}").unlink()
    log = run_here(corpus, copied)
    assert 0 == log.steps["pack"]["decodes"]
    assert tree(finished) == tree(copied)


def test_a_damaged_row_file_is_written_again_without_its_record(
    corpus: Path, finished: Path, copied: Path
) -> None:
    """Once the record is gone, the rows are made anew although junk has their name."""
    one(copied, "filter/rows-*.parquet").write_bytes(b"junk")
    (copied / "filter" / "record.json").unlink()
    run_here(corpus, copied)
    assert [] == verify(copied)
    assert tree(finished) == tree(copied)


def test_a_restored_file_is_good(corpus: Path, finished: Path, copied: Path) -> None:
    """Junk that a run met is never what a file is later compared with."""
    part = one(copied, "split/HashFrames-*/*.parquet")
    content = part.read_bytes()
    rows = pq.read_table(part)
    pq.write_table(rows.set_column(1, "input", pa.array(["x"] * len(rows))), part)
    (copied / "split" / "record.json").unlink()
    run_here(corpus, copied)
    assert f"split: {part.parent.name}/{part.name}" in verify(copied)[0]
    part.write_bytes(content)
    run_here(corpus, copied)
    assert [] == verify(copied)


def test_the_list_of_parts_is_checked_itself(finished: Path, copied: Path) -> None:
    """A list that lost a line is told, and the part that it no longer names too when that is junk."""
    listed = one(copied, "split/parts-*.parquet")
    part = one(copied, "split/SplitShots-*/*.frames.parquet")
    lines = pq.read_table(listed).to_pylist()
    kept = [line for line in lines if not part.match(line["path"])]
    pq.write_table(pa.Table.from_pylist(kept, schema=manifest.PARTS), listed)
    flip(part)
    found = " ".join(verify(copied))
    assert listed.name in found
    assert part.name in found


def commit_again(out: Path, step: str, rows: pa.Table) -> None:
    """The step with other rows, as if a stage had made them."""
    done = Manifest.open(out, step)
    record: dict[str, Any] = {**done.record, "rows": {"": manifest.put(out / step, "rows-all", rows)}}
    record["counts"] = {**record["counts"], "rows": len(rows), "live": record["counts"]["live"] + 1}
    manifest.commit(out, step, record, [])


def test_rows_that_come_from_nowhere_are_found(corpus: Path, copied: Path) -> None:
    """A row that is no row of the step before, nor made of one, is named; committed again, it is gone."""
    rows = Manifest.open(copied, "mix").all_rows()
    at = rows.column_names.index("id")
    stranger = rows.slice(0, 1).set_column(at, "id", pa.array(["f" * 32]))
    commit_again(copied, "mix", pa.concat_tables([rows, stranger]))
    (copied / "pack" / "record.json").unlink()
    (finding,) = verify(copied)
    assert "mix: 1 rows have no row or parent in caption, first " + "f" * 32 in finding
    mend(copied)
    run_here(corpus, copied)
    assert [] == verify(copied)


def test_an_asset_without_a_file_is_found(copied: Path) -> None:
    """A row of ingest that no listed file gave is named."""
    rows = Manifest.open(copied, "ingest").all_rows()
    stranger = rows.slice(0, 1).set_column(rows.column_names.index("id"), "id", pa.array(["f" * 32]))
    commit_again(copied, "ingest", pa.concat_tables([rows, stranger]))
    assert any("ingest: 1 rows come from no listed file" in finding for finding in verify(copied))


def test_steps_that_no_longer_follow_are_stale(corpus: Path, copied: Path) -> None:
    """After a rule was judged anew alone, what was made before is called stale until a run makes it again."""
    run_here(corpus, copied, settings=["filter.not_blurred.max=0.0"], only=["filter"])
    sentence = "stale: filter changed after dedup, caption, mix, pack were made; run again"
    assert [sentence] == verify(copied)
    found = summary(copied)
    stale = {name: step["stale"] for name, step in found["steps"].items()}
    assert {**dict.fromkeys(STEPS[:4]), **dict.fromkeys(STEPS[4:], "filter")} == stale
    assert sentence in table(found)
    assert ([sentence], False) == mend(copied)
    run_here(corpus, copied, settings=["filter.not_blurred.max=0.0"])
    assert [] == verify(copied)
    assert not any(step["stale"] for step in summary(copied)["steps"].values())


def test_a_broken_log_of_a_run_is_mended(copied: Path) -> None:
    """The log that inspect reads is named when it is no JSON, and removed."""
    log = one(copied, "runs/*.json")
    log.write_text("{")
    with pytest.raises(ManifestError, match=r"000001.json.*--mend"):
        summary(copied)
    assert "runs: 000001.json is no JSON" in verify(copied)[0]
    mend(copied)
    assert not log.exists()
    assert summary(copied)["steps"]


def test_the_rules_stand_in_the_records(copied: Path, corpus: Path) -> None:
    """Thresholds as they were, with model and origin, stand in record, dataset.json and card."""
    run_here(corpus, copied, settings=["filter.not_blurred.max=0.9"])
    rules = {rule["name"]: rule for rule in Manifest.open(copied, "filter").record["rules"]}
    assert 0.9 == rules["not_blurred"]["parameters"][0]["value"]
    assert "blur <= $max" == rules["not_blurred"]["keep"]
    assert "reelmix-demo-clip" == rules["aligned"]["parameters"][0]["model"]
    assert {"scale", "origin"} <= rules["not_black"]["parameters"][0].keys()
    packed = json.loads((copied / "pack" / "images" / "dataset.json").read_text())["run"]["rules"]
    assert rules["not_blurred"] in packed
    assert {"wanted_kind", "not_blurred"} <= {rule["name"] for rule in packed}
    card = (copied / "pack" / "images" / "README.md").read_text()
    assert "| not_blurred | split | `blur <= $max` | max: value 0.9, scale" in card


def test_shares_are_recorded_with_the_numbers_found(copied: Path, corpus: Path) -> None:
    """A threshold that is a share of each corpus stands there with the number that it came to."""
    settings = ["filter.aligned.min={ top = 0.5 }"]
    run_here(corpus, copied, settings=settings, only=["filter"])
    rules = {rule["name"]: rule for rule in Manifest.open(copied, "filter").record["rules"]}
    (least,) = rules["aligned"]["parameters"]
    assert 0.5 == least["top"]
    assert {"main"} == {corpus for corpus, _ in least["by_corpus"]}

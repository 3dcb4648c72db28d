"""The promises of the core, on a small real corpus: conservation, resume, equal bytes, thresholds that move
for free."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.files import read_json, sha256
from manifests.manifest import Manifest
from manifests.views import ask
from pipeline.inspect import summary
from pipeline.steps import SHAPES
from pipeline.verify import verify
from tests.pipeline.local import run_here

# One finished run serves all of these, so they stay on one worker.
pytestmark = pytest.mark.xdist_group("flow")


def shards(out: Path) -> dict[str, str]:
    """SHA-256 of every file of the packed datasets."""
    pack = out / "pack"
    return {
        str(p.relative_to(pack)): sha256(p)
        for d in ("video-clips", "images")
        for p in sorted((pack / d).rglob("*"))
        if p.is_file()
    }


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def test_every_step_conserves_its_rows(finished: Path) -> None:
    """rows = live + rejected + duplicates + failed, and every listed file is accounted for."""
    found = summary(finished)
    assert list(SHAPES) == list(found["steps"])
    for counts in found["steps"].values():
        gone = sum(sum(counts[fate].values()) for fate in ("rejected", "duplicates", "failed"))
        assert counts["rows"] == counts["live"] + gone
    assert [] == verify(finished)


def test_each_file_is_accounted_for(corpus: Path, finished: Path) -> None:
    """The sources are the files of the folder, each once."""
    files = sorted(str(p.relative_to(corpus)) for p in corpus.rglob("*") if p.is_file())
    assert files == sorted(ask(finished, "select source_uri from sources")["source_uri"].to_pylist())
    counts = summary(finished)["steps"]["ingest"]["sources"]
    assert len(files) == sum(counts.values())


def test_nothing_to_do_does_nothing(corpus: Path, copied: Path) -> None:
    """A second run decodes nothing, computes no row and changes no file of the manifests."""
    before = {p: p.stat().st_mtime_ns for p in copied.rglob("*.parquet")}
    log = run_here(corpus, copied)
    assert 0 == sum(numbers["decodes"] + numbers["rows"] for numbers in log.steps.values())
    assert before == {p: p.stat().st_mtime_ns for p in copied.rglob("*.parquet")}


def test_one_more_file_computes_its_rows_only(corpus: Path, copied: Path, tmp_path: Path) -> None:
    """Adding an asset to a finished run computes that asset and its clips, and nothing else."""
    grown = Path(shutil.copytree(corpus, tmp_path / "grown"))
    before = set(ask(copied, "select id from split")["id"].to_pylist())
    source = next(p for p in sorted((corpus / "images").glob("still-*.jpg")))
    from PIL import Image

    Image.open(source).rotate(180).save(grown / "images" / "new.jpg", quality=95)
    log = run_here(grown, copied)
    after = set(ask(copied, "select id from split")["id"].to_pylist())
    assert 1 == len(after - before)
    assert set() == before - after
    # One probe and one hash of the new file, one decode for the split, one for the packed JPEG at most.
    assert 1 == log.steps["split"]["rows"]
    assert 1 == log.steps["split"]["decodes"]
    assert log.steps["pack"]["decodes"] <= 1


def test_a_file_that_could_not_be_read_comes_back(corpus: Path, tmp_path: Path) -> None:
    """A file whose bytes are out of reach fails; once they are there again the next run takes them."""
    folder = tmp_path / "in"
    folder.mkdir()
    picture = shutil.copy(next(iter(sorted((corpus / "images").glob("still-*.jpg")))), folder / "a.jpg")
    place = tmp_path / "elsewhere.jpg"
    Path(picture).rename(place)
    (folder / "a.jpg").symlink_to(place)
    stat = place.stat()
    place.rename(tmp_path / "away.jpg")
    run_here(folder, tmp_path / "out")
    assert {"unreadable": 1} == summary(tmp_path / "out")["steps"]["pack"]["failed"]
    (tmp_path / "away.jpg").rename(place)
    os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    run_here(folder, tmp_path / "out")
    assert 1 == summary(tmp_path / "out")["steps"]["pack"]["live"]


def test_a_moved_threshold_decodes_nothing(corpus: Path, copied: Path) -> None:
    """A changed rule re-judges, keeps anew and packs; loosening brings back exactly the rows that passed."""
    rejected = ask(copied, "select id from filter where rejected_by = 'not_blurred'")["id"].to_pylist()
    assert rejected
    log = run_here(corpus, copied, settings=["filter.not_blurred.max=1.0"])
    assert [0, 0, 0, 0] == [log.steps[step]["decodes"] for step in ("ingest", "split", "filter", "dedup")]
    assert len(rejected) >= log.steps["pack"]["decodes"]
    assert [] == ask(copied, "select id from filter where rejected_by = 'not_blurred'")["id"].to_pylist()
    assert [] == verify(copied)


def test_a_loosened_clip_rule_captions_what_came_back(corpus: Path, tmp_path: Path) -> None:
    """Clips that a stricter rule rejected are captioned when it lets them in; no other clip is, again."""

    def captioned(least: float) -> tuple[set[str], float]:
        settings = ["filter.aligned.otherwise=reject", f"filter.aligned.min={least}"]
        log = run_here(corpus, tmp_path, settings=settings)
        alive = "coalesce(rejected_by, duplicate_of, error) is null"
        live = ask(tmp_path, f"select id from caption where {alive}")
        return set(live["id"].to_pylist()), log.steps["caption"]["decodes"]

    strict, first = captioned(0.85)
    loose, second = captioned(0.5)
    again, none = captioned(0.85)
    assert loose - strict and strict == again
    assert (len(strict), len(loose - strict), 0) == (first, second, none)


def test_two_runs_are_equal(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """Another run in another place, on a renamed folder, gives the same bytes."""
    renamed = Path(shutil.copytree(corpus, tmp_path / "under another name"))
    run_here(renamed, tmp_path / "out", settings=["run.order_rows=3"])
    assert shards(finished) == shards(tmp_path / "out")


def test_order_of_listing_does_not_matter(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """The files listed backwards give the same bytes."""
    texts = {p.stem: p.read_text() for p in corpus.rglob("*.txt")}
    assert texts
    from stages.ingest import listing

    real = listing.list_entries
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "list_entries", lambda uri, corpus: real(uri, corpus)[::-1])
        run_here(corpus, tmp_path / "out")
    assert shards(finished) == shards(tmp_path / "out")


@pytest.mark.timeout(600)
def test_killed_at_any_write_it_ends_the_same(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """A driver killed again and again, each time one write further on, ends with the bytes of an undisturbed
    run."""
    command = [sys.executable, "-m", "tests.pipeline.local", str(corpus), str(tmp_path / "out")]
    deaths = 0
    for write in [1, 2, 5, 3, 8, 13, 4, 7, 2, 3, 1, 6, 0]:
        done = subprocess.run([*command, str(write)], env={**os.environ, "PYTHONPATH": "."}, check=False)
        deaths += done.returncode == -signal.SIGKILL
        assert done.returncode in (0, -signal.SIGKILL)
    assert 0 == done.returncode
    assert deaths >= 10
    assert shards(finished) == shards(tmp_path / "out")
    assert [] == verify(tmp_path / "out")


@pytest.mark.parametrize("step", list(SHAPES))
def test_killed_at_each_commit_it_ends_the_same(
    corpus: Path, copied: Path, step: str, finished: Path
) -> None:
    """Without its record a step is nothing to a reader, and the next run commits it again."""
    (copied / step / "record.json").unlink()
    assert None is Manifest.find(copied, step)
    log = run_here(corpus, copied)
    assert 0 == sum(numbers["decodes"] for numbers in log.steps.values())
    assert shards(finished) == shards(copied)
    assert [] == verify(copied)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "count"])
def test_verify_finds_damage(copied: Path, damage: str) -> None:
    """A flipped bit, a shortened file, a missing file and an edited count are each found."""
    victim = next((copied / "split").glob("SplitShots-*/*.frames.parquet"))
    if damage == "flip":
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:-9])
    if damage == "remove":
        victim.unlink()
    if damage == "count":
        record = read_json(copied / "filter" / "record.json")
        record["counts"]["live"] += 1
        (copied / "filter" / "record.json").write_text(json.dumps(record))
    assert verify(copied)


def test_settings_compute_anew_only_what_reads_them(corpus: Path, copied: Path) -> None:
    """Another encoder setting cuts again and decodes nothing before pack; changing back costs nothing."""
    changed = run_here(corpus, copied, settings=["pack.crf=30"])
    assert [0, 0, 0] == [changed.steps[step]["rows"] for step in ("ingest", "split", "dedup")]
    assert changed.steps["pack"]["rows"] > 0
    back = run_here(corpus, copied)
    assert 0 == back.steps["pack"]["decodes"]

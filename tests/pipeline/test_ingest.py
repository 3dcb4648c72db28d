"""What the first step promises of its sources: none is taken twice, none is lost, results are none."""

import os
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from manifests.errors import ManifestError
from manifests.files import sha256
from manifests.views import ask
from pipeline.inspect import summary
from pipeline.verify import verify
from tests.pipeline.local import run_here


def draw(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (640, 480), grey).save(path)


def sources(out: Path) -> dict[str, str]:
    table = ask(out, "select source_uri, role from sources")
    return dict(zip(table["source_uri"].to_pylist(), table["role"].to_pylist(), strict=True))


def test_many_rows_of_one_file(tmp_path: Path) -> None:
    """A list with a row a caption runs, and gives each file once with all its captions."""
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "b.png", 2)
    rows = ["a.png,one", "b.png,three", "a.png,two", "gone.png,x", "gone.png,y"]
    (tmp_path / "list.csv").write_text("\n".join(["path,caption", *rows]))
    run_here(tmp_path / "list.csv", tmp_path / "out", only=["ingest"])
    table = ask(tmp_path / "out", "select source_uri, source_texts from ingest order by source_uri")
    assert [("a.png", ["one", "two"]), ("b.png", ["three"]), ("gone.png", ["x", "y"])] == [
        tuple(row.values()) for row in table.to_pylist()
    ]
    assert [] == verify(tmp_path / "out")


def test_results_inside_the_source_are_no_sources(tmp_path: Path) -> None:
    """A run into a folder of its own source lists that folder once as ignored, and has nothing to do anew."""
    draw(tmp_path / "a.png", 1)
    (tmp_path / "a.txt").write_text("a text")
    out = tmp_path / "results" / "out"
    run_here(tmp_path, out, only=["ingest"])
    record = sha256(out / "ingest" / "record.json")
    listed = {"a.png": "media", "a.txt": "text", "results/out": "ignored"}
    assert listed == sources(out)
    log = run_here(tmp_path, out, only=["ingest"])
    assert (listed, record, 0) == (
        sources(out),
        sha256(out / "ingest" / "record.json"),
        log.steps["ingest"]["rows"],
    )
    assert {"assets": 1, "copies": 0, "texts": 1, "ignored": 1} == summary(out)["steps"]["ingest"]["sources"]
    assert [] == verify(out)


def test_a_source_that_is_gone_drops_no_work(tmp_path: Path) -> None:
    """A folder that is empty now ends a run over earlier work in words; once it is back the run goes on."""
    draw(tmp_path / "in" / "a.png", 1)
    run_here(tmp_path / "in", tmp_path / "out", only=["ingest"])
    record = sha256(tmp_path / "out" / "ingest" / "record.json")
    (tmp_path / "in").rename(tmp_path / "away")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dead").symlink_to(tmp_path / "away")
    with pytest.raises(ManifestError, match=r"mount.*remove"):
        run_here(tmp_path / "in", tmp_path / "out", only=["ingest"])
    assert record == sha256(tmp_path / "out" / "ingest" / "record.json")
    (tmp_path / "in" / "dead").unlink()
    (tmp_path / "in").rmdir()
    (tmp_path / "away").rename(tmp_path / "in")
    assert 0 == run_here(tmp_path / "in", tmp_path / "out", only=["ingest"]).steps["ingest"]["rows"]


def test_an_empty_source_is_no_error_the_first_time(tmp_path: Path) -> None:
    """Where nothing was ingested before, nothing can be lost."""
    (tmp_path / "in").mkdir()
    run_here(tmp_path / "in", tmp_path / "out", only=["ingest"])
    assert 0 == summary(tmp_path / "out")["steps"]["ingest"]["rows"]


def test_hostile_neighbours_fail_alone(tmp_path: Path) -> None:
    """A pipe, a broken tar, a link to nowhere and two empty members of one name: each a reason, one of them
    each."""
    draw(tmp_path / "in" / "a.png", 1)
    os.mkfifo(tmp_path / "in" / "b.mp4")
    (tmp_path / "in" / "c.tar").write_bytes(b"no tar" * 200)
    (tmp_path / "in" / "d.png").symlink_to(tmp_path / "nowhere")
    with tarfile.open(tmp_path / "in" / "e.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("k.jpg"))
    out = tmp_path / "out"
    run_here(tmp_path / "in", out, only=["ingest"])
    counts = summary(out)["steps"]["ingest"]
    assert {"not_a_file": 1, "bad_tar": 1, "unreadable": 1, "empty_file": 1} == counts["failed"]
    assert (5, 1) == (counts["rows"], counts["live"])
    assert [] == verify(out)

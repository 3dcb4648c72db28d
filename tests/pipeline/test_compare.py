"""Two runs are equal, or it is said in what they differ."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from manifests.errors import ManifestError
from manifests.files import write_json
from manifests.manifest import Manifest
from pipeline.compare import compare, lines
from tests.pipeline.local import run_here

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


@pytest.fixture(scope="module")
def judged(corpus: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The run with one rule moved, filtered anew; the steps after it are stale."""
    out = Path(shutil.copytree(finished, tmp_path_factory.mktemp("judged") / "out"))
    run_here(corpus, out, settings=["filter.not_blurred.max=1.0"], only=["filter"])
    yield out


def test_a_copy_is_equal(finished: Path, tmp_path: Path) -> None:
    """Nothing differs, and the command would end with 0; times of runs do not count."""
    copy = Path(shutil.copytree(finished, tmp_path / "out"))
    shutil.rmtree(copy / "runs")
    found = compare(finished, copy)
    assert found["equal"]
    assert ("pack", [], []) == (found["last"], found["fates"], found["values"])
    assert "equal" == list(lines(found))[-1]


def test_a_moved_threshold(finished: Path, judged: Path) -> None:
    """The rule with both values, and exactly the rows that come back; what is stale is not compared row by
    row."""
    found = compare(finished, judged)
    assert not found["equal"] and "filter" == found["last"]
    assert [{"name": "not_blurred.max", "a": 0.69, "b": 1.0}] == found["rules"]
    counts = Manifest.open(finished, "filter").record["counts"]["rejected"]
    (moved,) = found["fates"]
    expected = ("rejected: not_blurred", "live", counts["not_blurred"])
    assert expected == (moved["from"], moved["to"], moved["rows"])
    assert moved["ids"]


def test_values_that_moved(finished: Path, tmp_path: Path) -> None:
    """Of three rows blur rises by 0.25, 0.25 and 1.0: 3 rows, mean 0.5, largest 1.0."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    path = out / "pack" / next(iter(Manifest.open(out, "pack").record["rows"].values()))
    table = pq.read_table(path)
    at = pc.is_valid(table["blur"]).to_pylist()
    known = [n for n, valid in enumerate(at) if valid][:3]
    by = dict(zip(known, (0.25, 0.25, 1.0), strict=True))
    blur = [None if v is None else v + by.get(n, 0.0) for n, v in enumerate(table["blur"].to_pylist())]
    pq.write_table(table.set_column(table.column_names.index("blur"), "blur", pa.array(blur)), path)
    (moved,) = compare(finished, out)["values"]
    assert ("blur", 3) == (moved["column"], moved["rows"])
    assert (0.5, 1.0) == (pytest.approx(moved["mean"]), pytest.approx(moved["largest"]))


@pytest.mark.parametrize(("setting", "equal"), [("batch", True), ("clip_dtype", False)])
def test_resources_make_no_difference(finished: Path, tmp_path: Path, setting: str, equal: bool) -> None:
    """A setting that says only how work is done is told, and does not count."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    record = {**Manifest.open(out, "score").record, "sha256": None}
    record["settings"]["EmbedFrames"][setting] = 7
    write_json(out / "score" / "record.json", record)
    found = compare(finished, out)
    (line,) = found["settings"]
    assert (f"score.EmbedFrames.{setting}", equal) == (line["name"], line["resource"])
    assert equal == found["equal"]


def test_resources_of_stages_with_a_name(finished: Path, tmp_path: Path) -> None:
    """The stages of a recipe's own tables are called KIND.NAME: the batch is a resource, the label is not."""
    a, b = (Path(shutil.copytree(finished, tmp_path / name)) for name in "ab")
    for out, batch, label in ((a, 2, "x"), (b, 4, "y")):
        record = {**Manifest.open(out, "score").record, "sha256": None}
        record["settings"] |= {
            "ClassifyFrames.nsfw": {"batch": batch, "label": label},
            "CountObjects.cat": {"threads": batch},
            "CallScorer.mine": {"batch": batch},
        }
        write_json(out / "score" / "record.json", record)
    expected = {
        "score.CallScorer.mine.batch": False,
        "score.ClassifyFrames.nsfw.batch": True,
        "score.ClassifyFrames.nsfw.label": False,
        "score.CountObjects.cat.threads": True,
    }
    assert expected == {line["name"]: line["resource"] for line in compare(a, b)["settings"]}


def test_a_directory_without_a_run(finished: Path, tmp_path: Path) -> None:
    """It says how to make one."""
    with pytest.raises(ManifestError, match="reelmix run"):
        compare(finished, tmp_path)

"""The verbs: what they print, and how they end."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.drive import held

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


@pytest.fixture
def reelmix(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command: returns (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["reelmix", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_inspect(reelmix: Any, finished: Path) -> None:
    """JSON has the keys that tools call for; the table names every step and every reason."""
    code, out, _ = reelmix("inspect", finished, "--json")
    steps = json.loads(out)["steps"]
    assert 0 == code
    keys = {
        "rows",
        "live",
        "rejected",
        "duplicates",
        "failed",
        "media_s",
        "wall_s",
        "cpu_s",
        "decodes",
        "model_calls",
    }
    assert all(keys <= set(step) for step in steps.values())
    _, text, _ = reelmix("inspect", finished)
    assert all(step in text for step in steps)
    assert "not_black" in text


def test_inspect_one_step(reelmix: Any, finished: Path) -> None:
    """One step alone, and a misspelt one."""
    assert ["split"] == list(json.loads(reelmix("inspect", finished, "split", "--json")[1])["steps"])
    code, _, err = reelmix("inspect", finished, "splt")
    assert (2, True) == (code, "did you mean 'split'" in err)


def test_sql(reelmix: Any, finished: Path) -> None:
    """Every step is a view with its fates; side columns come on request; JSON and CSV."""
    _, out, _ = reelmix(
        "sql", finished, "select count(*) as n from filter where rejected_by is not null", "--json"
    )
    (row,) = json.loads(out)
    assert row["n"] > 0
    _, out, _ = reelmix(
        "sql", finished, "select id, len(frames) as n from split where error is null limit 2", "--csv"
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert 2 == len(rows)
    assert all(1 <= int(row["n"]) <= 8 for row in rows)


@pytest.mark.parametrize(
    "statement",
    [
        "select colour from split",
        "drop table split",
        "select 1; select 2",
        "copy split to 'x'",
        "select * from read_text('/etc/passwd')",
    ],
)
def test_sql_reads_only_the_views(reelmix: Any, finished: Path, statement: str) -> None:
    """Wrong SQL, writing and reaching for files are usage errors."""
    code, out, err = reelmix("sql", finished, statement)
    assert (2, "") == (code, out)
    assert err.startswith("reelmix: ")


def test_trace_by_id_and_by_file(reelmix: Any, finished: Path) -> None:
    """A sample's way: file, values, each rule, verdicts, shard or none."""
    _, out, _ = reelmix(
        "sql", finished, "select id, source_uri from filter where rejected_by = 'not_black'", "--json"
    )
    row = json.loads(out)[0]
    code, text, _ = reelmix("trace", finished, row["id"][:12])
    assert 0 == code
    assert "rejected by not_black" in text and row["source_uri"] in text and "in no shard" in text
    by_file = json.loads(reelmix("trace", finished, row["source_uri"], "--json")[1])
    assert by_file["files"][0]["source_uri"] == row["source_uri"]
    assert 2 == reelmix("trace", finished, "no such thing")[0]


def test_verify_ends_with_one_on_findings(reelmix: Any, finished: Path, tmp_path: Path) -> None:
    """0 when all is well, 1 with each finding on a line."""
    assert 0 == reelmix("verify", finished)[0]
    damaged = Path(shutil.copytree(finished, tmp_path / "out"))
    tar = next((damaged / "pack").glob("*/shards/*.tar"))
    tar.write_bytes(tar.read_bytes()[:-1024])
    code, out, _ = reelmix("verify", damaged)
    assert 1 == code
    assert tar.name in out


def test_plan_starts_nothing(reelmix: Any, corpus: Path, finished: Path, tmp_path: Path) -> None:
    """On a finished run all is up to date; on an empty directory every step is to do, and none is made."""
    steps = json.loads(reelmix("plan", "--in", corpus, "--out", finished, "--json")[1])["steps"]
    assert {"up to date"} == {step["state"] for step in steps.values()}
    steps = json.loads(reelmix("plan", "--in", corpus, "--out", tmp_path / "new", "--json")[1])["steps"]
    assert all(step["rows"] > 0 and step["rate"] == "assumed" for step in steps.values())
    assert not (tmp_path / "new").exists()


def test_a_directory_without_a_run(reelmix: Any, tmp_path: Path) -> None:
    """Every verb that reads a run says how to make one."""
    for words in (
        ["inspect", tmp_path],
        ["verify", tmp_path],
        ["sql", tmp_path, "select 1"],
        ["trace", tmp_path, "x"],
    ):
        code, _, err = reelmix(*words)
        assert (1, True) == (code, "reelmix run" in err)


def test_one_run_at_a_time(reelmix: Any, corpus: Path, tmp_path: Path) -> None:
    """A work directory that is held is refused, with what to do."""
    with held(tmp_path / "out"):
        code, _, err = reelmix("run", "--in", corpus, "--out", tmp_path / "out")
    assert (1, True) == (code, "another run holds" in err)


def test_wrong_usage_ends_with_two(reelmix: Any, tmp_path: Path) -> None:
    """Nothing to ingest, an unknown option, a folder that is not there."""
    assert 2 == reelmix("run", "--out", tmp_path / "out")[0]
    assert 2 == reelmix("run", "--no-such-option")[0]
    code, _, err = reelmix("run", "--in", tmp_path / "gone", "--out", tmp_path / "out")
    assert (2, True) == (code, "no such folder or file" in err)


def test_doctor(reelmix: Any, tmp_path: Path) -> None:
    """Each check is named; each fault has one line of mend."""
    code, out, _ = reelmix("doctor", tmp_path, "--json")
    found = json.loads(out)
    assert {"python", "cv2", "faiss", "torch", "ffmpeg", "decode child", "disk"} <= {f["name"] for f in found}
    assert all(f["ok"] or f["mend"] for f in found)
    assert code == int(not all(f["ok"] for f in found))


def test_text_from_data_is_inert() -> None:
    """Control characters are shown, formulas quoted."""
    import pyarrow as pa

    from pipeline.show import csv_text, inert

    assert "\\x1b[31mred" == inert("\x1b[31mred")
    table = pa.table({"t": ["=HYPERLINK(1)", "@x", "plain"]})
    assert "t\n'=HYPERLINK(1)\n'@x\nplain" == csv_text(table)

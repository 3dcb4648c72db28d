"""The verbs: what they print, and how they end."""

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from manifests.views import ask
from pipeline import cli
from pipeline.drive import checked_recipe, held, prepare_models
from pipeline.progress import Log, last_run
from tests.pipeline.local import run_here

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


def test_inspect_a_shard(reelmix: Any, finished: Path) -> None:
    """A tar is a shard, with a colon and a key one sample; what is not there is wrong usage."""
    tar = next((finished / "pack").glob("*/shards/*.tar"))
    _, out, _ = reelmix("inspect", tar, "--json")
    key = json.loads(out)["list"][0]["key"]
    code, text, _ = reelmix("inspect", f"{tar}:{key}")
    assert (0, True, True) == (code, f'"id": "{key}"' in text, "its way: source" in text)
    code, _, err = reelmix("inspect", tar.with_name("1.tar"))
    assert (2, True) == (code, f"the nearest is {tar}" in err)


def test_a_hostile_key_steers_no_terminal(reelmix: Any, tmp_path: Path) -> None:
    """The name of a member is escaped where a message tells it."""
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a\x1b]0;pwned\x07b.txt"))
    code, _, err = reelmix("inspect", f"{tmp_path / 'x.tar'}:zzz")
    assert (2, "\x1b" in err, "\x07" in err) == (code, False, False)
    assert "the nearest is a\\x1b]0;pwned\\x07b\n" in err


def test_json_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not printable is escaped as JSON has it, in two halves above U+FFFF; other scripts stay
    readable."""
    value = {"\u202ekey": "\x1b\x7f\x9b\u2028\ud800\U000e0001 猫 café\n"}
    cli._print(value)
    out = capsys.readouterr().out
    expected = r'"\u202ekey": "\u001b\u007f\u009b\u2028\ud800\udb40\udc01 猫 café\n"'
    assert f"{{\n {expected}\n}}\n" == out
    assert value == json.loads(out)


def test_diff(reelmix: Any, finished: Path, tmp_path: Path) -> None:
    """0 for equal runs, 1 for others, as text and as JSON."""
    other = Path(shutil.copytree(finished, tmp_path / "out"))
    assert (0, "equal") == (
        reelmix("diff", finished, other)[0],
        reelmix("diff", finished, other)[1].split()[-1],
    )
    shutil.rmtree(other / "pack")
    code, out, _ = reelmix("diff", finished, other, "--json")
    assert (1, False) == (code, json.loads(out)["equal"])


def test_report(reelmix: Any, finished: Path, tmp_path: Path) -> None:
    """It says where the page is."""
    code, out, _ = reelmix("report", finished, "--to", tmp_path / "a.html")
    assert (0, f"{tmp_path / 'a.html'}\n") == (code, out)
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")


def test_sql_is_whole_where_no_person_reads(reelmix: Any, finished: Path) -> None:
    """In a pipe cells are never cut, whatever the width."""
    _, out, _ = reelmix("sql", finished, "select repeat('x', 500) as x")
    assert "x" * 500 in out


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


def planned(reelmix: Any, corpus: Path, out: Path, *settings: str) -> dict[str, Any]:
    words = [word for setting in settings for word in ("--set", setting)]
    code, text, err = reelmix("plan", "--in", corpus, "--out", out, "--json", *words)
    assert (0, "") == (code, err)
    return dict(json.loads(text)["steps"])


def count(out: Path, condition: str) -> int:
    return int(ask(out, f"select count(*) as n from {condition}")["n"][0].as_py())


def states(steps: dict[str, Any]) -> dict[str, str]:
    return {name: step["state"] for name, step in steps.items() if step["state"] != "up to date"}


def test_verify_mends(reelmix: Any, corpus: Path, finished: Path, tmp_path: Path) -> None:
    """--mend says line by line what goes; it ends with 0 when a run makes all of it again, and a run does."""
    damaged = Path(shutil.copytree(finished, tmp_path / "out"))
    tar = next((damaged / "pack").glob("*/shards/*.tar"))
    tar.unlink()
    (damaged / "mix" / "record.json").write_text("{")
    code, out, _ = reelmix("verify", damaged, "--mend")
    assert (0, True) == (code, "  removed mix/record.json\n" in out)
    run_here(corpus, damaged)
    assert tar.exists()
    code, out, _ = reelmix("verify", damaged, "--mend")
    assert (0, f"{damaged}: all is what it says it is\n") == (code, out)


@pytest.mark.parametrize(
    "verb", [["inspect"], ["sql", "select count(*) from split"], ["trace", "a"], ["plan"]]
)
def test_broken_files_are_no_tracebacks(
    reelmix: Any, corpus: Path, finished: Path, tmp_path: Path, verb: list[str]
) -> None:
    """Every verb that meets a broken record ends with one sentence, which names the command."""
    damaged = Path(shutil.copytree(finished, tmp_path / "out"))
    where = ["--in", corpus, "--out", damaged] if verb == ["plan"] else [damaged]
    (damaged / "split" / "record.json").write_text("{")
    code, _, err = reelmix(verb[0], *where, *verb[1:])
    assert (1, True) == (code, f"`reelmix verify {damaged} --mend`" in err)
    assert err.startswith("reelmix: ") and "Traceback" not in err


def test_plan_starts_nothing(reelmix: Any, corpus: Path, finished: Path, tmp_path: Path) -> None:
    """On a finished run all is up to date; on an empty directory every step is to do, and none is made."""
    assert {} == states(planned(reelmix, corpus, finished))
    steps = planned(reelmix, corpus, tmp_path / "new")
    assert all(step["rows"] > 0 and step["rate"] == "assumed" for step in steps.values())
    assert ["to do", *["to do, uncertain"] * 7] == list(states(steps).values())
    assert not (tmp_path / "new").exists()
    assert 2 == reelmix("plan", "--out", finished)[0]


def test_plan_sees_a_later_stage_of_a_step(
    reelmix: Any, corpus: Path, finished: Path, tmp_path: Path
) -> None:
    """Another choice of texts, or another measure, is rows to do, though the first stage of the step is done;
    what follows is uncertain."""
    steps = planned(reelmix, corpus, finished, "caption.text=caption")
    live = count(finished, "dedup where coalesce(rejected_by, duplicate_of, error) is null")
    assert {"caption": "to do", "mix": "to do, uncertain", "pack": "to do, uncertain"} == states(steps)
    assert [live] * 3 == [steps[name]["rows"] for name in ("caption", "mix", "pack")]

    dimension = len(ask(finished, "select embedding from score where embedding is not null limit 1")[0][0])
    head = tmp_path / "head.safetensors"
    save_file({"weight": np.zeros((1, dimension), np.float32), "bias": np.zeros(1, np.float32)}, head)
    steps = planned(reelmix, corpus, finished, f"score.aesthetic_head={head}")
    measured = count(finished, "score where embedding is not null")
    assert ("to do", measured) == (steps["score"]["state"], steps["score"]["rows"])
    assert {"up to date"} == {steps[name]["state"] for name in ("ingest", "split")}
    assert {"to do, uncertain"} == {steps[name]["state"] for name in list(steps)[3:]}


def test_plan_says_what_is_written_anew(reelmix: Any, corpus: Path, finished: Path) -> None:
    """A moved threshold lacks no row, and is not up to date: the rows that it may bring back are counted
    where they have no result."""
    steps = planned(reelmix, corpus, finished, "filter.not_blurred.max=1.0")
    assert ["to write anew", *["to do, uncertain"] * 4] == list(states(steps).values())
    judged = "verdicts where step not in ('ingest', 'split', 'score') and fate <> 'failed'"
    back = count(finished, f"(select distinct id from {judged}) as gone")
    assert back > 0
    assert [0, 0, back] == [steps[name]["rows"] for name in ("filter", "dedup", "caption")]

    steps = planned(reelmix, corpus, finished, "filter.large_enough.min_px=57")
    assert "to write anew" == steps["ingest"]["state"]
    steps = planned(reelmix, corpus, finished, "pack.shard_bytes=100000")
    assert {"pack": "to write anew"} == states(steps)


def test_plan_counts_each_asset_once(reelmix: Any, corpus: Path, finished: Path) -> None:
    """Bytes are those of the files behind the rows, however many clips were made of each; a measured rate is
    that of a row in one chain of stages."""
    steps = planned(reelmix, corpus, finished, "pack.crf=30")
    alive = "mix where coalesce(rejected_by, duplicate_of, error) is null"
    assets = ask(finished, f"select distinct asset_id, size_bytes from {alive}")["size_bytes"].to_pylist()
    assert int(0.7 * sum(assets)) == steps["pack"]["write_bytes"]
    spent = last_run(finished)["caption"]
    chains = spent["turns"] / count(
        finished, "dedup where coalesce(rejected_by, duplicate_of, error) is null"
    )
    assert 3 == chains
    steps = planned(reelmix, corpus, finished, "caption.max_tokens=63")
    assert steps["caption"]["cpu_hours"] == pytest.approx(spent["cpu_s"] / 3600)
    assert "gpu_hours" not in steps["caption"]


def test_the_demo_models_warn_of_other_media(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """They know drawn shapes only: said of media that were given, and of media that were ingested before."""
    photos = Path(shutil.copytree(corpus / "images", tmp_path / "photos"))
    run_here(photos, tmp_path / "out", only=["ingest"])

    assert [False, False] == [warned(sources, finished) for sources in ([corpus], [])]
    assert [True, True] == [warned(sources, tmp_path / "out") for sources in ([photos], [])]


def warned(sources: list[Path], out: Path) -> bool:
    said: list[str] = []
    log = Log(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "say", lambda _, line: said.append(line))
        prepare_models(checked_recipe(sources=map(str, sources)), log)
    return any("know only the drawn shapes" in line for line in said)


def test_a_directory_without_a_run(reelmix: Any, tmp_path: Path) -> None:
    """Every verb that reads a run says how to make one."""
    for words in (
        ["inspect", tmp_path],
        ["verify", tmp_path],
        ["sql", tmp_path, "select 1"],
        ["trace", tmp_path, "x"],
        ["diff", tmp_path, tmp_path],
        ["report", tmp_path],
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
    from pipeline.show import csv_text, inert

    assert "\\x1b[31mred" == inert("\x1b[31mred")
    table = pa.table({"t": ["=HYPERLINK(1)", "@x", "plain"]})
    assert "t\n'=HYPERLINK(1)\n'@x\nplain" == csv_text(table)

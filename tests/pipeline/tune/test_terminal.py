"""The tuning page's twins in the terminal: what they print, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from manifests.errors import RecipeError
from manifests.manifest import Manifest
from pipeline.cli import app
from pipeline.tune.serve import bound
from pipeline.tune.terminal import changes_of, swept


def told(*arguments: Any) -> Any:
    """What `reelmix tune … --json` prints."""
    result = CliRunner().invoke(app, ["tune", *map(str, arguments), "--json"])
    assert result.exception is None, result.exception
    return json.loads(result.output)


def refused(*arguments: Any) -> str:
    result = CliRunner().invoke(app, ["tune", *map(str, arguments)])
    assert isinstance(result.exception, RecipeError)
    return str(result.exception)


def test_a_sweep_ends_where_it_was_asked_to() -> None:
    """Both ends included; a step that no float sums to exactly loses none."""
    assert [0.1, 0.2, 0.3] == swept("0.1:0.3:0.1")
    assert 51 == len(swept("0:1:0.02"))


@pytest.mark.parametrize("text", ["", "1:2", "1:2:0", "2:1:0.1", "a:b:c", "0:1:1e-9"])
def test_a_wrong_sweep_is_refused(text: str) -> None:
    """It says how a sweep is written, or that it has too many values."""
    with pytest.raises(RecipeError, match="sweep"):
        swept(text)


def test_changes_are_toml_values() -> None:
    """Numbers, booleans and shares; with or without the word filter before them."""
    expected = {"a": {"max": 0.5, "enabled": False}, "b": {"min": {"top": 0.7}}}
    assert expected == changes_of(["a.max=0.5", "filter.a.enabled=false", "b.min={top=0.7}"])
    with pytest.raises(RecipeError, match=r"takes RULE\.PARAM=VALUE, found 'a\.max'"):
        changes_of(["a.max"])


def test_a_sweep_at_the_recipes_value_is_the_run(finished: Path) -> None:
    """The value that the run was made with keeps what the run kept, and more is kept the looser it is."""
    found = told(finished, "--sweep", "not_blurred.max=0.49:0.79:0.1")
    assert Manifest.open(finished, "filter").record["counts"]["live"] == found[2]["kept"]["rows"]
    rows = [one["kept"]["rows"] for one in found]
    assert rows == sorted(rows)


def test_a_sweep_of_texts_tells_what_is_routed(finished: Path) -> None:
    """A rule that has texts replaced takes no row at any value; what it sends to be captioned grows."""
    found = told(finished, "--sweep", "aligned.min=0.1:0.9:0.4")
    assert [0, 0, 0] == [one["taken"] for one in found]
    routed = [one["routed"] for one in found]
    assert routed == sorted(routed) and routed[-1] > 0
    result = CliRunner().invoke(app, ["tune", str(finished), "--sweep", "aligned.min=0.1:0.9:0.4"])
    assert "routed" in result.output.splitlines()[0]
    result = CliRunner().invoke(app, ["tune", str(finished), "--boundary", "aligned"])
    assert "just sent to be captioned" in result.output


def test_what_if_and_boundary_speak_of_the_same_rows(finished: Path) -> None:
    """What only this rule takes lies beyond its threshold."""
    found = told(finished, "--what-if", "not_blurred.max=0.5")
    (rule,) = (one for one in found["rules"] if one["rule"] == "not_blurred")
    near = told(finished, "--what-if", "not_blurred.max=0.5", "--boundary", "not_blurred")
    assert min(12, rule["only"]) == len(near["rejected"])


def test_a_share_is_calibrated_on_all_rows(finished: Path) -> None:
    """--keep 0.5 names a value that half the known rows meet."""
    found = told(finished, "--calibrate", "not_blurred.max", "--keep", "0.5")
    assert 0.5 <= found["kept"]["value"] and found["low"] <= found["value"] <= found["high"]


def test_a_threshold_for_all_rows_has_one_bound(finished: Path) -> None:
    """What rows of the same kind may still reach no number of them tells: null, and in words."""
    asked = ("--calibrate", "not_blurred.max", "--keep", "1.0")
    found = told(finished, *asked)
    assert (found["value"], None) == (found["low"], found["high"])
    text = CliRunner().invoke(app, ["tune", str(finished), *asked]).output
    assert f"interval {found['low']:.6g} to no bound (too few rows)" in text


def test_labels_of_a_file_calibrate(finished: Path, tmp_path: Path) -> None:
    """CSV, JSON lines or parquet with id and good."""
    near = told(finished, "--what-if", "not_blurred.max=0.5", "--boundary", "not_blurred")
    rows = [(c["id"], side == "kept") for side in ("kept", "rejected") for c in near[side]]
    path = tmp_path / "labels.csv"
    path.write_text("id,good\n" + "".join(f"{id_},{str(good).lower()}\n" for id_, good in rows))
    found = told(finished, "--calibrate", "not_blurred.max", "--precision", "1", "--labels", path)
    assert max(c["value"] for c in near["kept"]) == found["value"]
    path.write_text("id,better\nx,true\n")
    assert "needs the columns id and good" in refused(
        finished, "--calibrate", "not_blurred.max", "--recall", "1", "--labels", path
    )


def test_two_recipes_differ_by_named_clips(finished: Path, tmp_path: Path) -> None:
    """The rules that differ, and the clips that flip, by id."""
    other = tmp_path / "other.toml"
    other.write_text("[filter.not_blurred]\nmax = 0.5\n")
    found = told(finished, "--diff", other)
    assert {"not_blurred": ["blur <= 0.69", "blur <= 0.5"]} == found["rules"]
    assert found["kept"][0] - found["kept"][1] == len(found["lost"]) and [] == found["gained"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sweep", "not_blured.max=0:1:0.1"], r"did you mean 'not_blurred.max'"),
        (["--boundary", "wanted_kind"], "names no threshold"),
        (["--calibrate", "not_blurred.max"], "needs one of --precision, --recall and --keep"),
        (["--keep", "0.7"], "--keep goes with --calibrate RULE.PARAM"),
        (["--what-if", "large_enough.min_px=60"], "judged by ingest; take --step ingest"),
        (["--what-if", "little_text.max=0.2"], "little_text is off, and what it reads was not computed"),
        (["--boundary", "not_blurred", "--sweep", "not_blurred.max=0:1:0.5"], "are two questions"),
        (["--what-if", "not_blurred.max=0.5", "--diff", "default"], "leave out --what-if"),
        (["--sweep", "not_blurred.max=0.5:2:0.5"], "not_blurred"),
        (["--export", "nowhere/page.html"], "nowhere is no folder"),
        (["--save", "nowhere/mine.toml"], "nowhere is no folder"),
        (["--step", "dedup", "--what-if", "not_blurred.max=1"], "no rules of 'dedup' can be tuned"),
        (["--recipe", "defalt", "--what-if", "not_blurred.max=1"], "default"),
    ],
)
def test_a_wrong_command_is_answered_in_words(finished: Path, arguments: list[str], said: str) -> None:
    """One sentence, with what is near."""
    assert said in refused(finished, *arguments)


def test_a_taken_port_is_told(finished: Path) -> None:
    """One sentence that says which option names another."""
    with bound(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} cannot be taken" in refused(finished, "--port", port)


def test_the_page_is_written_as_a_file(finished: Path, tmp_path: Path) -> None:
    """--export names the file and its size."""
    path = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["tune", str(finished), "--export", str(path)])
    assert "opens in any browser" in result.output
    assert path.read_text().startswith("<!doctype html>")


def test_a_file_to_save_to_is_the_recipe(finished: Path, tmp_path: Path) -> None:
    """To tune one recipe and write into another one that exists would lose what that says."""
    mine = tmp_path / "mine.toml"
    mine.write_text("")
    said = refused(
        finished, "--recipe", tmp_path / "x.toml", "--save", mine, "--what-if", "not_blurred.max=1"
    )
    assert f"{mine} exists and is not" in said

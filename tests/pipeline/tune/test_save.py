"""A recipe that is saved: what stays as it was, and what no file may do to it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import RecipeError
from pipeline.steps import SHAPES
from pipeline.tune.save import edit, save


def saved(path: Path, changes: dict[str, Any]) -> None:
    save(edit(path, "default", changes), changes, "a test", SHAPES, {})


def test_line_ends_and_rights_stay(tmp_path: Path) -> None:
    """A file of another system is changed in one line, and no more people may read it than before."""
    path = tmp_path / "mine.toml"
    path.write_bytes(b"# ours\r\n[filter.not_blurred]\r\nmax = 0.6\r\n")
    path.chmod(0o600)
    saved(path, {"not_blurred": {"max": 0.5}})
    assert b"# ours\r\n[filter.not_blurred]\r\nmax = 0.5\r\n" == path.read_bytes()
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file that it names is written, beside which the history lies."""
    path, link = tmp_path / "mine.toml", tmp_path / "link.toml"
    path.write_text("[filter.not_blurred]\nmax = 0.6\n")
    link.symlink_to(path)
    saved(link, {"not_blurred": {"max": 0.5}})
    assert link.is_symlink() and "0.5" in path.read_text()
    assert (tmp_path / "mine.history.jsonl").is_file()


def test_no_name_can_be_guessed(tmp_path: Path) -> None:
    """A link that somebody laid where a half-written file might lie is not followed."""
    path, victim = tmp_path / "mine.toml", tmp_path / "victim"
    victim.write_text("untouched")
    for name in (".mine.toml.new.toml", "mine.toml.tmp", ".mine.toml.tmp"):
        (tmp_path / name).symlink_to(victim)
    saved(path, {"not_blurred": {"max": 0.5}})
    assert "untouched" == victim.read_text() and not path.is_symlink()


def test_a_moved_number_loses_its_origin_and_keeps_its_model(tmp_path: Path) -> None:
    """Where the old number came from says nothing of the new one; what it belongs to does."""
    path = tmp_path / "mine.toml"
    held = 'min = { value = 0.6, model = "reelmix-demo-clip", origin = "by hand" }'
    path.write_text(f"[filter.aligned]\n{held}\n")
    saved(path, {"aligned": {"min": 0.5}})
    (line,) = (one for one in path.read_text().splitlines() if one.startswith("min"))
    assert {"value": 0.5, "model": "reelmix-demo-clip"} == tomllib.loads(line)["min"]


def test_a_share_stays_a_share(tmp_path: Path) -> None:
    """And becomes a number only when a number is given."""
    path = tmp_path / "mine.toml"
    path.write_text("[filter.not_blurred]\nmax = { bottom = 0.7 } # seven tenths\n")
    saved(path, {"not_blurred": {"max": {"bottom": 0.8}}})
    assert "max = {bottom = 0.8} # seven tenths\n" in path.read_text()


def test_what_would_change_more_is_not_saved(tmp_path: Path) -> None:
    """A recipe whose rule is not what the page was told of is left alone."""
    path = tmp_path / "mine.toml"
    path.write_text("[filter.not_blurred]\nmax = 0.6\n")
    edited = edit(path, "default", {"not_blurred": {"max": 0.5}})
    with pytest.raises(RecipeError, match="differs in more than these thresholds"):
        save(edited, {"not_blurred": {"max": 0.4}}, "a test", SHAPES, {})
    assert "max = 0.6" in path.read_text()


def test_a_recipe_that_names_files_beside_it_is_saved(tmp_path: Path) -> None:
    """A scorer's file is looked for beside the recipe, also while the edited one is proven."""
    (tmp_path / "scorers.py").write_text("def still(table): return table")
    path = tmp_path / "mine.toml"
    scorer = '[score.own.still]\nfunction = "scorers.py:still"\nreads = ["motion"]\n'
    path.write_text(f"{scorer}[filter.not_blurred]\nmax = 0.6\n")
    saved(path, {"not_blurred": {"max": 0.5}})
    assert f"{scorer}[filter.not_blurred]\nmax = 0.5\n" == path.read_text()


def test_a_new_recipe_is_shown_by_what_differs(tmp_path: Path) -> None:
    """Of a copy of the shipped recipe people read the changed lines, and no more is changed."""
    path, changes = tmp_path / "mine.toml", {"not_blurred": {"max": 0.5}}
    edited = edit(path, "default", changes)
    added = [line for line in edited.diff.splitlines() if line[:1] == "+" and line[:3] != "+++"]
    assert ["+[filter.not_blurred]", "+max = 0.5"] == [line for line in added if line != "+"]
    save(edited, changes, "a test", SHAPES, {})
    with pytest.raises(RecipeError, match="changed meanwhile"):
        save(edited, changes, "a test", SHAPES, {})

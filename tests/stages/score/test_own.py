"""A recipe's own scorer: what it is given and gives, and what is said of one that cannot work."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.errors import RecipeError
from pipeline.drive import checked_recipe
from stages.score.own import CallScorer

CODE = """
import dataclasses
import pyarrow as pa

@dataclasses.dataclass
class Size:
    width: "int | None"

def wide(rows):
    sizes = [Size(width) for width in rows["width_px"].to_pylist()]
    return pa.table({"id": rows["id"], "wide": [size.width for size in sizes]})

def both(rows):
    return pa.table({"id": rows["id"], "b": [float("nan")] * len(rows), "a": [float("-inf")] * len(rows)})

def lists(rows):
    return rows.to_pylist()

def words(rows):
    return pa.table({"id": rows["id"], "words": ["many"] * len(rows)})

nothing = None
"""
ROWS = pa.table({"id": ["x", "y", "z"], "width_px": [640, None, 320]})


def recipe(folder: Path, table: str, code: str = CODE, file: str = "scorers.py") -> Path:
    """A recipe with [score.own.…] tables, and beside it a file of scorers."""
    (folder / file).write_text(code)
    path = folder / "mine.toml"
    path.write_text(table)
    return path


def scorer(path: Path) -> CallScorer:
    """The scorer of a recipe, whose whole graph is checked."""
    (made,) = [s for s in checked_recipe(str(path)).stages["score"] if isinstance(s, CallScorer)]
    return made


def test_a_function_beside_the_recipe_scores_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers become float64, unknown stays unknown; wherever the process stands by then."""
    table = '[score.own.wide]\nfunction = "scorers.py:wide"\nreads = ["width_px"]\n'
    stage = scorer(recipe(tmp_path, table))
    (tmp_path / "scorers.py").unlink()
    monkeypatch.chdir("/")
    assert ("CallScorer.wide", ("width_px",), ("own_wide",)) == (stage.name, stage.reads, stage.writes)
    found = stage.open()(ROWS)
    assert {"id": ["x", "y", "z"], "own_wide": [640.0, None, 320.0]} == found.to_pydict()


def test_several_columns_and_numbers_that_are_none(tmp_path: Path) -> None:
    """NaN and infinity are unknown values."""
    table = '[score.own.t]\nfunction = "scorers.py:both"\nreads = ["width_px"]\nwrites = ["a", "b"]\n'
    stage = scorer(recipe(tmp_path, table))
    assert ("own_a", "own_b") == stage.writes
    expected = {"id": ["x", "y", "z"], "own_b": [None] * 3, "own_a": [None] * 3}
    assert expected == stage.open()(ROWS).to_pydict()


def test_a_later_scorer_and_a_rule_read_an_earlier_one(tmp_path: Path) -> None:
    """They are columns like any other, in the order of the recipe."""
    tables = (
        '[score.own.wide]\nfunction = "scorers.py:wide"\nreads = ["width_px"]\n'
        '[score.own.more]\nfunction = "scorers.py:wide"\nreads = ["own_wide", "embedding"]\n'
        '[filter.rule]\nafter = "score"\nkeep = "own_more > own_wide"\nwhy = "a test"\n'
    )
    made = checked_recipe(str(recipe(tmp_path, tables))).stages["score"]
    assert ["CallScorer.wide", "CallScorer.more"] == [s.name for s in made if isinstance(s, CallScorer)]


def test_a_module_may_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, as Python finds it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    table = '[score.own.wide]\nfunction = "mymodule_of_scores:wide"\nreads = ["width_px"]\n'
    stage = scorer(recipe(tmp_path, table, file="mymodule_of_scores.py"))
    assert [640.0, None, 320.0] == stage.open()(ROWS)["own_wide"].to_pylist()


@pytest.mark.parametrize("init", ["__init__.py", "other.py"])
def test_reading_a_recipe_imports_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, init: str
) -> None:
    """Neither the module nor the packages above it, with __init__.py or without; the worker imports them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"pkg_of_{init.strip('_').removesuffix('.py')}"
    inner = tmp_path / name / "inner"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        (folder / init).write_text("import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n")
    table = f'[score.own.wide]\nfunction = "{name}.inner.scores:wide"\nreads = ["width_px"]\n'
    stage = scorer(recipe(tmp_path, table, file=f"{name}/inner/scores.py"))
    assert CODE == stage.code
    assert not list(tmp_path.rglob("*.ran")) and not any(module.startswith(name) for module in sys.modules)
    assert [640.0, None, 320.0] == stage.open()(ROWS)["own_wide"].to_pylist()
    assert (init == "__init__.py") == bool(list(tmp_path.rglob("*.ran")))


def test_the_fingerprint_is_of_the_files_content(tmp_path: Path) -> None:
    """Not of its place; and what is run is what the fingerprint was taken of."""
    table = '[score.own.wide]\nfunction = "scorers.py:wide"\nreads = ["width_px"]\n'
    there = tmp_path / "there"
    there.mkdir()
    stage = scorer(recipe(tmp_path, table))
    assert stage.fingerprint() == scorer(recipe(there, table)).fingerprint()
    changed = scorer(recipe(there, table, CODE.replace("size.width for", "1 for")))
    assert stage.fingerprint() != changed.fingerprint()
    assert [1.0, 1.0, 1.0] == changed.open()(ROWS)["own_wide"].to_pylist()
    assert [640.0, None, 320.0] == stage.open()(ROWS)["own_wide"].to_pylist()
    assert CODE not in repr(stage) + str(stage.settings())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('function = "nowhere.py:wide"', r"\[score.own.t\] there is no 'nowhere.py'; name a file.py beside"),
        ('function = "no.such.module:f"', r"\[score.own.t\] there is no 'no.such.module'"),
        ('function = "os.path.no:f"', "there is no 'os.path.no'"),
        ('function = ".os:f"', "there is no '.os'"),
        ('function = "os.:f"', "there is no 'os.'"),
        ('function = "wide"', "there is no ''; name a file.py beside the recipe, or a module"),
        ("", r'\[score.own.t\] needs function = "file.py:name"'),
        ('function = "scorers.py:wde"', r"scorers.py has no function 'wde'; did you mean 'wide'"),
        ('function = "scorers.py:wide"\nreads = []', r"write reads = \[\"frames\"\] or others"),
        ('function = "scorers.py:wide"\nreads = ["frmes"]', "CallScorer.t reads frmes: .*mean 'frames'"),
        ('function = "scorers.py:wide"\nreads = ["captions"]', "reads captions, .*; put CaptionClips before"),
        ('function = "scorers.py:wide"\nreads = ["face_count"]', "score.faces = true has it computed"),
        ('function = "scorers.py:wide"\nreads = ["own_t"]', "reads own_t, which no earlier stage writes"),
        (
            'function = "scorers.py:wide"\nwrites = ["a", "A"]',
            "writes own_A, which SQL cannot tell from own_a",
        ),
        ('function = "scorers.py:wide"\nwrites = "a"', "writes: .*tuple"),
        ('function = "scorers.py:wide"\nwrites = ["a b"]', "'own_a b'"),
        (
            'function = "scorers.py:wide"\nwrite = ["a"]',
            r"of \[score.own.t\] 'write'; did you mean 'writes'",
        ),
        ('function = "scorers.py:wide"\ncode = "x"', "unknown setting of .* 'code'"),
    ],
)
def test_what_cannot_work_is_told_before_any_work(tmp_path: Path, table: str, message: str) -> None:
    """One sentence that names the table, and what is near."""
    if "reads" not in table:
        table += '\nreads = ["width_px"]'
    with pytest.raises(RecipeError, match=message):
        checked_recipe(str(recipe(tmp_path, f"[score.own.t]\n{table}\n")))


def test_wrong_python_is_told_before_any_work(tmp_path: Path) -> None:
    """With its line; the file is read, not run."""
    table = '[score.own.wide]\nfunction = "scorers.py:wide"\nreads = ["width_px"]\n'
    with pytest.raises(RecipeError, match=r"\[score.own.wide\] scorers.py, line 2: "):
        scorer(recipe(tmp_path, table, "x = 1\ndef wide(:\n"))
    scorer(recipe(tmp_path, table, "raise SystemExit\ndef wide(rows): ...\n"))
    (tmp_path / "scorers.py").write_bytes(b"\xff")
    with pytest.raises(RecipeError, match="is no text in UTF-8"):
        scorer(tmp_path / "mine.toml")


def test_two_tables_may_not_write_one_column(tmp_path: Path) -> None:
    """The second is named."""
    table = '[score.own.{}]\nfunction = "scorers.py:wide"\nreads = ["width_px"]\nwrites = ["wide"]\n'
    with pytest.raises(RecipeError, match=r"^\[score.own.two\] writes own_wide, .* of \[score.own.one\]"):
        scorer(recipe(tmp_path, table.format("one") + table.format("two")))


@pytest.mark.parametrize(
    ("function", "error"),
    [("lists", RecipeError), ("nothing", RecipeError), ("words", pa.ArrowInvalid)],
)
def test_what_is_returned_is_a_table_of_numbers(tmp_path: Path, function: str, error: Any) -> None:
    """What is none ends the run as a fault of the recipe; words fail rows."""
    table = f'[score.own.{function}]\nfunction = "scorers.py:{function}"\nreads = ["width_px"]\n'
    stage = scorer(recipe(tmp_path, table))
    with pytest.raises(error):
        stage.open()(ROWS)


def test_without_a_table_there_is_none() -> None:
    """The kind of stage by itself does nothing."""
    assert not CallScorer().active
    assert dataclasses.replace(CallScorer(), called="x").active

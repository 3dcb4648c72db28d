"""The worker: contracts are enforced, a bad row costs itself only, and no row is lost."""

import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import RecipeError, RowError
from pipeline.orders import write_orders
from pipeline.worker import Chain, results_of
from stages.base import Map, Row, Work, per_row
from stages.media import Limits
from tests.pipeline.stages_for_tests import Double, Halves, WrongColumns, assets


def work_off(out: Path, stages: tuple[Map, ...], rows: pa.Table) -> list[dict[str, object]]:
    orders = write_orders(out / "orders", [("", rows)], most_rows=100, workers=1)
    work = Chain(out, "split", stages, "run1", Limits()).open()
    return [row for order in orders for row in work(order).to_pylist()]


def results(out: Path, stage: Map) -> dict[str, tuple[object, object]]:
    found = results_of(out, "split", stage)
    table = pa.concat_tables([pa.parquet.read_table(part) for part in found.parts()])
    return {
        r[found.key]: (r.get("luma_mean"), r["error"] and r["error"].partition(":")[0])
        for r in table.to_pylist()
    }


def test_one_bad_row_costs_itself(tmp_path: Path) -> None:
    """Of four rows in one batch, the one that raises fails, with where and why; the others are done."""
    work_off(tmp_path, (Double(),), assets(a="h264", b="crash", c="vp9", d="av1"))
    assert {"a": (25.0, None), "b": (None, "exception"), "c": (25.0, None), "d": (25.0, None)} == results(
        tmp_path, Double()
    )


def test_a_row_without_an_answer_is_failed(tmp_path: Path) -> None:
    """A stage that drops a row does not make it vanish."""
    work_off(tmp_path, (Double(),), assets(a="h264", b="lose"))
    assert {"a": (25.0, None), "b": (None, "no_result")} == results(tmp_path, Double())


def test_fused_stages_each_leave_their_results(tmp_path: Path) -> None:
    """The second stage sees the rows that the first one made, and only the good ones."""
    rows = assets(a="h264", b="h264")
    rows = rows.set_column(rows.column_names.index("duration_s"), "duration_s", pa.array([4.0, 0.0]))
    reports = work_off(tmp_path, (Halves(), Double()), rows)
    assert {"a-0": (25.0, None), "a-1": (25.0, None)} == results(tmp_path, Double())
    assert {"Halves": 1, "Double": 0} == {
        s: sum(r["failed"] for r in reports if r["stage"] == s) for s in ("Halves", "Double")
    }


def test_what_is_too_short_does_not_count_as_broken(tmp_path: Path) -> None:
    """A row that holds nothing of what was asked for has its error, and stops no step."""

    @dataclass(frozen=True)
    class Unfit(Map):
        reads, writes = ("codec",), ("blur",)

        def open(self) -> Work:
            def none(row: Row) -> list[Row]:
                raise RowError("too_short" if row["codec"] == "h264" else "decode_error", "nothing left")

            return per_row(none, self.writes)

    told = work_off(tmp_path, (Unfit(),), assets(a="h264", b="vp9", c="h264"))
    assert [3, 1] == [sum(int(str(r[name])) for r in told) for name in ("rows", "failed")]
    reasons = [error for _, error in results(tmp_path, Unfit()).values()]
    assert ["decode_error", "too_short", "too_short"] == sorted(map(str, reasons))


def test_what_a_stage_warns_of_reaches_the_log(tmp_path: Path) -> None:
    """A worker's own output reaches nobody: warnings travel with the report of the stage."""

    @dataclass(frozen=True)
    class Warns(Map):
        reads, writes = ("codec",), ("blur",)

        def open(self) -> Work:
            log = logging.getLogger("stages.score.warns")

            def none(row: Row) -> list[Row]:
                log.warning("%s is odd", row["codec"])
                return [{"blur": None}]

            return per_row(none, self.writes)

    told = work_off(tmp_path, (Warns(), Double()), assets(a="h264"))
    assert {"Warns": "h264 is odd", "Double": ""} == {r["stage"]: r["said"] for r in told}


def test_declared_columns_are_enforced(tmp_path: Path) -> None:
    """A stage that writes what it did not declare ends the run: that is a bug, not a bad row."""
    with pytest.raises(RecipeError, match=r"returned columns .*blur"):
        work_off(tmp_path, (WrongColumns(),), assets(a="h264"))


@pytest.mark.parametrize(("copies", "expected"), [(1, 3), (4, 4)])
def test_a_row_that_kills_its_worker_is_set_apart(tmp_path: Path, copies: int, expected: int) -> None:
    """After a batch died, rows go one by one; the killer gets three attempts, then fails; its neighbours
    finish."""
    mark = tmp_path / "mark"
    stage = Double(mark=str(mark))
    codecs = {f"a{n}": "h264" for n in range(3 * copies)}
    neighbours = assets(**{"a0": "h264", "A": "kill", **codecs})
    orders = write_orders(tmp_path / "orders", [("", neighbours)], most_rows=100, workers=1)
    code = f"""
from pathlib import Path
from pipeline.worker import Chain
from stages.media import Limits
from tests.pipeline.stages_for_tests import Double
work = Chain(Path({str(tmp_path)!r}), "split", (Double(mark={str(mark)!r}),), "run1", Limits()).open()
for order in {[str(o) for o in orders]!r}:
    if Path(order).exists():
        work(Path(order))
"""
    codes = [subprocess.run([sys.executable, "-c", code], check=False).returncode]
    while codes[-1] == 9:
        codes.append(subprocess.run([sys.executable, "-c", code], check=False).returncode)
    assert [9] * expected + [0] == codes
    assert "died\n" * expected == mark.read_text()
    found = results(tmp_path, stage)
    assert (None, "killed_worker") == found.pop("A")
    assert {f"a{n}": (25.0, None) for n in range(3 * copies)} == found


def test_another_run_starts_counting_anew(tmp_path: Path) -> None:
    """Attempts of a run whose driver was killed do not count against a row."""
    (order,) = write_orders(tmp_path / "orders", [("", assets(a="h264"))], most_rows=9, workers=1)
    order.with_suffix(".run0.journal").write_text("begun\na\na\na\n")
    Chain(tmp_path, "split", (Double(),), "run1", Limits()).open()(order)
    assert {"a": (25.0, None)} == results(tmp_path, Double())


def test_orders_hold_every_row_once_heaviest_first(tmp_path: Path) -> None:
    """Orders come by weight, hold rows of one bucket, and lose none."""
    rows = assets(**{f"{n:02d}": "h264" for n in range(20)})
    rows = rows.set_column(
        rows.column_names.index("size_bytes"), "size_bytes", pa.array([n * n for n in range(20)])
    )
    orders = write_orders(tmp_path / "orders", [("", rows)], most_rows=3, workers=1)
    tables = [pa.parquet.read_table(order) for order in orders]
    weights = [sum(t["size_bytes"].to_pylist()) for t in tables]
    assert weights == sorted(weights, reverse=True)
    assert sorted(rows["id"].to_pylist()) == sorted(i for t in tables for i in t["id"].to_pylist())

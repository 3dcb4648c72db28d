"""A model stage: prepared on CPU, forwarded in batches across parts, a bad row costs itself, results land by
id."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import ManifestError
from manifests.store import inputs
from pipeline.model import ModelWork
from pipeline.orders import write_orders
from pipeline.worker import results_of
from stages.media import Limits
from tests.pipeline.stages_for_tests import Sines, assets


def rows() -> pa.Table:
    made = assets(**{f"r{n:02d}": "h264" for n in range(14)}, bad="crash", odd="odd")
    return made.set_column(made.column_names.index("fps"), "fps", pa.array([float(n) for n in range(16)]))


def check(out: Path, table: pa.Table) -> None:
    """Every row has its own result, computed of its own values; the two bad ones have errors."""
    stage = Sines()
    wanted = table.append_column("input", inputs(table, stage.reads))
    found = results_of(out, "split", stage).read(wanted)
    by_id: dict[str, Any] = {r["id"]: (r["luma_mean"], r["error"]) for r in found.to_pylist()}
    for id_, fps, codec in zip(
        table["id"].to_pylist(), table["fps"].to_pylist(), table["codec"].to_pylist(), strict=True
    ):
        value, error = by_id[id_]
        assert {"h264": None, "crash": "decode_error", "odd": "exception"}[codec] == (
            error and error.partition(":")[0]
        )
        if codec == "h264":
            assert value == pytest.approx(0.25 * np.sin(fps) + 0.75 * np.sin(4.0), abs=1e-12)


def test_in_one_process(tmp_path: Path) -> None:
    """Preparing and forwarding order by order."""
    work = ModelWork(tmp_path, "split", Sines(), "run1", Limits())
    forward = work.opened()
    for order in write_orders(tmp_path / "orders", [("", rows())], most_rows=4, workers=1):
        batch = work.prepared(order)
        if len(batch["id"]):
            forward(batch)
    check(tmp_path, rows())


@pytest.mark.xdist_group("ray")
def test_rows_that_kill_processes_are_set_apart(tmp_path: Path, ray_session: None) -> None:
    """One kills the task that prepares it, one the actor: three times alone, then it fails; others finish."""
    from pipeline.run import Cluster

    table = assets(a="h264", b="kill preparation", c="h264", d="kill", e="h264")
    orders = write_orders(tmp_path / "orders", [("", table)], most_rows=5, workers=1)
    work = ModelWork(tmp_path, "split", Sines(), "run1", Limits())
    reports = pa.concat_tables(Cluster(2).run_model(work, orders))
    wanted = table.append_column("input", inputs(table, Sines.reads))
    found = results_of(tmp_path, "split", Sines()).read(wanted)
    errors = {r["id"]: r["error"] and r["error"].partition(":")[0] for r in found.to_pylist()}
    assert {"a": None, "b": "killed_worker", "c": None, "d": "killed_worker", "e": None} == errors
    # An order of which nothing could be prepared never reaches the model: the context counts it.
    assert (4, 1) == (sum(reports["rows"].to_pylist()), sum(reports["failed"].to_pylist()))


def test_a_model_that_kills_whoever_opens_it(tmp_path: Path) -> None:
    """After three deaths the run ends with a sentence, where Ray would start actors for ever."""
    work = ModelWork(tmp_path, "split", Sines(), "run1", Limits())
    journal = tmp_path / "orders" / "split" / "Sines-opening.run1.journal"
    with work.opening(1):
        pass
    assert "begun\nopened\n" == journal.read_text()
    journal.write_text("begun\n" * 3)
    with pytest.raises(ManifestError, match="died 3 times while it opened"), work.opening(1):
        pass
    with work.opening(2):
        pass


@pytest.mark.xdist_group("ray")
def test_in_ray(tmp_path: Path, ray_session: None) -> None:
    """Tasks prepare, an actor forwards; batches reach across orders."""
    from pipeline.run import Cluster

    orders = write_orders(tmp_path / "orders", [("", rows())], most_rows=3, workers=1)
    reports = list(Cluster(2).run_model(ModelWork(tmp_path, "split", Sines(), "run1", Limits()), orders))
    assert 16 == sum(sum(r["rows"].to_pylist()) for r in reports)
    check(tmp_path, rows())

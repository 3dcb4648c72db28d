"""A model stage: prepared on CPU, forwarded in batches across parts, a bad row costs itself, results land by
id."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

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
    work = ModelWork(tmp_path, "split", Sines(), Limits())
    forward = work.opened()
    for order in write_orders(tmp_path / "orders", [("", rows())], most_rows=4, workers=1):
        batch = work.prepared(order)
        if len(batch["id"]):
            forward(batch)
    check(tmp_path, rows())


@pytest.mark.xdist_group("ray")
def test_in_ray(tmp_path: Path, ray_session: None) -> None:
    """Tasks prepare, an actor forwards; batches reach across orders."""
    from pipeline.run import Cluster

    orders = write_orders(tmp_path / "orders", [("", rows())], most_rows=3, workers=1)
    reports = list(Cluster(2).run_model(ModelWork(tmp_path, "split", Sines(), Limits()), orders))
    assert 15 == sum(sum(r["rows"].to_pylist()) for r in reports)
    check(tmp_path, rows())

"""Stages that misbehave, for tests of the worker; columns are borrowed from the product's list."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests import columns
from manifests.errors import RowError
from stages.base import Map, Model, Row, Tensors, Work, per_row


@dataclass(frozen=True)
class Double(Map):
    """luma_mean = 2 * fps; every misbehaviour is asked for by the row's codec."""

    reads = ("fps", "codec")
    writes = ("luma_mean",)
    mark: str = ""

    def open(self) -> Work:
        def work(table: pa.Table) -> pa.Table:
            if "crash" in table["codec"].to_pylist():
                raise ZeroDivisionError("by nought")
            if "kill" in table["codec"].to_pylist():
                with Path(self.mark).open("a") as mark:
                    mark.write("died\n")
                os._exit(9)
            values = [None if fps is None else 2 * fps for fps in table["fps"].to_pylist()]
            rows = pa.table({"id": table["id"], "luma_mean": pa.array(values, pa.float64())})
            return rows.filter(pa.array([codec != "lose" for codec in table["codec"].to_pylist()]))

        return work


@dataclass(frozen=True)
class Halves(Map):
    """Makes two clips of each row."""

    reads = ("duration_s",)
    writes = ("id", "start_s", "duration_s")

    def open(self) -> Work:
        def halves(row: Row) -> list[Row]:
            if row["duration_s"] == 0:
                raise RowError("decode_error", "nothing there")
            half = row["duration_s"] / 2
            return [{"id": f"{row['id']}-{n}", "start_s": n * half, "duration_s": half} for n in range(2)]

        return per_row(halves, self.writes)


class WrongColumns(Map):
    """Declares one column and returns another."""

    reads = ()
    writes = ("luma_mean",)

    def open(self) -> Work:
        return lambda table: pa.table({"id": table["id"], "blur": pa.array([0.0] * len(table))})


@dataclass(frozen=True)
class Sines(Model):
    """luma_mean by a fixed linear layer on sines of fps and duration: small, but a forward pass over a
    batch."""

    reads = ("fps", "duration_s", "codec")
    writes = ("luma_mean",)
    batch_rows: int = 4

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        def prepare(table: pa.Table) -> Tensors:
            if "crash" in table["codec"].to_pylist():
                raise RowError("decode_error", "this one cannot be prepared")
            values = np.array([table["fps"].to_numpy(), table["duration_s"].to_numpy()], np.float64).T
            codecs = np.array(table["codec"].to_pylist())
            if (codecs == "kill preparation").any():
                os._exit(9)
            return {"x": np.sin(values), "odd": codecs == "odd", "kill": codecs == "kill"}

        return prepare

    def forward(self) -> Callable[[Tensors], pa.Table]:
        weights = np.array([0.25, 0.75])

        def forward(batch: Tensors) -> pa.Table:
            if batch["kill"].any():
                os._exit(9)
            if batch["odd"].any():
                raise FloatingPointError("this one cannot be forwarded")
            assert len(batch["x"]) <= self.batch_rows
            return pa.table(
                {"id": pa.array(batch["id"].tolist(), pa.string()), "luma_mean": batch["x"] @ weights}
            )

        return forward


def assets(**codecs: str) -> pa.Table:
    rows = [
        {"id": i, "asset_id": i, "codec": c, "fps": 12.5, "duration_s": 4.0, "size_bytes": 9}
        for i, c in codecs.items()
    ]
    return columns.table(rows, ["id", "parent_id", "asset_id", "codec", "fps", "duration_s", "size_bytes"])

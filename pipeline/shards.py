"""How a plan becomes shards: one order a shard, written where it is missing or no longer what the plan
says."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import columns
from manifests.errors import ManifestError
from manifests.store import read_side
from pipeline.context import Context
from pipeline.stock import Stock
from pipeline.worker import report
from stages.pack.cards import write_cards
from stages.pack.plan import DATASETS
from stages.pack.shard import Sample, read_summary, remove_others, write_shard

# Rows whose media are held at once while a shard is written.
CHUNK_ROWS = 64


@dataclass(frozen=True)
class ShardWriter:
    """Writes the shard that an order describes: a file <dataset>/<shard>.parquet of its rows, in order."""

    out: Path

    @property
    def name(self) -> str:
        return "WriteShard"

    def open(self) -> Callable[[Path], pa.Table]:
        return self._write

    def _write(self, order: Path) -> pa.Table:
        rows = pq.read_table(order)
        folder = self.out / "pack" / order.parent.name
        more = [name for name in rows.column_names if name.startswith(columns.CLASS)]
        write_shard(folder, order.stem, _samples(self.out, rows), inputs=shard_inputs(rows), more=more)
        return report(self.name, rows=len(rows))


def write_shards(context: Context, stock: Stock, plan: pa.Table) -> None:
    """Bring the dataset folders to what the plan says: missing and changed shards, then the cards."""
    orders = context.out / "orders" / "pack"
    missing = [order for order in _orders(orders, stock, plan) if not _is_current(context.out, order)]
    if missing:
        context.work("pack", ShardWriter(context.out), missing)
    planned = sorted(set(plan["dataset"].to_pylist()))
    for left in set(DATASETS.values()) - set(planned):
        shutil.rmtree(context.out / "pack" / left, ignore_errors=True)
    for dataset in planned:
        folder = context.out / "pack" / dataset
        names = sorted(set(plan.filter(pc.equal(plan["dataset"], dataset))["shard"].to_pylist()))
        remove_others(folder, names)
        run = {"recipe": context.recipe.name, "settings": context.settings()}
        write_cards(folder, [read_summary(folder, name) for name in names], name=dataset, run=run)


def shard_inputs(rows: pa.Table) -> str:
    """The digest of all that a shard is made from."""
    names = [name for name in rows.column_names if name not in ("location", "bucket", "modified_ns")]
    value = rows.select([name for name in names if not name.endswith("_part")]).to_pylist()
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _is_current(out: Path, order: Path) -> bool:
    try:
        summary = read_summary(out / "pack" / order.parent.name, order.stem)
    except ManifestError:
        return False
    return bool(summary["inputs"] == shard_inputs(pq.read_table(order)))


def _orders(folder: Path, stock: Stock, plan: pa.Table) -> Iterator[Path]:
    """One file of rows per shard; rows come bucket by bucket, which is the order of their ids within a shard
    only by chance."""
    live = pa.concat_tables([stock.live(bucket) for bucket in stock.buckets])
    for (dataset, shard), places in _by_shard(plan):
        rows = live.take(pc.index_in(pa.array(places), value_set=live["id"]))
        path = folder / dataset / f"{shard}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path)
        yield path


def _by_shard(plan: pa.Table) -> Iterator[tuple[tuple[str, str], list[str]]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for row in plan.to_pylist():
        grouped.setdefault((row["dataset"], row["shard"]), []).append(row["id"])
    yield from grouped.items()


def _samples(out: Path, rows: pa.Table) -> Iterator[Sample]:
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows.slice(start, CHUNK_ROWS)
        media = read_side(out, chunk, "media").to_pylist()
        for row, content in zip(chunk.to_pylist(), media, strict=True):
            yield Sample(_of_row(row), content, row["text"] or "")


def _of_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "location"}

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
from manifests.files import sha256
from manifests.manifest import Manifest
from manifests.store import read_side
from manifests.verdicts import STEPS
from pipeline.context import Context
from pipeline.stock import Stock
from pipeline.worker import report
from stages.pack.cards import SUMMARY, cards, write_cards
from stages.pack.plan import DATASETS
from stages.pack.shard import ENDINGS, Sample, is_there, read_summary, remove_others, write_shard

# Media that are held at once while a shard is written; a larger one stands alone.
CHUNK_BYTES = 64 << 20
CHUNK_ROWS = 64
FILES = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())])


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
        more = [name for name in rows.column_names if columns.is_named(name)]
        write_shard(folder, order.stem, samples(self.out, rows), inputs=shard_inputs(rows), more=more)
        return report(self.name, rows=len(rows))


def write_shards(context: Context, stock: Stock, plan: pa.Table) -> pa.Table:
    """Bring the dataset folders to what the plan says: missing and changed shards, then the cards.

    Returns their files: path in the pack folder, size and SHA-256 as written, null where people may edit.
    """
    orders = context.out / "orders" / "pack"
    missing = [order for order in _orders(orders, stock, plan) if not _is_current(context.out, order)]
    if missing:
        context.work("pack", ShardWriter(context.out), missing)
    listed: list[dict[str, Any]] = []
    planned = sorted(set(plan["dataset"].to_pylist()))
    for left in set(DATASETS.values()) - set(planned):
        shutil.rmtree(context.out / "pack" / left, ignore_errors=True)
    for dataset in planned:
        folder = context.out / "pack" / dataset
        names = sorted(set(plan.filter(pc.equal(plan["dataset"], dataset))["shard"].to_pylist()))
        remove_others(folder, names)
        run = {"recipe": context.recipe.name, "settings": context.settings(), "rules": _rules(context.out)}
        summary = write_cards(folder, [read_summary(folder, name) for name in names], name=dataset, run=run)
        listed += _listed(folder, summary)
    return pa.Table.from_pylist(listed, schema=FILES)


def is_packed(pack: Manifest) -> bool:
    """Whether every file of the packed datasets is there, in its size; contents are for `verify`."""
    if "files" not in pack.record["tables"]:
        return False
    for file in pack.table("files").to_pylist():
        path = pack.folder / file["path"]
        if not path.is_file() or file["bytes"] not in (None, path.stat().st_size):
            return False
    return True


def _listed(folder: Path, summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    known = {
        f"shards/{shard['name']}.{kind}": (shard[f"{kind}_bytes"], shard[f"{kind}_sha256"])
        for shard in summary["shards"]
        for kind in ("tar", "parquet")
    }
    shards = [f"shards/{shard['name']}{ending}" for shard in summary["shards"] for ending in ENDINGS]
    for name in (SUMMARY, *cards(summary), *shards):
        path = folder / name
        size, digest = known.get(name) or (path.stat().st_size, sha256(path))
        if name == "README.md":
            size = digest = None
        yield {"path": f"{folder.name}/{name}", "bytes": size, "sha256": digest}


def _rules(out: Path) -> list[dict[str, Any]]:
    """The rules that judged on the way here, as the steps recorded them."""
    found = [Manifest.find(out, step) for step in STEPS]
    return [rule for step in found if step for rule in step.record.get("rules", [])]


def shard_inputs(rows: pa.Table) -> str:
    """The digest of all that a shard is made from."""
    names = [name for name in rows.column_names if name not in ("location", "bucket", "modified_ns")]
    value = rows.select([name for name in names if not name.endswith("_part")]).to_pylist()
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _is_current(out: Path, order: Path) -> bool:
    folder = out / "pack" / order.parent.name
    if not is_there(folder, order.stem):
        return False
    return bool(read_summary(folder, order.stem)["inputs"] == shard_inputs(pq.read_table(order)))


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


def samples(out: Path, rows: pa.Table, *, most_bytes: int = CHUNK_BYTES) -> Iterator[Sample]:
    """The samples of these rows, in order; about `most_bytes` of media, or one sample, are held at once."""
    for chunk in _chunks(rows, most_bytes):
        media = read_side(out, chunk, "media").to_pylist()
        for row, content in zip(chunk.to_pylist(), media, strict=True):
            yield Sample(_of_row(row), content, row["text"] or "")


def _chunks(rows: pa.Table, most_bytes: int) -> Iterator[pa.Table]:
    start = held_bytes = 0
    for at, size in enumerate(rows["media_bytes"].to_pylist()):
        if at > start and (at - start == CHUNK_ROWS or held_bytes + size > most_bytes):
            yield rows.slice(start, at - start)
            start, held_bytes = at, 0
        held_bytes += size
    yield rows.slice(start)


def _of_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "location"}

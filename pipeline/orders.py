"""How missing work becomes orders: files of a few rows of one bucket, the heaviest first."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ORDER_BYTES = 256 << 20


def write_orders(
    folder: Path, missing: Iterable[tuple[str, pa.Table]], most_rows: int, workers: int
) -> list[Path]:
    """Write the rows that lack a result as orders; returns their paths, heaviest first.

    An order holds rows of one bucket, at most `most_rows`, and few enough that each worker gets several
    orders.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weighed: list[tuple[int, Path]] = []
    for bucket, rows in missing:
        most = max(1, min(most_rows, len(rows) // (workers * 4)))
        for order in _cut(_heaviest_first(rows), most):
            name = hashlib.sha256("".join(order["id"].to_pylist()).encode()).hexdigest()[:16]
            path = folder / f"{bucket or 'all'}-{name}.parquet"
            pq.write_table(order.append_column("bucket", pa.array([bucket] * len(order), pa.string())), path)
            weighed.append((-sum(_weights(order)), path))
    return [path for _, path in sorted(weighed)]


def count_rows(orders: Iterable[Path]) -> int:
    """How many rows the orders hold together."""
    return sum(pq.read_metadata(path).num_rows for path in orders)


def _heaviest_first(rows: pa.Table) -> pa.Table:
    weights = pa.array([-weight for weight in _weights(rows)], pa.int64())
    return rows.take(
        pc.sort_indices(pa.table({"w": weights, "id": rows["id"]}), [("w", "ascending"), ("id", "ascending")])
    )


def _weights(rows: pa.Table) -> list[int]:
    """Bytes to read; the longest rows are the heaviest because a decode costs about as much as its bytes."""
    return [size or 0 for size in rows["size_bytes"].to_pylist()]


def _cut(rows: pa.Table, most: int) -> Iterator[pa.Table]:
    start, bytes_ = 0, 0
    for at, weight in enumerate(_weights(rows)):
        if at > start and (at - start >= most or bytes_ + weight > ORDER_BYTES):
            yield rows.slice(start, at - start)
            start, bytes_ = at, 0
        bytes_ += weight
    if start < len(rows):
        yield rows.slice(start)

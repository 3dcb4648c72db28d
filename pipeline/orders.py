"""How missing work becomes orders: files of a few rows of one bucket, the heaviest first."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ORDER_BYTES = 256 << 20
# Rows that belong together are parted into no fewer: each part costs a seek, and some seconds that are
# decoded for nothing.
LEAST_TOGETHER = 4


@dataclass(frozen=True)
class Bundle:
    """Rows of a table, by number, that are not parted, and the bytes that are read for them."""

    rows: Sequence[int]
    weight_bytes: int
    first_id: str


def write_orders(
    folder: Path, missing: Iterable[tuple[str, pa.Table]], most_rows: int, workers: int, *, together: str = ""
) -> list[Path]:
    """Write the rows that lack a result as orders; returns their paths, heaviest first.

    An order holds rows of one bucket, at most `most_rows`, and few enough that each worker gets several
    orders. Rows of equal values in the column `together` stay in one order, in the order of time; where they
    are too many for that, they are parted evenly, so that no file holds one worker while others idle.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weighed: list[tuple[int, Path]] = []
    for bucket, rows in missing:
        most = max(1, min(most_rows, len(rows) // (workers * 4)))
        kept = min(most_rows, max(most, LEAST_TOGETHER))
        bundles = _together(rows, together, kept) if together else _apart(rows)
        for chosen in _cut(sorted(bundles, key=lambda one: (-one.weight_bytes, one.first_id)), most):
            order = rows.take([number for bundle in chosen for number in bundle.rows])
            name = hashlib.sha256("".join(order["id"].to_pylist()).encode()).hexdigest()[:16]
            path = folder / f"{bucket or 'all'}-{name}.parquet"
            pq.write_table(order.append_column("bucket", pa.array([bucket] * len(order), pa.string())), path)
            weighed.append((-sum(bundle.weight_bytes for bundle in chosen), path))
    return [path for _, path in sorted(weighed)]


def count_rows(orders: Iterable[Path]) -> int:
    """How many rows the orders hold together."""
    return sum(pq.read_metadata(path).num_rows for path in orders)


def _apart(rows: pa.Table) -> list[Bundle]:
    """The longest rows are the heaviest because a decode costs about as much as its bytes."""
    pairs = zip(rows["size_bytes"].to_pylist(), rows["id"].to_pylist(), strict=True)
    return [Bundle([number], size or 0, id_) for number, (size, id_) in enumerate(pairs)]


def _together(rows: pa.Table, column: str, most: int) -> Iterator[Bundle]:
    """Rows of one value side by side, at most `most`; what they are made of is read once for all of them."""
    sizes, ids, values = (rows[name].to_pylist() for name in ("size_bytes", "id", column))
    times = rows["start_pts"].to_pylist() if "start_pts" in rows.column_names else [None] * len(rows)

    def place(number: int) -> tuple[str, int, str]:
        return values[number] or ids[number], times[number] or 0, ids[number]

    for _, of_one in groupby(sorted(range(len(rows)), key=place), lambda number: place(number)[0]):
        numbers = list(of_one)
        parts = math.ceil(len(numbers) / most)
        for n in range(parts):
            part = numbers[n * len(numbers) // parts : (n + 1) * len(numbers) // parts]
            yield Bundle(part, max(sizes[number] or 0 for number in part), ids[part[0]])


def _cut(bundles: Iterable[Bundle], most: int) -> Iterator[list[Bundle]]:
    """Bundles as orders: several in one as long as they are within `most` rows and ORDER_BYTES."""
    order: list[Bundle] = []
    for bundle in bundles:
        count = sum(len(one.rows) for one in order) + len(bundle.rows)
        bytes_ = sum(one.weight_bytes for one in order) + bundle.weight_bytes
        if order and (count > most or bytes_ > ORDER_BYTES):
            yield order
            order = []
        order.append(bundle)
    if order:
        yield order

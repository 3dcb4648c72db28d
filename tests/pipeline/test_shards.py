"""Shards are written from media that are read once."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests import columns
from manifests.store import Results
from pipeline import shards

SIZE_BYTES = 256 << 10


def cut(out: Path, count: int) -> pa.Table:
    """Rows whose media lie 16 to a part, as the cut of a step leaves them."""
    results = Results(out, "pack", "Cut", "f1", ("media", "media_bytes", "text"))
    random = np.random.default_rng(1)
    rows = [
        {"id": f"{n:04d}", "media": random.bytes(SIZE_BYTES), "media_bytes": SIZE_BYTES, "text": None}
        for n in range(count)
    ]
    table = columns.table(rows, ["id", "media", "media_bytes", "text"])
    table = table.append_column("input", pa.array(["1"] * count))
    table = table.append_column("error", pa.nulls(count, pa.string()))
    return pa.concat_tables([results.write(table.slice(at, 16)) for at in range(0, count, 16)])


def test_media_are_read_once(tmp_path: Path) -> None:
    """64 samples in an order that mixes 4 parts, few at a time: not much more is read than their media."""
    rows = cut(tmp_path, 64)
    mixed = rows.take(pa.array([n * 29 % 64 for n in range(64)]))
    before = int(Path("/proc/self/io").read_text().split()[1])
    wanted = shards.samples(tmp_path, mixed, most_bytes=4 * SIZE_BYTES)
    seen = [(sample.row["id"], len(sample.media)) for sample in wanted]
    read = int(Path("/proc/self/io").read_text().split()[1]) - before
    assert [(f"{n * 29 % 64:04d}", SIZE_BYTES) for n in range(64)] == seen
    assert 64 * SIZE_BYTES <= read < 1.25 * 64 * SIZE_BYTES

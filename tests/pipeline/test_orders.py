"""Missing work as orders: every row once, heaviest first, and what belongs together side by side."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.orders import write_orders


def clips(**counts: int) -> pa.Table:
    """So many clips of each asset, last ones first; an asset has a megabyte for each of its clips."""
    rows = [
        {"id": f"{asset}{n:03d}", "asset_id": asset, "start_pts": 10 * n, "size_bytes": count << 20}
        for asset, count in counts.items()
        for n in reversed(range(count))
    ]
    return pa.Table.from_pylist(rows)


def orders(folder: Path, rows: pa.Table, **options: Any) -> list[list[str]]:
    """The ids in each order."""
    paths = write_orders(folder / "orders", [("", rows)], **options)
    return [pq.read_table(path)["id"].to_pylist() for path in paths]


def test_clips_of_an_asset_lie_in_one_order_in_the_order_of_time(tmp_path: Path) -> None:
    """Though a share of the rows would be one row a worker, a file of four clips is not parted."""
    made = orders(tmp_path, clips(a=4, b=3, c=1), most_rows=16, workers=2, together="asset_id")
    assert [["a000", "a001", "a002", "a003"], ["b000", "b001", "b002"], ["c000"]] == made


def test_many_clips_are_parted_evenly(tmp_path: Path) -> None:
    """Ten thousand clips of one asset do not become one order, nor a full one and a rest."""
    made = orders(tmp_path, clips(a=18), most_rows=16, workers=1, together="asset_id")
    ids = [f"a{n:03d}" for n in range(18)]
    assert [ids[:3], ids[3:7], ids[7:10], ids[10:14], ids[14:]] == sorted(made)
    long = orders(tmp_path, clips(a=340), most_rows=16, workers=1, together="asset_id")
    assert {15, 16} == {len(order) for order in long}


def test_small_files_share_an_order(tmp_path: Path) -> None:
    """Rows that are alone of their value are no orders of their own."""
    made = orders(
        tmp_path, clips(**{f"a{n:03d}": 1 for n in range(64)}), most_rows=16, workers=1, together="asset_id"
    )
    assert [16] * 4 == [len(order) for order in made]


def test_a_shared_file_weighs_once(tmp_path: Path) -> None:
    """Sixteen clips of a file of 200 MB are read in one go: 200 MB are no reason to part them."""
    rows = clips(a=16)
    rows = rows.set_column(3, "size_bytes", pa.array([200 << 20] * 16))
    options = {"most_rows": 4, "workers": 1}
    assert [4] * 4 == [len(o) for o in orders(tmp_path, rows, **options, together="asset_id")]
    assert [1] * 16 == [len(o) for o in orders(tmp_path, rows, **options)]


def test_rows_without_a_value_stand_alone(tmp_path: Path) -> None:
    """A null is no value that rows could share."""
    rows = clips(a=3)
    rows = rows.set_column(1, "asset_id", pa.nulls(3, pa.string()))
    assert [1, 1, 1] == [len(o) for o in orders(tmp_path, rows, most_rows=16, workers=2, together="asset_id")]


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    most_rows=st.integers(1, 20),
    workers=st.integers(1, 4),
    together=st.sampled_from(["", "asset_id"]),
)
def test_every_row_is_in_one_order(
    tmp_path_factory: Any, counts: list[int], most_rows: int, workers: int, together: str
) -> None:
    """Whatever the sizes: no row is lost or repeated, no order is larger than asked."""
    rows = clips(**{chr(97 + n): count for n, count in enumerate(counts)})
    folder = tmp_path_factory.mktemp("orders")
    made = orders(folder, rows, most_rows=most_rows, workers=workers, together=together)
    assert sorted(rows["id"].to_pylist()) == sorted(id_ for order in made for id_ in order)
    assert max(len(order) for order in made) <= most_rows

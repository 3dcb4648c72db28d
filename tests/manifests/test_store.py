"""Results are joined by (id, input); what has one is not done again."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import columns, store
from manifests.errors import ManifestError
from manifests.store import Results, inputs, read_side


def results(out: Path, *, makes_rows: bool = False) -> Results:
    writes = ("id", "luma_mean", "frames") if makes_rows else ("luma_mean", "frames")
    return Results(out, "split", "Measure", "f1", writes)


def part(*rows: tuple[str, str, float | None, str | None], key: str = "id") -> pa.Table:
    frame = [{"pts": 0, "time_s": 0.0, "jpeg": b"jpeg"}]
    names = [key, "luma_mean", "frames"] + (["id"] if key != "id" else [])
    table = columns.table(
        [
            {key: k, "id": f"{k}-clip" if key != "id" else k, "luma_mean": v, "frames": None if e else frame}
            for k, _, v, e in rows
        ],
        names,
    )
    table = table.append_column("input", pa.array([i for _, i, _, _ in rows], pa.string()))
    return table.append_column("error", pa.array([e for *_, e in rows], pa.string()))


def wanted(*rows: tuple[str, str]) -> pa.Table:
    return pa.table({"id": [r[0] for r in rows], "input": [r[1] for r in rows]})


def test_missing_are_those_without_a_result(tmp_path: Path) -> None:
    """A row is done when its id and the digest of what was read are both known."""
    done = results(tmp_path)
    done.write(part(("a", "1", 0.5, None), ("b", "1", None, "decode_error: x")))
    assert [("a", "2"), ("c", "1")] == [
        (r["id"], r["input"])
        for r in done.missing(wanted(("a", "1"), ("a", "2"), ("b", "1"), ("c", "1"))).to_pylist()
    ]


def test_two_attempts_are_one_result(tmp_path: Path) -> None:
    """Where two parts hold the same id and input, the first by part name counts."""
    done = results(tmp_path)
    done.write(part(("a", "1", 0.25, None), ("b", "1", 0.5, None)))
    done.write(part(("a", "1", 0.75, None)))
    assert ["a", "b"] == sorted(done.read(wanted(("a", "1"), ("b", "1")))["id"].to_pylist())


def test_all_rows_made_of_one_row_come_from_one_part(tmp_path: Path) -> None:
    """A 1:N result is taken whole from one attempt, never mixed."""
    done = results(tmp_path, makes_rows=True)
    first = part(("v", "1", 0.25, None), ("v", "1", 0.5, None), key="parent_id")
    done.write(first)
    assert 2 == len(done.read(wanted(("v", "1"))))
    done.write(part(("v", "1", 0.75, None), ("w", "1", 0.75, None), key="parent_id"))
    assert 1 == len(set(done.read(wanted(("v", "1")))["luma_mean"].to_pylist())) or 2 == len(
        done.read(wanted(("v", "1")))
    )


def test_a_failure_of_the_place_is_tried_again(tmp_path: Path) -> None:
    """A file out of reach has a result to count, is still missing, and gives way to a better result."""
    done = results(tmp_path)
    done.write(part(("a", "1", None, "unreadable: Permission denied"), ("b", "1", None, "truncated: x")))
    assert ["a"] == done.missing(wanted(("a", "1"), ("b", "1")))["id"].to_pylist()
    assert 2 == len(done.read(wanted(("a", "1"), ("b", "1"))))
    done.write(part(("a", "1", 0.5, None)))
    assert [None] == done.read(wanted(("a", "1")))["error"].to_pylist()


def test_an_attempt_that_came_out_otherwise_is_another_part(tmp_path: Path) -> None:
    """A part is never written over: each keeps its own side values, and the first by name counts."""
    done = results(tmp_path)
    for value in (0.25, 0.75):
        done.write(part(("a", "1", value, None)))
    assert 2 == len(done.parts())
    assert 1 == len(done.read(wanted(("a", "1"))))


def test_damaged_results_say_how_to_mend_them(tmp_path: Path) -> None:
    """A part or side file that is junk or gone is named, with the command."""
    done = results(tmp_path)
    written = done.write(part(("a", "1", 0.5, None)))
    side = tmp_path / written["frames_part"][0].as_py()
    for damage in (lambda: side.write_bytes(b"junk"), side.unlink):
        damage()
        with pytest.raises(ManifestError, match=rf"{side.name} cannot be read.*verify .* --mend"):
            read_side(tmp_path, written, "frames")
    done.parts()[0].write_bytes(b"junk")
    with pytest.raises(ManifestError, match="--mend"):
        done.missing(wanted(("a", "1")))


def media(count: int, size: int) -> pa.Table:
    """Results of a stage that writes media: incompressible bytes, another first byte a row."""
    random = np.random.default_rng(1)
    rows = [{"id": f"{n:04d}", "media": bytes([n % 256]) + random.bytes(size - 1)} for n in range(count)]
    table = columns.table(rows, ["id", "media"])
    table = table.append_column("input", pa.array(["1"] * count))
    return table.append_column("error", pa.nulls(count, pa.string()))


def read_bytes() -> int:
    """Bytes that this process has asked the kernel for (proc_pid_io(5), rchar)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_only_the_wanted_side_values_are_read(tmp_path: Path) -> None:
    """Of 16 media of 1 MiB in a part, two that are wanted cost about 2 MiB."""
    done = Results(tmp_path, "pack", "Cut", "f1", ("media",))
    written = done.write(media(16, 1 << 20))
    chosen = written.take([11, 2])
    before = read_bytes()
    found = read_side(tmp_path, chosen, "media").to_pylist()
    assert [11, 2] == [value[0] for value in found]
    assert 2 << 20 <= read_bytes() - before < 3 << 20


def test_small_side_values_share_a_row_group(tmp_path: Path) -> None:
    """512 values of 1 KiB lie in groups of about 256 KiB, not in 512 of them."""
    written = Results(tmp_path, "pack", "Cut", "f1", ("media",)).write(media(512, 1024))
    groups = pq.ParquetFile(tmp_path / written["media_part"][0].as_py()).num_row_groups
    assert 2 <= groups <= 4


@given(st.data())
def test_side_values_come_in_the_order_of_the_rows(data: st.DataObject) -> None:
    """Any rows, any order, some without a value, over many parts and in blocks of any size."""
    values = data.draw(st.lists(st.none() | st.binary(max_size=40), min_size=1, max_size=12))
    cut = data.draw(st.integers(1, len(values)))
    order = data.draw(st.permutations(range(len(values))))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "BLOCK_BYTES", data.draw(st.integers(1, 200)))
        patch.setattr(store, "GROUP_BYTES", data.draw(st.integers(1, 200)))
        done = Results(Path(folder), "pack", "Cut", "f1", ("media",))
        rows = [{"id": f"{n:04d}", "media": value} for n, value in enumerate(values)]
        table = columns.table(rows, ["id", "media"]).append_column("input", pa.array(["1"] * len(values)))
        table = table.append_column("error", pa.nulls(len(values), pa.string()))
        written = pa.concat_tables([done.write(table.slice(0, cut)), done.write(table.slice(cut))])
        assert [values[at] for at in order] == read_side(
            Path(folder), written.take(pa.array(order)), "media"
        ).to_pylist()


def test_no_array_outgrows_its_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are handed over in arrays of about BLOCK_BYTES, since lists and bytes count to 2^31 only."""
    monkeypatch.setattr(store, "BLOCK_BYTES", 4 << 10)
    written = Results(tmp_path, "pack", "Cut", "f1", ("media",)).write(media(16, 1024))
    found = read_side(tmp_path, written, "media")
    assert 4 <= found.num_chunks
    assert max(len(chunk) for chunk in found.chunks) <= 4


def test_side_values_lie_apart(tmp_path: Path) -> None:
    """A side column is stored in a file of its own and represented by its digest and place."""
    done = results(tmp_path)
    written = done.write(part(("a", "1", 0.5, None), ("b", "1", None, "decode_error: x")))
    assert ["luma_mean", "frames_digest", "frames_part"] == [
        n for n in written.column_names if n not in ("id", "input", "error")
    ]
    assert [[{"pts": 0, "time_s": 0.0, "jpeg": b"jpeg"}], None] == read_side(
        tmp_path, written, "frames"
    ).to_pylist()


def test_equal_work_is_the_same_file(tmp_path: Path) -> None:
    """Doing a part again overwrites it with the same name instead of adding another."""
    done = results(tmp_path)
    done.write(part(("a", "1", 0.5, None)))
    done.write(part(("a", "1", 0.5, None)))
    assert 1 == len(done.parts())


@pytest.mark.parametrize(
    ("name", "bucket", "seen"), [("", "a", True), ("a", "", True), ("a", "a3", True), ("a", "b", False)]
)
def test_parts_of_other_buckets_are_not_read(tmp_path: Path, name: str, bucket: str, seen: bool) -> None:
    """A part is looked at when its bucket and the wanted one overlap, whatever their depth."""
    done = results(tmp_path)
    done.write(part(("a", "1", 0.5, None)), name)
    assert seen == bool(done.parts(bucket))


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False) | st.none()), min_size=1, max_size=5))
def test_digest_depends_on_the_row_alone(values: list[tuple[str, float | None]]) -> None:
    """The digest of a row is the same in any batch and in any order."""
    rows = columns.table(
        [{"id": str(n), "codec": c, "fps": f} for n, (c, f) in enumerate(values)], ["id", "codec", "fps"]
    )
    together = inputs(rows, ["codec", "fps"]).to_pylist()
    alone = [inputs(rows.slice(n, 1), ["fps", "codec"])[0].as_py() for n in range(len(rows))]
    assert together == alone


def test_where_the_bytes_are_enters_no_digest() -> None:
    """A moved file is the same input; a changed value is another."""

    def digest(path: str, codec: str) -> str:
        location = {"path": path, "offset": None, "size": None}
        rows = columns.table([{"id": "a", "location": location, "codec": codec}], ["id", "location", "codec"])
        return str(inputs(rows, ["location", "codec"])[0].as_py())

    assert digest("/here", "h264") == digest("/there", "h264")
    assert digest("/here", "h264") != digest("/here", "hevc")


def test_side_column_is_digested_by_its_digest() -> None:
    """What a stage reads of a side column is known by the small column that stands for it."""
    rows = pa.table({"id": ["a", "b"], store.digest_name("frames"): ["1", "2"]})
    assert 2 == len(set(inputs(rows, ["frames"]).to_pylist()))

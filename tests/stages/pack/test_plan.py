"""The plan of samples to shards."""

import random
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import ManifestError, RecipeError
from stages.pack.plan import PLAN, PlanShards, plan_shards

KINDS = {"video": "video-clips", "image": "images"}


def table(rows: Sequence[tuple[str, str, int | None]]) -> pa.Table:
    schema = pa.schema([("id", pa.string()), ("kind", pa.string()), ("media_bytes", pa.int64())])
    names = ("id", "kind", "media_bytes")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


def test_a_shard_is_full_at_its_bytes_or_samples() -> None:
    """The next sample opens a shard when it would pass the bytes or the samples; kinds are apart."""
    rows = [("e", "video", 60), ("b", "video", 50), ("c", "video", 1), ("a", "video", 40), ("d", "image", 7)]
    plan = plan_shards(table(rows), shard_bytes=91, shard_samples=2)
    expected = [
        ("d", "images", "000000", 0),
        ("a", "video-clips", "000000", 0),
        ("b", "video-clips", "000000", 1),
        ("c", "video-clips", "000001", 0),
        ("e", "video-clips", "000001", 1),
    ]
    assert expected == [tuple(row.values()) for row in plan.to_pylist()]


def test_a_sample_above_the_bound_has_a_shard_of_its_own() -> None:
    """A sample larger than a shard is packed all the same, alone; no shard is empty."""
    plan = plan_shards(table([("a", "image", 100), ("b", "image", 1), ("c", "image", 1)]), shard_bytes=10)
    assert ["000000", "000001", "000001"] == plan["shard"].to_pylist()


def test_nothing_to_pack_is_an_empty_plan() -> None:
    """Without rows there are no shards."""
    assert PLAN == PlanShards().run(table([])).schema
    assert 0 == len(PlanShards().run(table([])))


@given(
    ids=st.lists(st.integers(0, 2**128 - 1), unique=True, max_size=40),
    seed=st.integers(0, 2**32),
    shard_bytes=st.integers(1, 500),
    shard_samples=st.integers(1, 7),
)
def test_every_id_once_in_order_within_bounds(
    ids: list[int], seed: int, shard_bytes: int, shard_samples: int
) -> None:
    """Any rows in any order: each id once, ids ascend within a dataset, bounds hold, places count from 0."""
    chance = random.Random(seed)
    rows = [(f"{id_:032x}", chance.choice(list(KINDS)), chance.randrange(200)) for id_ in ids]
    plan = plan_shards(table(rows), shard_bytes=shard_bytes, shard_samples=shard_samples)
    shuffled = plan_shards(
        table(chance.sample(rows, len(rows))), shard_bytes=shard_bytes, shard_samples=shard_samples
    )
    assert plan == shuffled
    assert sorted((id_, KINDS[kind]) for id_, kind, _ in rows) == sorted(
        zip(plan["id"].to_pylist(), plan["dataset"].to_pylist(), strict=True)
    )
    sizes = {id_: size for id_, _, size in rows}
    for dataset in KINDS.values():
        placed = [row for row in plan.to_pylist() if row["dataset"] == dataset]
        assert sorted(row["id"] for row in placed) == [row["id"] for row in placed]
        shards = [
            [row for row in placed if row["shard"] == name] for name in {row["shard"] for row in placed}
        ]
        assert {f"{n:06d}" for n in range(len(shards))} == {shard[0]["shard"] for shard in shards}
        for shard in shards:
            assert list(range(len(shard))) == [row["shard_index"] for row in shard]
            assert len(shard) <= shard_samples
            assert len(shard) == 1 or sum(sizes[row["id"]] for row in shard) <= shard_bytes


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([("a", "text", 1)], RecipeError, "found text"),
        ([("a", "image", None)], ManifestError, "1 rows without media_bytes"),
        ([("a", "image", 1), ("a", "image", 1)], ManifestError, "repeat an id"),
    ],
)
def test_what_cannot_be_planned_is_named(
    rows: list[tuple[str, str, int | None]], error: type[Exception], words: str
) -> None:
    """A kind without a dataset, an unknown size and a repeated id are errors that say so."""
    with pytest.raises(error, match=words):
        plan_shards(table(rows))


def test_bounds_below_one_are_refused() -> None:
    """A shard holds at least one sample."""
    with pytest.raises(RecipeError, match=r"pack\.shard_samples is 0, expected 1 or more"):
        PlanShards(shard_samples=0)

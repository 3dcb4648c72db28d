"""Which sample goes to which place of which shard, before the first shard is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ManifestError, RecipeError
from stages.base import Whole, within

SHARD_BYTES = 1 << 30
SHARD_SAMPLES = 10_000
DATASETS = {"video": "video-clips", "image": "images"}
PLAN = pa.schema(
    [("id", pa.string()), ("dataset", pa.string()), ("shard", pa.string()), ("shard_index", pa.int64())]
)


@dataclass(frozen=True)
class PlanShards(Whole):
    """The place of every packed sample; the settings bound the media bytes and the samples of a shard."""

    reads = ("kind", "media_bytes")
    writes = ("shard", "shard_index")

    shard_bytes: int = SHARD_BYTES
    shard_samples: int = SHARD_SAMPLES

    def __post_init__(self) -> None:
        within(self, "pack", shard_bytes=(1, math.inf), shard_samples=(1, math.inf))

    def run(self, rows: pa.Table) -> pa.Table:
        """See `plan_shards`."""
        return plan_shards(rows, shard_bytes=self.shard_bytes, shard_samples=self.shard_samples)


def plan_shards(
    rows: pa.Table, *, shard_bytes: int = SHARD_BYTES, shard_samples: int = SHARD_SAMPLES
) -> pa.Table:
    """Rows (id, kind, media_bytes) become (id, dataset, shard, shard_index), sorted by dataset and id.

    Ids are hashes, so their order is a shuffle on which every machine agrees. A shard holds at most
    `shard_samples` samples and `shard_bytes` bytes of media, or one larger sample; none is empty. Names are
    six digits, from 000000. One modality a dataset, because Hugging Face `datasets` refuses mixed extensions.
    Raises RecipeError for a kind that has no dataset, ManifestError for a repeated id
    or an unknown size.
    """
    _check(rows)
    plan: list[dict[str, object]] = []
    for kind in sorted(DATASETS, key=DATASETS.__getitem__):
        chosen = rows.filter(pc.equal(rows["kind"], kind)).sort_by("id")
        sizes = chosen["media_bytes"].to_pylist()
        places = _places(sizes, shard_bytes, shard_samples)
        for id_, (shard, index) in zip(chosen["id"].to_pylist(), places, strict=True):
            plan.append({"id": id_, "dataset": DATASETS[kind], "shard": f"{shard:06d}", "shard_index": index})
    return pa.Table.from_pylist(plan, schema=PLAN)


def _places(sizes: list[int], shard_bytes: int, shard_samples: int) -> Iterator[tuple[int, int]]:
    shard = index = filled_bytes = 0
    for size in sizes:
        if index and (index == shard_samples or filled_bytes + size > shard_bytes):
            shard, index, filled_bytes = shard + 1, 0, 0
        yield shard, index
        index += 1
        filled_bytes += size


def _check(rows: pa.Table) -> None:
    other = sorted({str(kind) for kind in rows["kind"].unique().to_pylist()} - set(DATASETS))
    if other:
        known = " and ".join(sorted(DATASETS))
        raise RecipeError(
            f"pack writes rows of kind {known}, found {', '.join(other)}; reject them by a rule on kind"
        )
    if rows["media_bytes"].null_count:
        raise ManifestError(
            f"{rows['media_bytes'].null_count} rows without media_bytes reached the plan; cut them first"
        )
    if pc.count_distinct(rows["id"]).as_py() != len(rows):
        raise ManifestError("the rows to pack repeat an id; each sample must stand once in the plan")

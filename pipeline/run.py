"""Where Ray is: orders stream through operators that carry their stages' names; results land in parts,
reports come back."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.util import metrics

from manifests.errors import ManifestError, RecipeError
from pipeline import leash
from pipeline.model import ModelWork
from pipeline.worker import MACHINE_TROUBLE, Opener
from stages.base import Tensors
from stages.caption.captions import CaptionClips

# Blocks hold paths of orders, reports, and the pictures of a few batches on their way to a model.
OBJECT_STORE_BYTES = 256 << 20
# Counters beside that of rows, and the column of REPORT that each adds up.
_COUNTED = {
    "reelmix_failed_total": "failed",
    "reelmix_media_seconds_total": "media_s",
    "reelmix_decodes_total": "decodes",
    "reelmix_model_calls_total": "model_calls",
}
_ROWS = "rows that a stage has done, by what became of them there"
# Ray hands over a worker's exception as the text of its traceback.
_ERRORS = {"ManifestError": ManifestError, "RecipeError": RecipeError}
_WORKERS_SENTENCE = re.compile(r"^[\w.]*\b(ManifestError|RecipeError): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Cluster:
    """Which machines: `workers` logical CPUs here, or all those of the cluster at `address`.

    `vllm` are arguments of vLLM that say how it runs (`tensor_parallel_size`, `gpu_memory_utilization`, …).
    """

    workers: int
    address: str | None = None
    vllm: Mapping[str, Any] = field(default_factory=dict)

    def run(self, opener: Opener, orders: list[Path]) -> Iterator[pa.Table]:
        """Work off the orders, first ones first; yields one report an order, in the order of completion.

        A worker that dies is replaced and its order done again (the worker's journal ends that after three
        times).
        """
        self.connect()
        blocks = [pa.table({"order": [str(path)]}) for path in orders]
        function = _named(opener.name, lambda batch: _opened(opener)(Path(batch["order"][0].as_py())))
        data = ray.data.from_arrow(blocks).map_batches(
            function, batch_size=1, batch_format="pyarrow", zero_copy_batch=True, num_cpus=1
        )
        yield from _counted(_told(data), orders)

    def run_model(self, work: ModelWork, orders: list[Path]) -> Iterator[pa.Table]:
        """As `run`, for a model: preparation on CPU tasks overlaps the forward passes of an actor pool, or an
        engine of vLLM."""
        self.connect()
        gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        prepared = ray.data.from_arrow([pa.table({"order": [str(path)]}) for path in orders]).map_batches(
            _named(f"Prepare{work.name}", lambda batch: work.prepared(Path(batch["order"][0].as_py()))),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=0.5,
        )
        if isinstance(work.stage, CaptionClips) and work.stage.engine_with(gpus) == "vllm":
            from pipeline.llm import captioned

            yield from _counted(_told(captioned(prepared, work, gpus=gpus, options=self.vllm)), orders)
            return
        actors = max(1, gpus)
        forwarded = prepared.map_batches(
            type(f"Forward{work.name}", (_Forward,), {}),
            fn_constructor_args=(work, actors),
            batch_size=work.stage.batch_rows,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_gpus=1 if gpus else 0,
            # Another share than preparation's, so that Ray does not fuse the two and they overlap.
            num_cpus=0.25,
        )
        yield from _counted(_told(forwarded), orders)

    def connect(self) -> None:
        """Start Ray here, or join the cluster at `address`; does nothing when that was done."""
        if ray.is_initialized():
            return
        local: dict[str, Any] = (
            {} if self.address else {"num_cpus": self.workers, "object_store_memory": OBJECT_STORE_BYTES}
        )
        # Ray's C++ core tells of its own workings on stderr, past log_to_driver and logging_level.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        # A driver that is killed would leave some of Ray's processes behind for a minute.
        with leash.tied() if self.address is None else nullcontext(), _hushed():
            ray.init(
                address=self.address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **local,
            )
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        # What a worker raises is raised here, too; Ray's own words about it stay in Ray's log.
        for handler in logging.getLogger("ray.data").handlers:
            if handler.name == "console":
                handler.setLevel(logging.CRITICAL)


@contextmanager
def _hushed() -> Iterator[None]:
    """Without what is written to stderr below Python: Ray's core tells there that it was told to be quiet."""
    sys.stderr.flush()
    own = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def _told(data: ray.data.Dataset) -> Iterator[pa.Table]:
    """The reports of a dataset; a full disk, a lost mount or a directory that cannot be used is told in one
    sentence."""
    try:
        yield from data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        if told := _WORKERS_SENTENCE.search(str(error)):
            raise _ERRORS[told[1]](told[2]) from error
        trouble = next((name for name in MACHINE_TROUBLE if name in str(error)), None)
        if trouble is None:
            raise
        raise ManifestError(
            f"a worker stopped: {trouble}. Mend that and run the same command again; it goes on from here"
        ) from error


def _counted(reports: Iterator[pa.Table], orders: list[Path]) -> Iterator[pa.Table]:
    """The reports, added to the counters that Ray exports to Prometheus (as ray_reelmix_…)."""
    step = _step(orders[0]) if orders else ""
    for given in reports:
        for row in given.to_pylist():
            _count(row, {"step": step, "stage": row["stage"]})
        yield given


def _count(row: dict[str, Any], tags: dict[str, str]) -> None:
    counters = _counters()
    for name, column in _COUNTED.items():
        # A counter takes nothing that is not above 0.
        if row[column] > 0:
            counters[name].inc(row[column], tags)
    for fate, number in (("live", row["rows"] - row["failed"]), ("failed", row["failed"])):
        if number > 0:
            counters["reelmix_rows_total"].inc(number, {**tags, "fate": fate})


@lru_cache(maxsize=1)
def _counters() -> dict[str, metrics.Counter]:
    tags = ("step", "stage")
    one = {"reelmix_rows_total": metrics.Counter("reelmix_rows_total", _ROWS, (*tags, "fate"))}
    return one | {name: metrics.Counter(name, f"{column} so far", tags) for name, column in _COUNTED.items()}


def _step(order: Path) -> str:
    """The step of an order, which lies in OUT/orders/STEP; empty for one that lies elsewhere."""
    steps = [after for folder, after in pairwise(order.parts) if folder == "orders"]
    return steps[-1] if steps else ""


@lru_cache(maxsize=8)
def _opened(opener: Opener) -> Callable[[Path], pa.Table]:
    return opener.open()


class _Forward:
    """A model in an actor of the pool."""

    def __init__(self, work: ModelWork, actors: int) -> None:
        with work.opening(actors):
            self._work = work.opened()

    def __call__(self, batch: Tensors) -> pa.Table:
        return self._work(batch)


def _named(name: str, function: Callable[[pa.Table], Any]) -> Callable[[pa.Table], Any]:
    """The function as Ray shows it: under the names of the stages fused in it."""

    def work(batch: pa.Table) -> Any:
        return function(batch)

    work.__name__ = work.__qualname__ = name
    return work

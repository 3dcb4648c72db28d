"""Where Ray is: orders stream through operators that carry their stages' names; results land in parts, reports come back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data

from pipeline.worker import Opener

# Blocks hold the paths of orders and small reports, so the store never needs more.
OBJECT_STORE_BYTES = 256 << 20


@dataclass(frozen=True)
class Cluster:
    """Which machines: `workers` logical CPUs here, or all those of the cluster at `address`."""

    workers: int
    address: str | None = None

    def run(self, opener: Opener, orders: list[Path]) -> Iterator[pa.Table]:
        """Work off the orders, first ones first; yields one report an order, in the order of completion.

        A worker that dies is replaced and its order done again (the worker's journal ends that after three times).
        """
        self._connect()
        blocks = [pa.table({"order": [str(path)]}) for path in orders]
        function = _named(opener)
        data = ray.data.from_arrow(blocks).map_batches(
            function, batch_size=1, batch_format="pyarrow", zero_copy_batch=True, num_cpus=1
        )
        yield from data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)

    def _connect(self) -> None:
        if ray.is_initialized():
            return
        local: dict[str, Any] = {} if self.address else {"num_cpus": self.workers, "object_store_memory": OBJECT_STORE_BYTES}
        ray.init(address=self.address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **local)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)


@lru_cache(maxsize=8)
def _opened(opener: Opener) -> Callable[[Path], pa.Table]:
    return opener.open()


def _named(opener: Opener) -> Callable[[pa.Table], pa.Table]:
    """A function that Ray shows under the names of the stages fused in it."""

    def work(batch: pa.Table) -> pa.Table:
        return _opened(opener)(Path(batch["order"][0].as_py()))

    work.__name__ = work.__qualname__ = opener.name
    return work

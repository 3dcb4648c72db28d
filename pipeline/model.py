"""A model stage at work: prepared on CPU workers, forwarded in batches across parts, written as parts."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import ManifestError
from manifests.store import inputs
from pipeline.worker import (
    ATTEMPTS,
    apart,
    checked,
    cost,
    failed,
    given_to,
    journaled,
    keyed,
    note,
    overheard,
    refuse,
    report,
    results_of,
    spent,
)
from stages import child
from stages.base import Model, Tensors
from stages.media import Limits

# What travels beside the tensors: a row's id, the digest of what was read of it, its bucket, what its
# preparation cost, and with the first row of an order how many others of it could not be prepared.
BESIDE = ("id", "input", "bucket", "decodes", "cpu_s", "media_s", "unprepared")

T = TypeVar("T")


@dataclass(frozen=True)
class ModelWork:
    """One model stage of one step: `prepared` makes tensors of an order, `opened` is the model, `written`
    keeps results."""

    out: Path
    step: str
    stage: Model
    run: str
    limits: Limits

    @property
    def name(self) -> str:
        return self.stage.name

    def prepared(self, order: Path) -> dict[str, np.ndarray[Any, Any]]:
        """Tensors of the order's rows and what travels beside them; rows that cannot be prepared are written
        as failed."""
        child.configure(self.limits)
        before = spent()
        rows = pq.read_table(order)
        prepare = _prepare(self.stage)
        digests = inputs(rows, self.stage.reads).to_pylist()
        beside = dict(
            zip(rows["id"].to_pylist(), zip(digests, rows["bucket"].to_pylist(), strict=True), strict=True)
        )
        made, errors = self._apart(
            order.with_suffix(f".{self.run}.journal"),
            lambda given: {**prepare(given), "id": _words(given["id"].to_pylist())},
            given_to(self.out, self.stage, rows),
        )
        self._write(failed(self.stage, self._results, errors), beside)
        if not made:
            return {name: _words([]) for name in BESIDE}
        decodes, cpu_s = cost(before)
        tensors = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
        ids = tensors["id"].tolist()
        known = "duration_s" in rows.column_names
        seconds = rows["duration_s"].to_pylist() if known else [0.0] * len(rows)
        lengths = dict(zip(rows["id"].to_pylist(), seconds, strict=True))
        return {
            **tensors,
            "input": _words([beside[i][0] for i in ids]),
            "bucket": _words([beside[i][1] for i in ids]),
            "decodes": np.full(len(ids), decodes / len(ids)),
            "cpu_s": np.full(len(ids), cpu_s / len(ids)),
            "media_s": np.array([lengths[i] or 0.0 for i in ids]),
            "unprepared": np.array([len(errors)] + [0] * (len(ids) - 1)),
        }

    def opened(self) -> Callable[[Tensors], pa.Table]:
        """Opens the model; returns the work on a batch, whose rows fail alone where the model raises."""
        forward = self.stage.forward()

        def work(batch: Tensors) -> pa.Table:
            begun_s = time.process_time()
            at = {id_: n for n, id_ in enumerate(batch["id"].tolist())}
            tensors = {name: tensor for name, tensor in batch.items() if name not in BESIDE}

            def done(rows: pa.Table) -> pa.Table:
                chosen = [at[id_] for id_ in rows["id"].to_pylist()]
                part = {name: tensor[chosen] for name, tensor in tensors.items()}
                return checked(self.stage, forward({**part, "id": batch["id"][chosen]}), self._results, rows)

            with overheard() as said:
                made, errors = self._apart(self._journal(at), done, pa.table({"id": list(at)}))
            return self.finished(made, errors, batch, time.process_time() - begun_s, "\n".join(said))

        return work

    @contextmanager
    def opening(self, actors: int) -> Iterator[None]:
        """Around `opened` in each of so many actors, which Ray starts again without end. Raises ManifestError
        when they die of it."""
        journal = self._noted("opening")
        noted = Counter(journal.read_text().split()) if journal.exists() else Counter[str]()
        if noted["begun"] - noted["opened"] >= ATTEMPTS + actors - 1:
            raise ManifestError(
                f"{self.name} stopped: its process died {ATTEMPTS} times while it opened "
                f"{self.stage.model_label}; see this machine's log (out of memory?), mend it, and run again"
            )
        note(journal, "begun")
        yield
        note(journal, "opened")

    def finished(
        self, made: list[pa.Table], errors: Mapping[str, str], batch: Tensors, own_s: float, said: str = ""
    ) -> pa.Table:
        """Write what was made of a batch and the errors of its other rows; returns the REPORT.

        `batch` holds what travels beside tensors; `own_s` are the CPU seconds after preparation; `said` is
        for the log of the run.
        """
        table = pa.concat_tables([*made, failed(self.stage, self._results, errors)])
        places = zip(batch["input"].tolist(), batch["bucket"].tolist(), strict=True)
        self._write(table, dict(zip(batch["id"].tolist(), places, strict=True)))
        decodes, prepare_s = float(batch["decodes"].sum()), float(batch["cpu_s"].sum())
        unprepared = int(batch["unprepared"].sum())
        numbers = {
            "rows": len(table) + unprepared,
            "failed": len(table) - table["error"].null_count + unprepared,
            "decodes": decodes,
            "media_s": float(batch["media_s"].sum()),
            "cpu_s": own_s + prepare_s,
        }
        return report(self.name, model_calls=1, said=said, **numbers)

    def _apart(
        self, journal: Path, work: Callable[[pa.Table], T], given: pa.Table
    ) -> tuple[list[T], dict[str, str]]:
        """`apart`, where a row that kills its process three times fails too."""
        done = journaled(journal, given, lambda rows: apart(work, rows), lambda row: apart(refuse, row))
        made = [one for some, _ in done for one in some]
        return made, {id_: error for _, errors in done for id_, error in errors.items()}

    def _journal(self, ids: Iterable[str]) -> Path:
        """Of a batch, which Ray gives to another actor when the first one dies."""
        return self._noted(hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16])

    def _noted(self, what: str) -> Path:
        folder = self.out / "orders" / self.step
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.name}-{what}.{self.run}.journal"

    @property
    def _results(self) -> Any:
        return results_of(self.out, self.step, self.stage)

    def _write(self, table: pa.Table, beside: dict[str, tuple[str, str]]) -> None:
        """One part for each bucket among the rows."""
        ids = table["id"].to_pylist()
        for bucket in sorted({beside[id_][1] for id_ in ids}):
            mine = table.filter(pa.array([beside[id_][1] == bucket for id_ in ids]))
            digests = pa.array([beside[id_][0] for id_ in mine["id"].to_pylist()], pa.string())
            self._results.write(keyed(mine, digests, mine["id"], "id"), bucket)


@lru_cache(maxsize=4)
def _prepare(stage: Model) -> Callable[[pa.Table], Tensors]:
    return stage.prepare()


def _words(values: list[str]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=object)

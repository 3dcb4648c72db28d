"""What every step is handed: where, by which recipe, on which machines, under which log."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from filters.rules import Rule, following
from manifests import manifest, verdicts
from manifests.errors import ManifestError
from manifests.manifest import Manifest
from manifests.store import TRANSIENT
from pipeline import stock as stocks
from pipeline.model import ModelWork
from pipeline.orders import count_rows, write_orders
from pipeline.progress import Log, Progress, ordered
from pipeline.recipe import Recipe
from pipeline.stock import Stock
from pipeline.worker import Chain, Opener, report
from stages.base import Map, Model, Stage

FAILED_AFTER_ROWS = 100
# Which step judges the rules that follow which: measures are all taken before any of them rejects a clip.
JUDGES = {"ingest": ("ingest",), "filter": ("split", "score"), "caption": ("caption",)}


class Engine(Protocol):
    """Machines that work off orders."""

    @property
    def workers(self) -> int: ...

    def run(self, opener: Opener, orders: list[Path]) -> Iterator[pa.Table]: ...

    def run_model(self, work: ModelWork, orders: list[Path]) -> Iterator[pa.Table]: ...


@dataclass(frozen=True)
class Context:
    """One run of a recipe over one work directory."""

    out: Path
    recipe: Recipe
    engine: Engine
    log: Log
    run: str

    def chain(self, step: str, stages: tuple[Stage, ...], stock: Stock) -> Stock:
        """The stock after these stages, missing results computed: the first stage that lacks some pulls the
        later ones along."""
        results = stocks.results_for(self.out, step, stages)
        for at, (stage, result) in enumerate(zip(stages, results, strict=True)):
            self._complete(step, stages[at:], stocks.missing(stock, stage, result))
            again = any(earlier.makes_rows for earlier in results[:at])
            stock = stocks.absorbed(stock, stage, result, again=again)
        return stock

    def _complete(
        self, step: str, stages: tuple[Stage, ...], missing: Iterable[tuple[str, pa.Table]]
    ) -> None:
        """Have the first of these stages done where it is missing; map stages that follow a map stage are
        fused with it, but for those whose rows are to be shared anew."""
        resources = self.recipe.resources
        folder, workers = self.out / "orders" / step, self.engine.workers
        orders = write_orders(folder, missing, resources.order_rows, workers, together=stages[0].together)
        if not orders:
            return
        if isinstance(stages[0], Model):
            work = ModelWork(self.out, step, stages[0], self.run, resources.limits)
            self._follow(step, work.name, orders, self.engine.run_model(work, orders))
            return
        chain = Chain(self.out, step, tuple(_fused(stages)), self.run, resources.limits)
        self.work(step, chain, orders)

    def work(self, step: str, opener: Opener, orders: list[Path]) -> None:
        """Have the orders worked off; raises ManifestError when too large a share of the rows fails."""
        self._follow(step, opener.name, orders, self.engine.run(opener, orders))

    def _follow(self, step: str, name: str, orders: list[Path], reports: Iterator[pa.Table]) -> None:
        rows = count_rows(orders)
        progress = Progress(self.log, f"{step}: {name}", rows)
        done = failed = 0
        for given in _of_all(reports, name, rows):
            self.log.add(step, given)
            progress.add(given)
            done += ordered(given, "rows")
            failed += sum(given["failed"].to_pylist())
            self._not_too_many(step, failed, done)
        progress.close()

    def _not_too_many(self, step: str, failed: int, done: int) -> None:
        limit = self.recipe.resources.failed_limit
        if done >= FAILED_AFTER_ROWS and failed > limit * done:
            raise ManifestError(
                f"{step} stopped: {failed} of {done} rows failed, more than run.failed_limit = {limit:.0%}; "
                f"the results so far are kept. Look at {self.out / step}, mend the cause, and run again; "
                f"to go on all the same: --set run.failed_limit=1"
            )

    def up_to_date(self, step: str, inputs: str) -> Manifest | None:
        """The step as committed, if for exactly these inputs and without a failure that may have passed."""
        found = Manifest.find(self.out, step)
        if found is None or found.record["inputs"] != inputs:
            return None
        return None if set(TRANSIENT) & set(found.record["counts"]["failed"]) else found

    def inputs(self, step: str, before: str) -> str:
        """The digest of all that decides a step: what it starts from, its stages, its rules."""
        stages = [
            [stage.fingerprint(), [str(getattr(stage, name)) for name in stage.selects]]
            for stage in self.recipe.stages[step]
        ]
        rules = [rule.identity() for rule in self.rules(step)]
        return hashlib.sha256(json.dumps([before, stages, rules], sort_keys=True).encode()).hexdigest()

    def rules(self, step: str) -> tuple[Rule, ...]:
        """The rules that a step judges, in their order."""
        return tuple(rule for after in JUDGES.get(step, ()) for rule in following(self.recipe.rules, after))

    def commit(self, step: str, stock: Stock, inputs: str, tables: Mapping[str, pa.Table]) -> Manifest:
        """Write rows, verdicts and tables, then the record."""
        folder = self.out / step
        rows: dict[str, str] = {}
        totals: list[dict[str, Any]] = []
        given = [verdicts.SCHEMA.empty_table()]
        for bucket in stock.buckets:
            table, here = stock.read(bucket)
            rows[bucket] = manifest.put(folder, f"rows-{bucket or 'all'}", table)
            totals.append(verdicts.counts(table, here))
            given.append(here)
        published = {
            "verdicts": pa.concat_tables(given).sort_by([("id", "ascending"), ("step", "ascending")]),
            **tables,
        }
        record = {
            "inputs": inputs,
            "rows": rows,
            "tables": {name: manifest.put(folder, name, table) for name, table in sorted(published.items())},
            "counts": _sum(totals),
            "settings": self.settings()[step],
            "rules": [rule.model_dump(mode="json", exclude_none=True) for rule in stock.rules],
        }
        return manifest.commit(self.out, step, record, stocks.results_for(self.out, step, self.maps(step)))

    def settings(self) -> dict[str, dict[str, Any]]:
        """Every stage's settings, by step and stage."""
        return {
            step: {stage.name: stage.settings() for stage in stages}
            for step, stages in self.recipe.stages.items()
        }

    def maps(self, step: str) -> tuple[Stage, ...]:
        """The stages of a step that keep results by row."""
        return tuple(stage for stage in self.recipe.stages[step] if isinstance(stage, Map | Model))


@dataclass
class Timer:
    """Wall seconds between entering and leaving."""

    started: float = 0.0
    wall_s: float = 0.0

    def __enter__(self) -> Timer:
        self.started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.monotonic() - self.started


def _of_all(reports: Iterable[pa.Table], name: str, rows: int) -> Iterator[pa.Table]:
    """The reports, and one of the rows that none of them counts: no model could be prepared for them."""
    left = rows
    for given in reports:
        left -= ordered(given, "rows")
        yield given
    if left > 0:
        yield report(name, rows=left, failed=left)


def _sum(totals: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of buckets as counts of the whole."""
    total: dict[str, Any] = {"rows": 0, "live": 0, "rejected": {}, "duplicates": {}, "failed": {}}
    for counts in totals:
        for name, value in counts.items():
            if isinstance(value, int):
                total[name] += value
                continue
            for reason, number in value.items():
                total[name][reason] = total[name].get(reason, 0) + number
    return total


def _fused(stages: Iterable[Stage]) -> Iterator[Map]:
    """The map stages at the beginning, up to one whose rows are to be shared among workers anew."""
    for stage in stages:
        if not isinstance(stage, Map):
            return
        yield stage
        if stage.spreads:
            return

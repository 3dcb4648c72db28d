"""A run without Ray: orders are worked off in this process, one after the other; can die at a chosen write.

As a script: `python -m tests.pipeline.local IN OUT KILL_AT [KEY=VALUE …]` kills itself with SIGKILL just
before the KILL_AT-th file would get its final name (0 never).
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from filters.rules import Rule
from manifests import manifest, verdicts
from manifests.manifest import Manifest
from pipeline.context import Context
from pipeline.drive import checked_recipe, held
from pipeline.model import ModelWork
from pipeline.progress import Log
from pipeline.recipe import EMBEDDED
from pipeline.steps import run_steps
from pipeline.worker import Opener


@dataclass(frozen=True)
class Here:
    """The engine of these tests."""

    workers: int = 1

    def run(self, opener: Opener, orders: list[Path]) -> Iterator[pa.Table]:
        work = opener.open()
        yield from (work(order) for order in orders)

    def run_model(self, work: ModelWork, orders: list[Path]) -> Iterator[pa.Table]:
        made = [prepared for order in orders if len((prepared := work.prepared(order))["id"])]
        if not made:
            return
        forward = work.opened()
        rows = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
        for start in range(0, len(rows["id"]), work.stage.batch_rows):
            yield forward(
                {name: values[start : start + work.stage.batch_rows] for name, values in rows.items()}
            )


def run_here(
    source: Path, out: Path, *, name: str = EMBEDDED, settings: Iterable[str] = (), only: Iterable[str] = ()
) -> Log:
    """Run a recipe in this process; returns the log with what was spent."""
    recipe = checked_recipe(name, sources=[str(source)], settings=settings)
    with held(out):
        log = Log(out, quiet=True)
        run_steps(Context(out, recipe, Here(), log, f"run{os.getpid()}"), tuple(only))
        log.write({})
    return log


def commit(out: Path, step: str, rows: pa.Table, given: pa.Table, rules: Iterable[Rule]) -> Manifest:
    """A step made by hand: these rows, the verdicts given on them and the rules that judged."""
    record = {
        "inputs": "made",
        "rows": {"": manifest.put(out / step, "rows-all", rows)},
        "tables": {"verdicts": manifest.put(out / step, "verdicts", given)},
        "counts": verdicts.counts(rows, given),
        "rules": [rule.model_dump(mode="json") for rule in rules],
    }
    return manifest.commit(out, step, record, [])


def die_at(write: int) -> None:
    """From now on, the `write`-th rename to a final name is not done: the process is killed instead."""
    real, seen = Path.replace, [0]

    def counted(self: Path, target: Path) -> Path:
        seen[0] += 1
        if seen[0] == write:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, target)

    Path.replace = counted  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    die_at(int(sys.argv[3]))
    run_here(Path(sys.argv[1]), Path(sys.argv[2]), settings=sys.argv[4:])

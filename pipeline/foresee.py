"""What a run would do: per step the rows without a result, and what they will cost at a measured or assumed
rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import files
from manifests.manifest import Manifest
from pipeline import stock as stocks
from pipeline.context import Context
from pipeline.drive import LateCluster, checked_recipe
from pipeline.progress import Log
from pipeline.recipe import Recipe
from pipeline.steps import STEPS, ingest_inputs, to_hash
from stages.ingest import listing

# CPU seconds per megabyte of source, seen on two cores with 720p H.264 of 8 Mb/s (full decode 4.3 s for 9
# MB).
ASSUMED_CPU_S_PER_MB = {
    "ingest": 0.02,
    "split": 0.7,
    "score": 0.5,
    "filter": 0.0,
    "dedup": 0.01,
    "caption": 0.5,
    "mix": 0.01,
    "pack": 1.5,
}
# Packed bytes per source byte, when nothing was packed yet.
ASSUMED_BYTES_SHARE = 0.7


@dataclass(frozen=True)
class Work:
    """Rows to do in a step and the source bytes behind them; None where an earlier step must be done
    first."""

    rows: int
    source_bytes: int
    certain: bool


def foresee(
    name: str, out: Path, *, sources: Iterable[str] = (), settings: Iterable[str] = ()
) -> dict[str, Any]:
    """Per step: state, rows to do, CPU hours, GPU hours, bytes to write, and whether the rate was measured.

    Lists the sources; opens no media and starts no machine. Raises RecipeError as `run` does.
    """
    recipe = checked_recipe(name, sources=sources, settings=settings)
    context = Context(out, recipe, LateCluster(recipe.resources.processes), Log(out, quiet=True), "plan")
    found: dict[str, Any] = {}
    before, work = "", Work(0, 0, certain=True)
    for step in STEPS:
        work = _ingest(context, recipe) if step == "ingest" else _later(context, step, before, work)
        found[step] = _cost(out, step, work)
        before = step
    return {"steps": found, "workers": recipe.resources.processes}


def _ingest(context: Context, recipe: Recipe) -> Work:
    entries = listing.entry_table(
        [e for source in recipe.sources for e in listing.list_entries(source.uri, source.corpus)]
    )
    if context.up_to_date("ingest", ingest_inputs(context, entries)):
        return Work(0, 0, certain=True)
    stage = recipe.stages["ingest"][0]
    (results,) = stocks.results_for(context.out, "ingest", (stage,))
    entries = entries.filter(to_hash(entries))
    todo = results.missing(stocks.wanted(entries.select(sorted({"id", *stage.reads, "size_bytes"})), stage))
    return Work(len(todo), _bytes(todo), certain=len(todo) == 0)


def _later(context: Context, step: str, before: str, earlier: Work) -> Work:
    """Exact when the steps before are up to date; else as many rows as the step before has to do."""
    manifest = Manifest.find(context.out, before)
    if manifest is None or not earlier.certain or earlier.rows:
        return Work(earlier.rows, earlier.source_bytes, certain=False)
    if context.up_to_date(step, context.inputs(step, manifest.digest)):
        return Work(0, 0, certain=True)
    stages = context.maps(step)
    if not stages:
        return Work(manifest.record["counts"]["live"], 0, certain=True)
    (results, *_) = stocks.results_for(context.out, step, stages)
    todo = [rows for _, rows in stocks.missing(stocks.committed(manifest), stages[0], results)]
    return Work(sum(map(len, todo)), sum(map(_bytes, todo)), certain=True)


def _bytes(rows: pa.Table) -> int:
    return sum(size or 0 for size in rows["size_bytes"].to_pylist())


def _cost(out: Path, step: str, work: Work) -> dict[str, Any]:
    rate = _measured_cpu_s_per_row(out, step)
    assumed = ASSUMED_CPU_S_PER_MB[step] * work.source_bytes / 1e6
    packed = int(work.source_bytes * ASSUMED_BYTES_SHARE) if step == "pack" else 0
    return {
        "state": "up to date"
        if work.certain and not work.rows
        else "to do"
        if work.certain
        else "to do, at most",
        "rows": work.rows,
        "cpu_hours": (assumed if rate is None else rate * work.rows) / 3600,
        "gpu_hours": 0.0,
        "write_bytes": packed,
        "rate": "assumed" if rate is None else "measured",
    }


def _measured_cpu_s_per_row(out: Path, step: str) -> float | None:
    """From the latest run that did rows in this step."""
    for path in sorted((out / "runs").glob("*.json"), reverse=True):
        numbers = files.read_json(path)["steps"].get(step, {})
        if numbers.get("rows"):
            return float(numbers["cpu_s"] / numbers["rows"])
    return None


def table(value: dict[str, Any]) -> str:
    """The plan as text for people."""
    lines = [f"{'step':<8}{'state':<18}{'rows':>8}{'cpu h':>9}{'gpu h':>7}{'write MB':>10}  rate"]
    for step, cost in value["steps"].items():
        numbers = f"{cost['rows']:>8}{cost['cpu_hours']:>9.3f}{cost['gpu_hours']:>7.1f}"
        numbers += f"{cost['write_bytes'] / 1e6:>10.1f}"
        lines.append(f"{step:<8}{cost['state']:<18}{numbers}  {cost['rate']}")
    hours = sum(cost["cpu_hours"] for cost in value["steps"].values())
    minutes = hours * 60 / value["workers"]
    lines.append(f"{hours:.3f} CPU hours, about {minutes:.1f} minutes on {value['workers']} workers")
    return "\n".join(lines)

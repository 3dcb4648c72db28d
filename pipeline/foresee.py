"""What a run would do: per step the rows without a result, and what they will cost at a measured or assumed
rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import files
from manifests.manifest import Manifest
from pipeline import stock as stocks
from pipeline.context import Context
from pipeline.drive import LateCluster, checked_recipe, need_sources
from pipeline.progress import Log
from pipeline.recipe import Recipe
from pipeline.shards import is_packed
from pipeline.steps import STEPS, ingest_inputs, to_hash
from pipeline.stock import Stock
from stages.base import Map, Stage
from stages.ingest import listing

# "To write anew": no row lacks a result, but verdicts, choices or shards come out anew. "Uncertain": an
# earlier step changes first, so that the rows are those that it hands on, or that lack a result so far.
UP_TO_DATE, TO_DO, ANEW, UNCERTAIN = "up to date", "to do", "to write anew", "to do, uncertain"
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
    """What a step has to do: `rows` lack a result of some stage, `turns` counts a row once for each chain of
    stages that it goes through, as the log of a run does, `source_bytes` are those of the assets behind them.

    `since` is the first step that is only written anew: a row that died there or later may live again.
    """

    state: str = UP_TO_DATE
    rows: int = 0
    turns: int = 0
    source_bytes: int = 0
    since: str = ""


def foresee(
    name: str, out: Path, *, sources: Iterable[str] = (), settings: Iterable[str] = ()
) -> dict[str, Any]:
    """Per step: state, rows to do, CPU hours, bytes to write, and whether the rate was measured.

    Lists the sources; opens no media and starts no machine. Raises RecipeError as `run` does.
    """
    recipe = checked_recipe(name, sources=sources, settings=settings)
    need_sources(recipe)
    context = Context(out, recipe, LateCluster(recipe.resources.processes), Log(out, quiet=True), "plan")
    found: dict[str, Any] = {}
    before, work = "", Work()
    for step in STEPS:
        work = _ingest(context, recipe) if step == "ingest" else _later(context, step, before, work)
        found[step] = _cost(out, step, work)
        before = step
    return {"steps": found, "workers": recipe.resources.processes}


def _ingest(context: Context, recipe: Recipe) -> Work:
    """Files to hash; where there are none, what was ingested before and is to be probed anew."""
    entries = listing.entry_table(
        [e for source in recipe.sources for e in listing.list_entries(source.uri, source.corpus)]
    )
    if context.up_to_date("ingest", ingest_inputs(context, entries)):
        return Work()
    hashed, probe = recipe.stages["ingest"]
    (results,) = stocks.results_for(context.out, "ingest", (hashed,))
    media = entries.filter(to_hash(entries)).select(sorted({"id", *hashed.reads, "size_bytes"}))
    if len(todo := results.missing(stocks.wanted(media, hashed))):
        return Work(TO_DO, len(todo), 2 * len(todo), _bytes(todo, "id"))
    manifest = Manifest.find(context.out, "ingest")
    if manifest is None:
        return Work(TO_DO, len(media), len(media), _bytes(media, "id"))
    work = _lacking(context, "ingest", (probe,), _lifted(manifest, "ingest"))
    return work if work.rows else Work(ANEW, since="ingest")


def _later(context: Context, step: str, before: str, earlier: Work) -> Work:
    """Exact when the steps before are up to date."""
    manifest, stages = Manifest.find(context.out, before), context.maps(step)
    if earlier.state == UP_TO_DATE and manifest:
        if _is_done(context, step, manifest):
            return Work()
        work = _lacking(context, step, stages, stocks.committed(manifest))
        return work if work.rows else Work(ANEW, since=step)
    handed_on = earlier.rows * sum(1 for _ in groupby(stages, chained))
    carried = replace(earlier, state=UNCERTAIN, turns=handed_on)
    if manifest is None:
        return carried
    try:
        own = _lacking(context, step, stages, _lifted(manifest, earlier.since))
    except KeyError:
        # It was made by a recipe that had no such column: nothing of it serves this one.
        return carried
    return replace(max(carried, own, key=lambda work: work.rows), state=UNCERTAIN, since=earlier.since)


def _is_done(context: Context, step: str, manifest: Manifest) -> bool:
    found = context.up_to_date(step, context.inputs(step, manifest.digest))
    return found is not None and (step != "pack" or is_packed(found))


def _lifted(manifest: Manifest, since: str) -> Stock:
    """What a step left, without what the steps from `since` on have rejected or taken for duplicates."""
    steps = list(STEPS)
    lifted = pa.array(steps[steps.index(since) :] if since else [], pa.string())
    stock = stocks.committed(manifest)

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        rows, given = stock.read(bucket)
        judged = pc.and_(pc.is_in(given["step"], value_set=lifted), pc.not_equal(given["fate"], "failed"))
        return rows, given.filter(pc.invert(judged))

    return Stock(stock.buckets, read)


def _lacking(context: Context, step: str, stages: tuple[Stage, ...], stock: Stock) -> Work:
    """The rows that lack a result: as many as lack that of the stage which lacks most."""
    found = list(_missing(context, step, stages, stock))
    turns = sum(
        max(len(rows) for _, rows in chain) for _, chain in groupby(found, lambda one: chained(one[0]))
    )
    most = max((rows for _, rows in found), key=len, default=None)
    if most is None:
        return Work(TO_DO)
    return Work(TO_DO, len(most), turns, _bytes(most, "asset_id"))


def _missing(
    context: Context, step: str, stages: tuple[Stage, ...], stock: Stock
) -> Iterator[tuple[Stage, pa.Table]]:
    """Each stage with the rows that lack its result; where an earlier one is missing too, they lack both."""
    for stage, results in zip(stages, stocks.results_for(context.out, step, stages), strict=True):
        todo = stocks.missing(stock, stage, results)
        rows = [rows.select(["asset_id", "size_bytes"]) for _, rows in todo]
        yield stage, pa.concat_tables(rows) if rows else pa.table({"asset_id": [], "size_bytes": []})
        stock = stocks.absorbed(stock, stage, results)


def chained(stage: Stage) -> str:
    """Map stages side by side go through a worker together, a model by itself."""
    return "" if isinstance(stage, Map) else stage.name


def _bytes(rows: pa.Table, asset: str) -> int:
    """Each asset once, however many clips are made of it."""
    sizes = dict(zip(rows[asset].to_pylist(), rows["size_bytes"].to_pylist(), strict=True))
    return sum(size or 0 for size in sizes.values())


def _cost(out: Path, step: str, work: Work) -> dict[str, Any]:
    rate = measured_cpu_s_per_turn(out, step)
    assumed = ASSUMED_CPU_S_PER_MB[step] * work.source_bytes / 1e6
    packed = int(work.source_bytes * ASSUMED_BYTES_SHARE) if step == "pack" else 0
    return {
        "state": work.state,
        "rows": work.rows,
        "cpu_hours": (assumed if rate is None else rate * work.turns) / 3600,
        "write_bytes": packed,
        "rate": "assumed" if rate is None else "measured",
    }


def measured_cpu_s_per_turn(out: Path, step: str) -> float | None:
    """CPU seconds of one turn (see `Work`), from the latest run that did rows in this step; or None."""
    for path in sorted((out / "runs").glob("*.json"), reverse=True):
        numbers = files.read_json(path)["steps"].get(step, {})
        if numbers.get("turns"):
            return float(numbers["cpu_s"] / numbers["turns"])
    return None


def table(value: dict[str, Any]) -> str:
    """The plan as text for people."""
    lines = [f"{'step':<8}{'state':<18}{'rows':>8}{'cpu h':>9}{'write MB':>10}  rate"]
    for step, cost in value["steps"].items():
        numbers = f"{cost['rows']:>8}{cost['cpu_hours']:>9.3f}{cost['write_bytes'] / 1e6:>10.1f}"
        lines.append(f"{step:<8}{cost['state']:<18}{numbers}  {cost['rate']}")
    hours = sum(cost["cpu_hours"] for cost in value["steps"].values())
    minutes = hours * 60 / value["workers"]
    lines.append(f"{hours:.3f} CPU hours, about {minutes:.1f} minutes on {value['workers']} workers")
    return "\n".join(lines)

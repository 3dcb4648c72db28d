"""What a work directory holds, in numbers: rows by step and fate and what the last run spent, what each rule
took, what is kept of each corpus, the shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manifests import files
from manifests.manifest import Manifest, finished
from pipeline.progress import last_run
from pipeline.retention import corpora
from pipeline.rulings import effects
from pipeline.show import aligned, cut, one_line
from pipeline.stale import says, stale_steps

SPENT = ("media_s", "wall_s", "cpu_s", "decodes", "model_calls")
FATES = ("rejected", "duplicates", "failed")
LINE = 80


def summary(out: Path, step: str | None = None) -> dict[str, Any]:
    """Counts by step as DESIGN.md section 8 fixes them: rows == live + rejected + duplicates + failed, at
    every step.

    What was spent is that of the last run: nought for a step that was up to date. `stale` names the step that
    changed since a step was made, or is null. `rules` says by step what each rule takes alone, what only it
    takes, and what it takes here; `corpora` what became of each corpus by the last of these steps.
    Raises ManifestError for a folder without a finished step.
    """
    every = finished(out)
    found = {step: Manifest.open(out, step)} if step else every
    spent, stale = last_run(out), stale_steps(every)
    steps = {
        name: {**_step(manifest, spent.get(name, {})), "stale": stale.get(name)}
        for name, manifest in found.items()
    }
    return {
        "steps": steps,
        "rules": {name: taken for name, manifest in found.items() if (taken := effects(manifest))},
        "corpora": corpora(list(found.values())[-1]),
        "shards": shards(out) if "pack" in found else [],
    }


def _step(manifest: Manifest, spent: dict[str, Any]) -> dict[str, Any]:
    counts = dict(manifest.record["counts"])
    numbers = {name: spent.get(name, 0) for name in SPENT}
    if manifest.step != "ingest":
        return {**counts, **numbers}
    return {**counts, **numbers, "sources": _sources(manifest)}


def _sources(manifest: Manifest) -> dict[str, int]:
    """Every listed file by what became of it; their sum is the number of files."""
    sources = manifest.table("sources")
    seen: set[str] = set()
    counts = {"assets": 0, "copies": 0, "texts": 0, "ignored": 0}
    names = {"text": "texts", "ignored": "ignored"}
    for role, asset in zip(sources["role"].to_pylist(), sources["asset_id"].to_pylist(), strict=True):
        counts[names.get(role, "copies" if asset in seen else "assets")] += 1
        seen.add(asset)
    return counts


def shards(out: Path) -> list[dict[str, Any]]:
    """Each packed shard: its dataset, file, samples, bytes and digest."""
    found: list[dict[str, Any]] = []
    for path in sorted((out / "pack").glob("*/dataset.json")):
        for shard in _listed(out, path):
            tar = f"{path.parent.name}/shards/{shard['name']}.tar"
            found.append(
                {"tar": tar, **{k: shard[k] for k in ("samples", "tar_bytes", "media_s", "tar_sha256")}}
            )
    return found


def _listed(out: Path, path: Path) -> list[dict[str, Any]]:
    with files.reading(out, path):
        try:
            return list(files.read_json(path)["shards"])
        except (KeyError, TypeError) as error:
            raise ValueError("it lists no shards") from error


def table(value: dict[str, Any]) -> str:
    """The summary as text for people, in lines of at most 80 cells: a line a step, why rows went, what each
    rule took, what is kept of each corpus, the shards."""
    parts = [_steps(value["steps"]), *_reasons(value["steps"])]
    parts += [_rules(step, taken) for step, taken in value["rules"].items()]
    if value["corpora"]:
        parts.append(_corpora(value["corpora"]))
    if value["shards"]:
        shards = [[s["tar"], s["samples"], f"{s['tar_bytes'] / 1e6:.1f}"] for s in value["shards"]]
        parts.append(aligned(["shard", "samples", "MB"], shards, line_cells=LINE))
    return "\n\n".join(parts)


def _steps(steps: dict[str, Any]) -> str:
    head = ["step", "rows", "live", "rejected", "duplic.", "failed", "decodes", "calls", "wall", "cpu"]
    rows = []
    for step, numbers in steps.items():
        sums = [sum(numbers[fate].values()) for fate in FATES]
        spent = [
            numbers["decodes"],
            numbers["model_calls"],
            _time(numbers["wall_s"]),
            _time(numbers["cpu_s"]),
        ]
        rows.append([step, numbers["rows"], numbers["live"], *sums, *spent])
    text = aligned(head, rows, line_cells=LINE)
    stale = says({name: step["stale"] for name, step in steps.items() if step["stale"]})
    return f"{text}\n  {stale}" if stale else text


def _time(seconds: float) -> str:
    """Seconds in at most six characters."""
    if seconds < 1000:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} m" if seconds < 60_000 else f"{seconds / 3600:.0f} h"


def _reasons(steps: dict[str, Any]) -> list[str]:
    last = list(steps.values())[-1]
    rows = [[fate, name, number] for fate in FATES for name, number in sorted(last[fate].items())]
    return [aligned(["rows went as", "by", "rows"], rows, line_cells=LINE)] if rows else []


def _rules(step: str, taken: list[dict[str, Any]]) -> str:
    """What each rule of a step takes: were it alone, what no other takes, and at its place in the order."""
    rows = [
        [f"{line['rule']}{'*' if line['otherwise'] == 'recaption' else ''}"]
        + [line[kind] for kind in ("alone", "only", "here")]
        + [line["keep"]]
        for line in taken
    ]
    text = aligned([f"rule of {step}", "alone", "only it", "here", "keeps when"], rows, line_cells=LINE)
    starred = any(line["otherwise"] == "recaption" for line in taken)
    note = "\n  * takes no row: replaces its text; counts rows that no rule rejects"
    return f"{text}{note}" if starred else text


def _corpora(corpora: dict[str, dict[str, Any]]) -> str:
    head = ["corpus", "rows", "live", "rejected", "duplic.", "failed", "hours", "kept h"]
    names = ("rows", "live", *FATES)
    rows = [
        [name, *(line[n] for n in names), round(line["media_h"], 3), round(line["kept_h"], 3)]
        for name, line in corpora.items()
    ]
    far = {name: line["loses"] for name, line in corpora.items() if line["loses"]}
    marks = [f"  {cut(one_line(name), 30)} {loses}" for name, loses in far.items()]
    return "\n".join([aligned(head, rows, line_cells=LINE), *marks])

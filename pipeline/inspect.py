"""What a work directory holds, in numbers: per step the rows by fate and what the last run spent, then the
shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manifests import files
from manifests.errors import ManifestError
from manifests.manifest import Manifest
from manifests.verdicts import STEPS
from pipeline.progress import last_run
from pipeline.stale import says, stale_steps

SPENT = ("media_s", "wall_s", "cpu_s", "decodes", "model_calls")


def summary(out: Path, step: str | None = None) -> dict[str, Any]:
    """Counts by step as DESIGN.md section 8 fixes them: rows == live + rejected + duplicates + failed, at
    every step.

    What was spent is that of the last run: nought for a step that was up to date. `stale` names the step that
    changed since a step was made, or is null. Raises ManifestError for a folder without a finished step.
    """
    every = {name: m for name in STEPS if (m := Manifest.find(out, name))}
    found = {name: m for name, m in every.items() if step in (None, name)}
    if not found:
        raise ManifestError(f"{out} holds no finished {step or 'step'}; `reelmix run --out {out}` makes one")
    spent, stale = last_run(out), stale_steps(every)
    steps = {
        name: {**_step(manifest, spent.get(name, {})), "stale": stale.get(name)}
        for name, manifest in found.items()
    }
    return {"steps": steps, "shards": shards(out) if "pack" in found else []}


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
    """The summary as text for people: a line a step, then why rows went, then the shards."""
    widths = {
        "rows": 8,
        "live": 8,
        "rejected": 10,
        "duplicates": 12,
        "failed": 8,
        "decodes": 9,
        "model calls": 13,
    }
    widths |= {"wall s": 9, "cpu s": 9}
    head = f"{'step':<8}" + "".join(f"{name:>{width}}" for name, width in widths.items())
    lines = [head]
    for step, numbers in value["steps"].items():
        sums = [sum(numbers[fate].values()) for fate in ("rejected", "duplicates", "failed")]
        calls = f"{numbers['decodes']:>9}{numbers['model_calls']:>13}"
        spent = f"{calls}{numbers['wall_s']:>9.1f}{numbers['cpu_s']:>9.1f}"
        lines.append(
            f"{step:<8}{numbers['rows']:>8}{numbers['live']:>8}{sums[0]:>10}{sums[1]:>12}{sums[2]:>8}{spent}"
        )
    if stale := says({name: step["stale"] for name, step in value["steps"].items() if step["stale"]}):
        lines.append(f"  {stale}")
    last = list(value["steps"].values())[-1]
    for fate in ("rejected", "duplicates", "failed"):
        lines += [f"  {fate}: {name} {number}" for name, number in sorted(last[fate].items())]
    for shard in value["shards"]:
        lines.append(f"  {shard['tar']}: {shard['samples']} samples, {shard['tar_bytes'] / 1e6:.1f} MB")
    return "\n".join(lines)

"""One sample's whole way: files, asset, clip, what was measured, what was decided and why, where it lies
now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from filters.rules import Rule
from manifests import columns, files, verdicts
from manifests.errors import ManifestError, RecipeError
from manifests.manifest import Manifest


def trace(out: Path, wanted: str) -> dict[str, Any]:
    """Everything known of the row or asset whose id begins with `wanted`, or of the file of that URI.

    Rules and thresholds are those that the steps recorded when they judged. Raises RecipeError when nothing,
    or more than one row of more than one asset, answers to it.
    """
    steps = [m for step in verdicts.STEPS if (m := Manifest.find(out, step))]
    if not steps:
        raise ManifestError(f"{out} holds no finished step; `reelmix run --out {out}` makes one")
    row = _one(steps[-1], wanted)
    return {
        "id": row["id"],
        "files": _files(steps[0], row),
        "row": {name: value for name, value in row.items() if _shown(name) and value is not None},
        "rules": [_ruling(rule, row) for rule in _rules(steps)],
        "verdicts": _verdicts(steps[-1], row["id"]),
        "neighbours": _neighbours(out, row["id"]),
        "shard": row.get("shard"),
        "clips": _clips(steps[-1], row),
    }


def _one(last: Manifest, wanted: str) -> dict[str, Any]:
    rows = last.all_rows()
    found = rows.filter(pc.or_(pc.starts_with(rows["id"], wanted), pc.starts_with(rows["asset_id"], wanted)))
    if not len(found):
        found = rows.filter(pc.equal(rows["source_uri"], wanted))
    if not len(found):
        asset = _asset_of(last.out, wanted)
        found = rows.filter(pc.equal(rows["asset_id"], asset))
    if not len(found):
        raise RecipeError(f"no row's id begins with {wanted!r} and no file of that name was ingested")
    if len(found) > 1 and len(set(found["asset_id"].to_pylist())) > 1:
        ids = ", ".join(found["id"].to_pylist()[:5])
        raise RecipeError(f"{len(found)} rows answer to {wanted!r}, among them {ids}; give more digits")
    return dict(found.to_pylist()[0])


def _asset_of(out: Path, uri: str) -> str:
    sources = Manifest.open(out, "ingest").table("sources")
    match = sources.filter(pc.equal(sources["source_uri"], uri))["asset_id"].to_pylist()
    return match[0] if match and match[0] else ""


def _files(ingest: Manifest, row: dict[str, Any]) -> list[dict[str, Any]]:
    sources = ingest.table("sources")
    mine = sources.filter(pc.equal(sources["asset_id"], row["asset_id"]))
    return list(mine.select(["source_uri", "corpus", "size_bytes", "source_texts", "error"]).to_pylist())


def _shown(name: str) -> bool:
    return (
        name in columns.COLUMNS and columns.COLUMNS[name].group != "fate" and not columns.COLUMNS[name].side
    )


def _rules(steps: Iterable[Manifest]) -> Iterator[Rule]:
    for step in steps:
        for rule in step.record.get("rules", []):
            try:
                yield Rule.model_validate_json(json.dumps(rule))
            except ValidationError as error:
                path = step.folder / "record.json"
                raise ManifestError(f"{path} holds a rule that is none; {files.remedy(step.out)}") from error


def _ruling(rule: Rule, row: dict[str, Any]) -> dict[str, Any]:
    values = {name: row.get(name) for name in rule.expression.columns}
    return {"rule": rule.name, "after": rule.after, "keep": rule.spelled(), "values": values}


def _verdicts(last: Manifest, id_: str) -> list[dict[str, Any]]:
    given = last.table("verdicts")
    return list(given.filter(pc.equal(given["id"], id_)).to_pylist())


def _neighbours(out: Path, id_: str) -> list[dict[str, Any]]:
    found = Manifest.find(out, "dedup")
    if found is None:
        return []
    pairs = found.table("pairs")
    mine: pa.Table = pairs.filter(pc.or_(pc.equal(pairs["a"], id_), pc.equal(pairs["b"], id_)))
    return [{**pair, "other": pair["b"] if pair["a"] == id_ else pair["a"]} for pair in mine.to_pylist()]


def _clips(last: Manifest, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the same asset, in time."""
    rows = last.all_rows(["id", "asset_id", "start_s", "end_s"])
    fates = verdicts.with_fates(
        rows.filter(pc.equal(rows["asset_id"], row["asset_id"])), last.table("verdicts")
    )
    return list(fates.drop_columns(["asset_id"]).sort_by("start_s").to_pylist())


def lines(value: dict[str, Any]) -> Iterator[str]:
    """The trace as text for people."""
    yield f"row {value['id']}"
    for file in value["files"]:
        yield f"  file {file['source_uri']} ({file['size_bytes']} bytes, corpus {file['corpus']})"
        yield from (f"    text: {text}" for text in file["source_texts"])
    yield from (f"  {name} = {_text(held)}" for name, held in value["row"].items())
    for ruling in value["rules"]:
        held = ", ".join(f"{name} = {_text(v)}" for name, v in ruling["values"].items())
        yield f"  rule {ruling['rule']} (after {ruling['after']}): keep {ruling['keep']}; {held}"
    for pair in value["neighbours"]:
        yield f"  neighbour {pair['other']}: {pair['level']}, distance {pair['distance']:g}"
    for verdict in value["verdicts"]:
        of = f" of {verdict['of']}" if verdict["of"] else ""
        what = f"{verdict['fate']} by {verdict['reason']}{of}: {verdict['detail']}"
        yield f"  verdict at {verdict['step']}: {what}"
    yield f"  shard {value['shard']}" if value["shard"] else "  in no shard"
    if len(value["clips"]) > 1:
        yield f"  one of {len(value['clips'])} clips of its asset:"
        yield from (f"    {_clip(clip)}" for clip in value["clips"])


def _clip(clip: dict[str, Any]) -> str:
    fate = next((f"{name} {clip[name]}" for name in verdicts.COLUMNS if clip[name]), "live")
    return f"{clip['id']}  {_text(clip['start_s'])} s to {_text(clip['end_s'])} s  {fate}"


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)

"""One sample's whole way: files, then every step with the row it was, what was measured, what each rule said,
and where it lies now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import verdicts
from manifests.errors import RecipeError
from manifests.manifest import Manifest, finished
from manifests.sql import query
from pipeline.rulings import recorded, ruling
from pipeline.show import cut
from pipeline.wrote import changed, stages_of

# For people: characters of a value, and values of a list.
LONGEST, FEW = 200, 3
# A name is offered for another from this similarity on (Jaro and Winkler, 0 to 1).
ALIKE = 0.8


def trace(out: Path, wanted: str) -> dict[str, Any]:
    """Everything known of the row whose id begins with `wanted`, or of every row of the asset or file that
    answers to it.

    `files` are those of the asset; each of `rows`, in time, has `steps`: per step the `id` it had there, what
    `wrote` by stage, `rules` as they were judged (`pipeline.rulings.ruling`), `verdicts`, and `live`; then
    its `neighbours` and `shard`. Raises RecipeError when nothing, or rows of more than one asset, answer.
    """
    steps = list(finished(out).values())
    asset, ids = _found(steps, wanted)
    tables = [(step, _of_asset(step, asset)) for step in steps]
    given = steps[-1].table("verdicts")
    return {
        "asset_id": asset,
        "files": _files(steps[0], asset),
        "rows": [_way(tables, given, id_) | _place(out, tables[-1][1], id_) for id_ in ids],
    }


def _found(steps: list[Manifest], wanted: str) -> tuple[str, list[str]]:
    """The asset that is meant and, of its rows as they are now, the ids of those that are, in time."""
    last = steps[-1]
    names = ["id", "asset_id", "source_uri", *({"start_s"} & _names(last))]
    rows = last.all_rows(names)
    found = rows.filter(pc.starts_with(rows["id"], wanted))
    if len(found) != 1:
        found = rows.filter(
            pc.or_(pc.starts_with(rows["id"], wanted), pc.starts_with(rows["asset_id"], wanted))
        )
    if not len(found):
        found = rows.filter(pc.equal(rows["source_uri"], wanted))
    if not len(found):
        found = rows.filter(pc.equal(rows["asset_id"], _asset_of(steps[0], wanted)))
    if not len(found):
        told = f"no row's id begins with {wanted!r} and no file of that name was ingested"
        raise RecipeError(f"{told}{_alike(steps[0], wanted)}")
    if len(assets := pc.unique(found["asset_id"])) > 1:
        ids = ", ".join(found["id"].to_pylist()[:5])
        raise RecipeError(f"{len(found)} rows answer to {wanted!r}, among them {ids}; give more digits")
    order = [(name, "ascending") for name in names[3:]]
    return assets[0].as_py(), found.sort_by([*order, ("id", "ascending")])["id"].to_pylist()


def _names(step: Manifest) -> set[str]:
    return set(step.rows(step.buckets()[0]).column_names) if step.buckets() else set()


def _asset_of(ingest: Manifest, uri: str) -> str:
    sources = ingest.table("sources")
    match = sources.filter(pc.equal(sources["source_uri"], uri))["asset_id"].to_pylist()
    return match[0] if match and match[0] else ""


def _alike(ingest: Manifest, uri: str) -> str:
    """The ingested file whose name is most like one that is not there; empty when none is."""
    ask = "select source_uri from sources where jaro_winkler_similarity(source_uri, $uri) > $least order by "
    ask += "jaro_winkler_similarity(source_uri, $uri) desc, source_uri limit 1"
    found = query(ask, {"sources": ingest.table("sources")}, {"uri": uri, "least": ALIKE})
    return "".join(f"; did you mean {name!r}?" for name in found["source_uri"].to_pylist())


def _of_asset(step: Manifest, asset: str) -> pa.Table:
    """An asset's rows, of the one bucket that they lie in."""
    rows = [step.rows(bucket) for bucket in step.buckets() if asset.startswith(bucket)]
    here = pa.concat_tables(rows)
    return here.filter(pc.equal(here["asset_id"], asset))


def _files(ingest: Manifest, asset: str) -> list[dict[str, Any]]:
    sources = ingest.table("sources")
    mine = sources.filter(pc.equal(sources["asset_id"], asset))
    return list(mine.select(["source_uri", "corpus", "size_bytes", "source_texts", "error"]).to_pylist())


def _way(tables: list[tuple[Manifest, pa.Table]], given: pa.Table, id_: str) -> dict[str, Any]:
    """A row through every step, followed back from what it is now to its parents.

    A step that was made anew since may lack the row; it is left out.
    """
    steps: list[dict[str, Any]] = []
    at: str | None = id_
    for (step, rows), (_, earlier) in zip(
        reversed(tables), [*reversed(tables[:-1]), (None, None)], strict=True
    ):
        if at is None or not (values := _one(rows, at)):
            continue
        before = _one(earlier, at) or _one(earlier, values["parent_id"])
        row = rows.filter(pc.equal(rows["id"], at))
        steps.append(_step(step, row, changed(values, before, stages_of(step)), given))
        at = before.get("id", at)
    return {"id": id_, "steps": steps[::-1]}


def _one(rows: pa.Table | None, id_: str | None) -> dict[str, Any]:
    found = [] if rows is None or id_ is None else rows.filter(pc.equal(rows["id"], id_)).to_pylist()
    return dict(found[0]) if found else {}


def _step(step: Manifest, row: pa.Table, wrote: dict[str, Any], given: pa.Table) -> dict[str, Any]:
    """What became of a row in one step."""
    mine = given.filter(pc.equal(given["id"], row["id"][0])).to_pylist()
    until = verdicts.STEPS.index(step.step)
    now = [verdict for verdict in mine if verdicts.STEPS.index(verdict["step"]) <= until]
    here = [verdict for verdict in now if verdict["step"] == step.step]
    # Only rules say which others a row fails: what is dead otherwise was not judged.
    judged = len(here) == len(now) and all(verdict["failing"] is not None for verdict in here)
    return {
        "step": step.step,
        "id": row["id"][0].as_py(),
        "parent_id": row["parent_id"][0].as_py(),
        "wrote": wrote,
        "rules": [ruling(rule, row) for rule in recorded(step)] if judged else [],
        "verdicts": here,
        "live": not now,
    }


def _place(out: Path, last: pa.Table, id_: str) -> dict[str, Any]:
    """Where a row is now: what lies beside it in the neighbour graph, when it was, and its shard."""
    row = _one(last, id_)
    place = {name: row.get(name) for name in ("start_s", "end_s", "shard", "shard_index")}
    return place | {"neighbours": _neighbours(out, id_)}


def _neighbours(out: Path, id_: str) -> list[dict[str, Any]]:
    found = Manifest.find(out, "dedup")
    if found is None:
        return []
    pairs = found.table("pairs")
    mine: pa.Table = pairs.filter(pc.or_(pc.equal(pairs["a"], id_), pc.equal(pairs["b"], id_)))
    return [{**pair, "other": pair["b"] if pair["a"] == id_ else pair["a"]} for pair in mine.to_pylist()]


def lines(value: dict[str, Any]) -> Iterator[str]:
    """The trace as text for people: one row step by step, of several one line each."""
    yield f"asset {value['asset_id']}"
    for file in value["files"]:
        yield f"  file {file['source_uri']} ({file['size_bytes']} bytes, corpus {file['corpus']})"
        yield from (f"    text: {text}" for text in file["source_texts"] or [])
    if len(value["rows"]) == 1:
        yield from _whole(value["rows"][0])
        return
    yield f"  {len(value['rows'])} clips; name one by its id to see each value and threshold:"
    yield from (f"  {_brief(row)}" for row in value["rows"])


def _whole(row: dict[str, Any]) -> Iterator[str]:
    yield f"row {row['id']}{_when(row)}"
    for step in row["steps"]:
        yield f"{step['step']}: {'live' if step['live'] else _died(row, step)}"
        if step["id"] != row["id"]:
            yield f"  as row {step['id']}"
        for stage, written in step["wrote"].items():
            yield from _written(stage, written)
        yield from (f"  {_ruled(one)}" for one in step["rules"])
        yield from (f"  verdict: {_verdict(one)}" for one in step["verdicts"])
    for pair in row["neighbours"]:
        yield f"neighbour {pair['other']}: {_near(pair)}"
    yield f"shard {row['shard']}, sample {row['shard_index']}" if row["shard"] else "in no shard"


def _when(row: dict[str, Any]) -> str:
    return "" if row["start_s"] is None else f"  {_text(row['start_s'])} s to {_text(row['end_s'])} s"


def _died(row: dict[str, Any], step: dict[str, Any]) -> str:
    """Where a row that is not live met its fate."""
    fatal = next(one for one in row["steps"] if one["verdicts"])
    at = "" if fatal is step else f" at {fatal['step']}"
    return f"{fatal['verdicts'][0]['fate']}{at}"


def _written(stage: str, written: dict[str, Any]) -> Iterator[str]:
    known = {name: value for name, value in written.items() if value is not None}
    if known:
        yield f"  {stage or 'given'}:"
    yield from (f"    {name} = {_text(value)}" for name, value in known.items())


def _ruled(one: dict[str, Any]) -> str:
    held = ", ".join(f"{name} = {_text(value)}" for name, value in one["values"].items())
    by = ", ".join(_margin(t) for t in one["thresholds"] if t["by"] is not None)
    outcome = one["outcome"]
    if outcome == "unscored":
        outcome = f"unscored, {one['unscored']}"
    if outcome == "failed" and one["otherwise"] == "recaption":
        outcome = "failed, its text is replaced"
    return f"rule {one['rule']}: {outcome}; keep {one['keep']}; {held}{f' ({by})' if by else ''}"


def _margin(threshold: dict[str, Any]) -> str:
    by = threshold["by"]
    return f"{'inside' if by >= 0 else 'beyond'} by {_text(abs(by))}"


def _verdict(one: dict[str, Any]) -> str:
    of = f" of {one['of']}" if one["of"] else ""
    others = [name for name in one["failing"] or [] if name != one["reason"]]
    more = f"; fails {', '.join(others)} too" if others else ""
    return f"{one['fate']} by {one['reason']}{of}: {one['detail']}{more}"


def _near(pair: dict[str, Any]) -> str:
    known = [f"{name} {_text(v)}" for name, v in pair.items() if isinstance(v, float)]
    return f"{pair['level']}, {', '.join(known)}"


def _brief(row: dict[str, Any]) -> str:
    """A row on one line: when, how far it came, and why no further."""
    fatal = next((step for step in row["steps"] if step["verdicts"]), None)
    fate = (
        f"{fatal['step']}: {_verdict(fatal['verdicts'][0])}"
        if fatal
        else f"live, {row['shard'] or 'not packed'}"
    )
    return f"{row['id']}{_when(row)}  {fate}"


def _text(value: Any) -> str:
    """A value for people: numbers to six digits, long lists by their length and their beginning."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and len(value) > FEW:
        return f"[{', '.join(map(_text, value[:FEW]))}, …] ({len(value)} values)"
    return cut(str(value), LONGEST)

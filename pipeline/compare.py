"""How two runs differ: rows, fates, values, rules, settings, shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import columns, files, verdicts
from manifests.manifest import Manifest, finished
from manifests.sql import query, quoted
from manifests.store import digest_name
from pipeline.inspect import FATES, shards
from pipeline.rulings import recorded
from pipeline.show import aligned
from pipeline.stale import stale_steps
from pipeline.steps import SHAPES
from pipeline.wrote import shown

LINE = 80
# Columns that are held of both runs at a time, and ids that stand for a group of rows.
AT_ONCE, EXAMPLES = 8, 3
Found = Mapping[str, Manifest]


def compare(a: Path, b: Path) -> dict[str, Any]:
    """Two work directories side by side; `equal` is true when nothing differs but resources of settings.

    `steps`: counts of each and which ids are in both, only in A, only in B. At `last`, the last step that
    both have and that still follows from the steps before, for the rows in both: `fates` that differ (from,
    to, rows, some ids), `values` that moved by column (`mean` and `largest` shift from A to B of numbers
    known in both), `columns` that only one has. `rules` and `settings` that differ; `shards` by digest.
    Raises ManifestError for a folder without a finished step.
    """
    of_a, of_b = finished(a), finished(b)
    stale = {*stale_steps(of_a), *stale_steps(of_b)}
    both = [step for step in verdicts.STEPS if step in of_a and step in of_b and step not in stale]
    last = both[-1] if both else None
    found: dict[str, Any] = {
        "a": str(a),
        "b": str(b),
        "steps": {
            step: _step(of_a.get(step), of_b.get(step)) for step in verdicts.STEPS if step in {*of_a, *of_b}
        },
        "last": last,
        "fates": _fates(of_a[last], of_b[last]) if last else [],
        "values": _values(of_a[last], of_b[last]) if last else [],
        "columns": _columns(of_a[last], of_b[last]) if last else {"only_a": [], "only_b": []},
        "rules": _differing(_rules(of_a), _rules(of_b)),
        "settings": _set(of_a, of_b),
        "shards": _shards(a, b),
    }
    return found | {"equal": _equal(found)}


def _equal(found: Mapping[str, Any]) -> bool:
    alike = all(step["a"] == step["b"] and not _apart(step["ids"]) for step in found["steps"].values())
    settings = all(line["resource"] for line in found["settings"])
    moved = [found["fates"], found["values"], found["rules"], *found["columns"].values()]
    shards = [value for name, value in found["shards"].items() if name != "equal"]
    return alike and settings and not any([*moved, *shards])


def _apart(ids: Mapping[str, Any] | None) -> bool:
    return ids is None or bool(ids["only_a"] or ids["only_b"])


def _step(a: Manifest | None, b: Manifest | None) -> dict[str, Any]:
    counts = {name: dict(m.record["counts"]) if m else None for name, m in (("a", a), ("b", b))}
    return {**counts, "ids": _ids(a, b) if a and b else None}


def _ids(a: Manifest, b: Manifest) -> dict[str, Any]:
    statement = f"""
        select count(*) filter (a.id is not null and b.id is not null) as both,
            count(*) filter (b.id is null) as only_a, count(*) filter (a.id is null) as only_b,
            min(a.id, {EXAMPLES}) filter (b.id is null) as examples_a,
            min(b.id, {EXAMPLES}) filter (a.id is null) as examples_b
        from a full join b on a.id = b.id
    """
    line = query(statement, {"a": a.all_rows(["id"]), "b": b.all_rows(["id"])}).to_pylist()[0]
    return {name: value if value is not None else [] for name, value in line.items()}


def _fates(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Rows in both whose fate is another one, or which are duplicates of another row."""
    statement = f"""
        select a.fate as "from", b.fate as "to", count(*) as rows, min(a.id, {EXAMPLES}) as ids
        from a join b on a.id = b.id
        where a.fate <> b.fate or a."of" is distinct from b."of"
        group by 1, 2 order by 3 desc, 1, 2
    """
    return list(query(statement, {"a": _fated(a), "b": _fated(b)}).to_pylist())


def _fated(step: Manifest) -> pa.Table:
    """Every row's id, its fate with the reason, and the row that is kept instead."""
    won = verdicts.first(step.table("verdicts"))
    statement = """
        select id, if(fate is null, 'live', fate || ': ' || reason) as fate, "of"
        from rows left join won using (id)
    """
    return query(statement, {"rows": step.all_rows(["id"]), "won": won})


def _values(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Columns whose values differ in rows of both; few are read at a time."""
    common = sorted(_compared(a).items() & _compared(b).items())
    found: list[dict[str, Any]] = []
    for at in range(0, len(common), AT_ONCE):
        some = common[at : at + AT_ONCE]
        stored = ["id", *(stored for _, stored in some)]
        found += _moved(a.all_rows(stored), b.all_rows(stored), some)
    return found


def _moved(a: pa.Table, b: pa.Table, names: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    asked: list[str] = []
    for at, (_, stored) in enumerate(names):
        one, other = f"a.{quoted(stored)}", f"b.{quoted(stored)}"
        asked.append(f"count(*) filter ({one} is distinct from {other}) as rows{at}")
        if all(_is_number(table.schema.field(stored).type) for table in (a, b)):
            by = f"({other}::double - {one}::double)"
            asked.append(f"avg({by}) filter ({one} <> {other}) as mean{at}")
            asked.append(f"arg_max({by}, abs({by})) filter ({one} <> {other}) as largest{at}")
    answer = query(f"select {', '.join(asked)} from a join b on a.id = b.id", {"a": a, "b": b}).to_pylist()[0]
    for at, (name, _) in enumerate(names):
        if answer[f"rows{at}"]:
            shifts = {shift: answer.get(f"{shift}{at}") for shift in ("mean", "largest")}
            yield {"column": name, "rows": answer[f"rows{at}"], **shifts}


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _columns(a: Manifest, b: Manifest) -> dict[str, list[str]]:
    of_a, of_b = _compared(a).keys(), _compared(b).keys()
    return {"only_a": sorted(of_a - of_b), "only_b": sorted(of_b - of_a)}


def _compared(step: Manifest) -> dict[str, str]:
    """What is compared of a step's rows: the column that is meant, and the one that stands for it."""
    stored = _stored(step)
    sides = {name: digest_name(name) for name, column in columns.COLUMNS.items() if column.side}
    small = {name: name for name in stored if name != "id" and shown(name)}
    return small | {name: digest for name, digest in sides.items() if digest in stored}


def _stored(step: Manifest) -> set[str]:
    names: set[str] = set()
    for name in step.record["rows"].values():
        with files.reading(step.out, step.folder / name):
            names |= set(pq.read_schema(step.folder / name).names)
    return names


def _rules(found: Found) -> dict[str, Any]:
    """Every setting and threshold of the rules that judged, as RULE.SETTING."""
    flat: dict[str, Any] = {}
    for rule in (rule for step in found.values() for rule in recorded(step)):
        identity = rule.identity()
        values = {**identity.pop("parameters"), **identity}
        flat |= {f"{rule.name}.{name}": value for name, value in values.items() if name != "name"}
    return flat


def _set(a: Found, b: Found) -> list[dict[str, Any]]:
    """The settings that differ, and whether each says only how work is done."""
    resources = _resources(a) | _resources(b)
    lines = _differing(_settings(a), _settings(b))
    return [line | {"resource": line["name"] in resources} for line in lines]


def _settings(found: Found) -> dict[str, Any]:
    """Every setting of the stages, as step.Stage.setting."""
    return {
        name: value for step, m in found.items() for name, value in _flat(step, m.record.get("settings", {}))
    }


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for name, inner in value.items():
        yield from _flat(f"{prefix}.{name}", inner)


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = sorted(a.keys() | b.keys())
    return [{"name": n, "a": a.get(n), "b": b.get(n)} for n in names if a.get(n) != b.get(n)]


def _resources(found: Found) -> set[str]:
    """The settings that say only how work is done; a stage is called by its kind, or by KIND.NAME."""
    kinds = {kind.__name__: kind for every in SHAPES.values() for kind in every}
    return {
        f"{step}.{stage}.{setting}"
        for step, m in found.items()
        for stage in m.record.get("settings", {})
        if (kind := kinds.get(stage.partition(".")[0]))
        for setting in kind.resources
    }


def _shards(a: Path, b: Path) -> dict[str, list[str]]:
    of_a, of_b = ({shard["tar"]: shard["tar_sha256"] for shard in shards(out)} for out in (a, b))
    both = sorted(of_a.keys() & of_b.keys())
    return {
        "equal": [tar for tar in both if of_a[tar] == of_b[tar]],
        "different": [tar for tar in both if of_a[tar] != of_b[tar]],
        "only_a": sorted(of_a.keys() - of_b.keys()),
        "only_b": sorted(of_b.keys() - of_a.keys()),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The difference as text for people."""
    yield f"A {found['a']}\nB {found['b']}\n"
    yield _steps_text(found["steps"])
    parts = {
        f"fates at {found['last']}": [
            [line["from"], line["to"], line["rows"], " ".join(id_[:8] for id_ in line["ids"])]
            for line in found["fates"]
        ],
        "values": [[line["column"], line["rows"], line["mean"], line["largest"]] for line in found["values"]],
        "rules": [[line["name"], str(line["a"]), str(line["b"])] for line in found["rules"]],
        "settings": [
            [line["name"] + "*" * line["resource"], str(line["a"]), str(line["b"])]
            for line in found["settings"]
        ],
    }
    heads = (
        ["in A", "in B", "rows", "first ids"],
        ["column", "rows", "mean shift", "largest"],
        *[["", "A", "B"]] * 2,
    )
    for (name, rows), head in zip(parts.items(), heads, strict=True):
        if rows:
            yield f"\n{name}:\n{aligned(head, rows, line_cells=LINE)}"
    yield from _ends(found)


def _steps_text(steps: Mapping[str, Any]) -> str:
    rows = []
    for step, line in steps.items():
        for name in ("a", "b"):
            counts = line[name]
            sums = [sum(counts[fate].values()) for fate in FATES] if counts else [None] * 3
            only = line["ids"][f"only_{name}"] if line["ids"] else None
            first = " ".join(id_[:8] for id_ in line["ids"][f"examples_{name}"]) if only else ""
            totals = [counts["rows"], counts["live"]] if counts else [None, None]
            rows.append([step if name == "a" else "", name.upper(), *totals, *sums, only, first])
    head = ["step", "", "rows", "live", "rejected", "duplic.", "failed", "only here", "first ids"]
    return aligned(head, rows, line_cells=LINE)


def _ends(found: Mapping[str, Any]) -> Iterator[str]:
    for side, names in found["columns"].items():
        if names:
            yield f"\ncolumns only in {side[-1].upper()}: {', '.join(names)}"
    if any(line["resource"] for line in found["settings"]):
        yield "  * says only how work is done, and does not count"
    counts = [f"{len(names)} {name.replace('_', ' in ')}" for name, names in found["shards"].items() if names]
    yield f"\nshards: {', '.join(counts) or 'none'}"
    yield from (f"  differs: {tar}" for tar in found["shards"]["different"])
    yield "equal" if found["equal"] else "different"

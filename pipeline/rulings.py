"""What rules said of rows as they were judged: what each took, and of one row its values, its thresholds and
by how far."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from filters.handles import Threshold, thresholds
from filters.judge import effect, judge
from filters.rules import Rule
from manifests import files, verdicts
from manifests.errors import ManifestError
from manifests.manifest import Manifest


def recorded(manifest: Manifest) -> tuple[Rule, ...]:
    """The rules by which a step judged, with the thresholds it found; raises ManifestError for a record that
    holds something else."""
    try:
        return tuple(
            Rule.model_validate_json(json.dumps(rule)) for rule in manifest.record.get("rules") or ()
        )
    except ValidationError as error:
        path = manifest.folder / "record.json"
        raise ManifestError(f"{path} holds a rule that is none; {files.remedy(manifest.out)}") from error


def effects(manifest: Manifest) -> list[dict[str, Any]]:
    """What each rule of a step took, in order (`filters.judge.effect`).

    Rules that reject are counted over the rows that lived until then. One that has texts replaced takes no
    row: such rules are counted by themselves, over the rows that those which reject left.
    """
    rules = recorded(manifest)
    if not rules:
        return []
    names = sorted({"id", *(name for rule in rules for name in rule.columns)})
    rows = manifest.all_rows(names)
    fates = {"reject": before(manifest), "recaption": manifest.table("verdicts")}
    taken = [
        effect(verdicts.with_fates(rows, given), [rule for rule in rules if rule.otherwise == kind])
        for kind, given in fates.items()
    ]
    by_name = {line["rule"]: line for table in taken for line in table.to_pylist()}
    more = {r.name: {"otherwise": r.otherwise, "keep": r.spelled(), "why": r.why} for r in rules}
    return [{**by_name[rule.name], **more[rule.name]} for rule in rules if rule.name in by_name]


def before(manifest: Manifest) -> pa.Table:
    """The verdicts without those that this step's rules gave: only rules say which others a row fails."""
    given = manifest.table("verdicts")
    here = pc.and_(pc.equal(given["step"], manifest.step), pc.is_valid(given["failing"]))
    return given.filter(pc.invert(here))


def ruling(rule: Rule, row: pa.Table) -> dict[str, Any]:
    """What a rule says of a table of one live row: `passed`, `failed`, `unscored` (a value is unknown) or
    `other kind`, its values, and each threshold with the margin `by` (below 0: falls short)."""
    values = {name: row[name][0].as_py() for name in rule.expression.columns}
    corpus = (row["corpus"][0].as_py() or "") if "corpus" in row.column_names else None
    return {
        "rule": rule.name,
        "after": rule.after,
        "keep": rule.spelled(),
        "otherwise": rule.otherwise,
        "unscored": rule.unscored,
        "outcome": _outcome(rule, row),
        "values": values,
        "thresholds": [
            {"column": one.column, "sense": one.sense, "value": one.value, "by": _by(one, values[one.column])}
            for one in thresholds(rule, corpus)
        ],
    }


def _by(threshold: Threshold, value: Any) -> float | None:
    return None if value is None else threshold.margin(float(value))


def _outcome(rule: Rule, row: pa.Table) -> str:
    if rule.kinds and row["kind"][0].as_py() not in rule.kinds:
        return "other kind"
    asked = rule.model_copy(update={"otherwise": "reject", "unscored": "fail", "enabled": True})
    given = judge(row.drop_columns(_fates(row)), [asked], step="filter")["fate"].to_pylist()
    return {"rejected": "failed", "failed": "unscored"}[given[0]] if given else "passed"


def _fates(row: pa.Table) -> list[str]:
    return [name for name in verdicts.COLUMNS if name in row.column_names]

"""A run as the report reads it: its steps, the numbers of every row with its fate, and few rows whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.handles import thresholds
from filters.judge import KEPT, outcomes
from filters.rules import Rule
from manifests import columns, files, verdicts
from manifests.errors import RecipeError
from manifests.manifest import Manifest, finished
from manifests.sql import query
from pipeline.rulings import recorded
from pipeline.stale import stale_steps

# What `rows` has beside the scores, as far as the steps wrote it.
_BASE = ("id", "asset_id", "corpus", "kind", "duration_s", "visual_tokens", "text_tokens")
_TEXTS = ("text_from", "category", "shard")
Rules = Mapping[tuple[str, str], Rule]


@dataclass(frozen=True)
class Run:
    """The finished steps of a work directory, in order; those that no longer follow from the step before are
    in `stale` with what changed, and are left out of `steps`.

    `rules` are those that judged, by step and name; `scores` the columns that are drawn; `rows` every row's
    numbers, with the `step`, `fate`, `reason` and what is `said` by its winning verdict, null for a live one.
    """

    out: Path
    steps: Mapping[str, Manifest]
    stale: Mapping[str, str]
    rules: Rules
    scores: tuple[str, ...]
    rows: pa.Table

    @property
    def last(self) -> Manifest:
        return list(self.steps.values())[-1]

    def ask(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """The answer to a question of `rows`."""
        return list(query(statement, {"rows": self.rows}, parameters).to_pylist())

    def judged(self, rule: Rule) -> Run:
        """The same run; its rows say besides whether each `meets` a rule."""
        rows = self.last.all_rows(list(dict.fromkeys(["id", *rule.columns])))
        meets = pc.equal(outcomes(rows, [rule])[rule.name], KEPT)
        at = pc.index_in(self.rows["id"], value_set=rows["id"])
        return replace(self, rows=self.rows.append_column("meets", meets.take(at)))

    def whole(self, ids: Iterable[str]) -> pa.Table:
        """These rows of the last step with all their columns, bucket by bucket."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        parts = (self.last.rows(bucket) for bucket in self.last.buckets())
        return pa.concat_tables([part.filter(pc.is_in(part["id"], value_set=wanted)) for part in parts])


def open_run(out: Path) -> Run:
    """Read a work directory; raises ManifestError for a folder without a finished step."""
    found = finished(out)
    stale = stale_steps(found)
    steps = {step: m for step, m in found.items() if step not in stale}
    last = list(steps.values())[-1]
    rules = {(step, rule.name): rule for step, m in steps.items() for rule in recorded(m)}
    schema = _schema(last)
    scores = tuple(_scores(schema, rules))
    names = [name for name in dict.fromkeys([*_BASE, *_TEXTS, *scores]) if name in schema.names]
    return Run(out, steps, stale, rules, scores, _fated(last, names))


def _schema(last: Manifest) -> pa.Schema:
    path = last.folder / next(iter(last.record["rows"].values()))
    with files.reading(last.out, path):
        return pq.read_schema(path)


def _scores(schema: pa.Schema, rules: Rules) -> dict[str, None]:
    """The numbers that are drawn: what rules compare, then every other measure."""
    judged = [one.column for rule in rules.values() for one in thresholds(rule)]
    numbers = [f.name for f in schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]
    return dict.fromkeys(n for n in [*judged, *filter(_is_measure, numbers)] if n in numbers)


def _is_measure(name: str) -> bool:
    """Whether a column is a measure; one that only a recipe knows is taken for one."""
    try:
        return columns.column(name).group == "measures"
    except RecipeError:
        return True


def _fated(last: Manifest, names: list[str]) -> pa.Table:
    won = verdicts.first(last.table("verdicts"))
    statement = """
        select rows.*, won.step, won.fate, won.reason, won.detail as said
        from rows left join won on rows.id = won.id
    """
    return query(statement, {"rows": last.all_rows(names), "won": won})

"""Thresholds that are shares: which value the best seven tenths of each corpus reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from filters.rules import Parameter, Rule
from manifests.errors import RecipeError
from manifests.sql import query, quoted


def measured(rules: Iterable[Rule]) -> list[str]:
    """The columns that `settle` has to see; none when no threshold is a share."""
    shared = [rule for rule in rules if any(p.share is not None for p in rule.parameters)]
    return sorted({name for rule in shared for name in (_column(rule), "corpus", "kind")})


def settle(rules: Iterable[Rule], read: Callable[[list[str]], pa.Table]) -> tuple[Rule, ...]:
    """The rules, each threshold that is a share given its number for every corpus.

    `read` gives the named columns of all rows to be judged. Of n known values of the rule's kinds `top = 0.7`
    takes the ceil(0.7 n)-th from above, `bottom` from below: at least that share meets the condition, more
    where values are equal. A corpus without a known value has no threshold: its rows are unscored.
    """
    rules = tuple(rules)
    names = measured(rules)
    rows = read(names) if names else None
    return tuple(rule if rows is None else _settled(rule, rows) for rule in rules)


def _settled(rule: Rule, rows: pa.Table) -> Rule:
    if rule.kinds:
        rows = rows.filter(pc.is_in(rows["kind"], value_set=pa.array(rule.kinds)))
    parameters = tuple(
        p if p.share is None else p.model_copy(update={"by_corpus": _thresholds(p, rows, _column(rule))})
        for p in rule.parameters
    )
    return rule.model_copy(update={"parameters": parameters})


def _thresholds(parameter: Parameter, rows: pa.Table, column: str) -> tuple[tuple[str, float], ...]:
    order = "asc" if parameter.top is None else "desc"
    statement = f"""
        with known as (select corpus, {quoted(column)}::double as v from rows where isfinite(v)),
        ranked as (
            select corpus, v, row_number() over (partition by corpus order by v {order}) as n,
                count(*) over (partition by corpus) as many from known
        )
        select corpus, v from ranked where n = ceil($share * many - 1e-9) order by corpus
    """
    answer = query(statement, {"rows": rows}, {"share": parameter.share})
    return tuple((row["corpus"], row["v"]) for row in answer.to_pylist())


def _column(rule: Rule) -> str:
    """What the share is of: the one column of the condition."""
    if len(rule.expression.columns) != 1 or len(rule.parameters) != 1:
        fault = "a share of a corpus needs a condition on one column with one threshold"
        raise RecipeError(f"[filter.{rule.name}] keep = {rule.keep!r}: {fault}, such as clip_score >= $min")
    return rule.expression.columns[0]

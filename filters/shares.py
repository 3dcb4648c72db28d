"""Thresholds that are shares: which value the best seven tenths of each corpus reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from filters.handles import Handle, shared
from filters.judge import axes
from filters.rules import Rule
from manifests.sql import query


def measured(rules: Iterable[Rule]) -> list[str]:
    """The columns that `settle` has to see; none when no threshold is a share."""
    found = (handle for rule in rules for _, handle in shared(rule))
    return sorted({name for handle in found for name in (*handle.columns, "corpus", "kind")})


def settle(rules: Iterable[Rule], read: Callable[[list[str]], pa.Table]) -> tuple[Rule, ...]:
    """The rules, each threshold that is a share given its number for every corpus.

    `read` gives the named columns of all rows to be judged. A share is of what the threshold bounds (the axis
    of its handle): of n known values of the rule's kinds `top = 0.7` takes the ceil(0.7 n)-th from above,
    `bottom` from below, or the number just beyond it where the comparison is strict. At least that share
    meets the condition, more where values are equal. A corpus without a known value has no threshold: its
    rows are unscored; rows without a corpus are one, named "". Raises RecipeError as `handles.shared`.
    """
    rules = tuple(rules)
    names = measured(rules)
    rows = read(names) if names else None
    return tuple(rule if rows is None else _settled(rule, rows) for rule in rules)


def _settled(rule: Rule, rows: pa.Table) -> Rule:
    found = {parameter.name: handle for parameter, handle in shared(rule)}
    if found and rule.kinds:
        rows = rows.filter(pc.is_in(rows["kind"], value_set=pa.array(rule.kinds)))
    parameters = tuple(
        p.model_copy(update={"by_corpus": _thresholds(p.share, rows, found[p.name])}) if p.share else p
        for p in rule.parameters
    )
    return rule.model_copy(update={"parameters": parameters})


def _thresholds(share: float, rows: pa.Table, handle: Handle) -> tuple[tuple[str, float], ...]:
    order = "desc" if handle.side == "min" else "asc"
    statement = f"""
        {axes(rows, handle.axis, also="coalesce(corpus, '') as _corpus")},
        ranked as (
            select _corpus, _axis, row_number() over (partition by _corpus order by _axis {order}) as n,
                count(*) over (partition by _corpus) as many from axes where _axis is not null
        )
        select _corpus, _axis from ranked where n = ceil($share * many - 1e-9) order by _corpus
    """
    answer = query(statement, {"rows": rows}, {"share": share})
    return tuple((row["_corpus"], handle.met_from(row["_axis"])) for row in answer.to_pylist())

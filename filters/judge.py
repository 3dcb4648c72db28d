"""Which rows stay: all rules over all rows in one query, and what each rule contributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.expressions import parse
from filters.finite import guarded
from filters.rules import Rule, require
from manifests import verdicts
from manifests.errors import RecipeError
from manifests.sql import query, quoted

KEPT, REJECTED, FAILED = 0, 1, 2
SHOWN_CHARACTERS = 80

_UNSCORED = {"keep": KEPT, "reject": REJECTED, "fail": FAILED}
_EFFECT = pa.schema(
    [("rule", pa.string()), ("alone", pa.int64()), ("only", pa.int64()), ("here", pa.int64())]
)


def judge(rows: pa.Table, rules: Iterable[Rule], *, step: str) -> pa.Table:
    """The verdicts (`manifests.verdicts.SCHEMA`) of the live rows among these that go, ordered by id.

    Every enabled rule given that rejects is applied, whatever step it follows, and `step` is written into the
    verdicts.
    The first rule in order that a row fails is its reason, and decides between rejected and failed (reason
    `unscored`, where the rule says so); `failing` has all of them in order. Raises RecipeError for a column
    that the rows lack.
    """
    active = [rule for rule in _active(rules) if rule.otherwise == "reject"]
    if not active:
        return verdicts.SCHEMA.empty_table()
    live = verdicts.live(rows)
    outcomes, values = _outcomes(live, active)
    statement = f"""
        {outcomes}
        select id, $step as step, {_first(active, _fate)} as fate, {_first(active, _reason)} as reason,
            null::varchar as "of", {_first(active, _detail)} as detail, {_failing(active)} as failing
        from outcomes where greatest({_columns(active)}) > {KEPT} order by id
    """
    return query(statement, {"rows": live}, {**values, "step": step}).cast(verdicts.SCHEMA)


def routes(rows: pa.Table, rules: Iterable[Rule]) -> pa.Array:
    """Where each row goes, in order: `recaption` when a rule that says so is not met, `keep`, or null for a
    row that is not live."""
    active = [rule for rule in _active(rules) if rule.otherwise == "recaption"]
    live = verdicts.live(rows)
    given = pa.array(["keep"] * len(live), pa.string())
    if active:
        view, values = _outcomes(live, active)
        answer = query(
            f"{view} select id, greatest({_columns(active)}) as o from outcomes", {"rows": live}, values
        )
        kept = pc.equal(answer["o"].take(pc.index_in(live["id"], value_set=answer["id"])), KEPT)
        given = pc.if_else(kept, "keep", "recaption")
    return given.take(pc.index_in(rows["id"], value_set=live["id"]))


def effect(rows: pa.Table, rules: Iterable[Rule]) -> pa.Table:
    """What each enabled rule takes from the live rows among these, in order; one row a rule.

    `alone`: it would take this many were it the only rule; `only`: these no other rule takes; `here`: these
    it takes at its place, after the rules before it. Of rules that reject, the sum of `here` is the number of
    verdicts of `judge`.
    """
    active = _active(rules)
    if not active:
        return _EFFECT.empty_table()
    live = verdicts.live(rows)
    outcomes, values = _outcomes(live, active)
    count = f"len(list_filter([{_columns(active)}], lambda outcome: outcome > {KEPT}))"
    counted = ", ".join(_counted(at) for at in range(len(active)))
    statement = f"{outcomes} select {counted} from (select *, {count} as fails from outcomes)"
    answer = query(statement, {"rows": live}, values).to_pylist()[0]
    kinds = ("alone", "only", "here")
    table = [{"rule": rule.name} | {k: answer[f"{k}{at}"] for k in kinds} for at, rule in enumerate(active)]
    return pa.Table.from_pylist(table, schema=_EFFECT)


def outcomes(rows: pa.Table, rules: Iterable[Rule]) -> pa.Table:
    """KEPT, REJECTED or FAILED by each of these rules alone, enabled or not: a uint8 column a rule, by its
    name, in the order of the rows. Rows are taken as live. Raises RecipeError as `judge`."""
    rules = list(rules)
    if not rules:
        return pa.table({})
    numbered = _numbered(rows)
    view, values = _outcomes(numbered, rules, also=("_row",))
    names = ", ".join(f"o{at}::utinyint as {quoted(rule.name)}" for at, rule in enumerate(rules))
    answer = query(f"{view} select {names}, _row from outcomes", {"rows": numbered}, values)
    places = answer["_row"].combine_chunks()
    if not places.equals(numbered["_row"].combine_chunks()):
        answer = answer.sort_by("_row")
    return answer.drop_columns("_row")


def _active(rules: Iterable[Rule]) -> list[Rule]:
    active = [rule for rule in rules if rule.enabled]
    names = [rule.name for rule in active]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"two rules are named {name!r}; rename one of them")
    return active


def _outcomes(
    rows: pa.Table, rules: Sequence[Rule], *, also: tuple[str, ...] = ("id",)
) -> tuple[str, dict[str, Any]]:
    """SQL of a view `outcomes`: the columns that the rules read, those `also` named, and KEPT, REJECTED or
    FAILED as o0, o1, …"""
    conditions, values = [], {}
    for at, rule in enumerate(rules):
        require(rule, rows.column_names)
        condition, bound = rule.sql(f"p{at}")
        conditions.append(f"{_applied(rule, condition)} as k{at}")
        values.update(bound)
    decided = [
        f"case k{at} when true then {KEPT} when false then {REJECTED} else {unscored} end as o{at}"
        for at, unscored in enumerate(_UNSCORED[rule.unscored] for rule in rules)
    ]
    view = f"""
        with known as (select {_known(rows, rules, also)} from rows),
        conditions as (select *, {", ".join(conditions)} from known),
        outcomes as (select *, {", ".join(decided)} from conditions)
    """
    return view, values


def _applied(rule: Rule, condition: str) -> str:
    """`try`: arithmetic that fails on one row (a division by 0) leaves that row unscored, and no more."""
    if not rule.kinds:
        return f"try({condition}\n)"
    kinds = ", ".join(f"'{kind}'" for kind in rule.kinds)
    return f"case when kind in ({kinds}) then try({condition}\n) else true end"


def _known(rows: pa.Table, rules: Sequence[Rule], also: tuple[str, ...]) -> str:
    """The columns to read; NaN and infinity are unknown, for DuckDB sorts NaN above all."""
    read = {*also} | {name for rule in rules for name in rule.columns}
    return ", ".join(_guarded(name, rows.schema.field(name).type) for name in sorted(read))


def axis(rows: pa.Table, sql: str) -> pa.Array:
    """The value of an expression (`handles.Handle.axis`) of each row, in their order: float64, null where it
    is unknown."""
    statement = f"{axes(rows, sql, also='_row')} select _axis from axes order by _row"
    return query(statement, {"rows": _numbered(rows)})["_axis"].combine_chunks()


def axes(rows: pa.Table, sql: str, *, also: str) -> str:
    """SQL of a view `axes` of a table named rows: what `also` says, and the value of an expression as
    `axis` gives it, as `_axis`."""
    read = ", ".join(_guarded(name, rows.schema.field(name).type) for name in parse(sql).columns)
    return f"""
        with known as (select {read}, {also} from rows),
        found as (select *, try(({guarded(sql).pieces[0]})::double) as _axis from known),
        axes as (select * replace (case when isfinite(_axis) then _axis end as _axis) from found)
    """


def _numbered(rows: pa.Table) -> pa.Table:
    """Rows with their places: a query's answer comes in no promised order."""
    return rows.append_column("_row", pa.arange(0, len(rows)))


def _guarded(name: str, type_: pa.DataType) -> str:
    told = quoted(name)
    if pa.types.is_floating(type_):
        return f"case when isfinite({told}) then {told} end as {told}"
    if pa.types.is_list(type_) and pa.types.is_floating(type_.value_type):
        return f"list_transform({told}, lambda one: case when isfinite(one) then one end) as {told}"
    return told


def _columns(rules: Sequence[Rule]) -> str:
    return ", ".join(f"o{at}" for at in range(len(rules)))


def _first(rules: Sequence[Rule], told: Callable[[int, Rule], str]) -> str:
    """SQL that tells something of the first rule in order that the row fails."""
    cases = " ".join(f"when o{at} > {KEPT} then {told(at, rule)}" for at, rule in enumerate(rules))
    return f"case {cases} end"


def _fate(at: int, rule: Rule) -> str:
    return f"if(o{at} = {FAILED}, 'failed', 'rejected')"


def _reason(at: int, rule: Rule) -> str:
    return f"if(o{at} = {FAILED}, 'unscored', '{rule.name}')"


def _detail(at: int, rule: Rule) -> str:
    """SQL of a sentence such as `black_share 1.0, kept when black_share <= 0.9`."""
    shown = [f"{_text(f'{name} ')}, {_shown(name)}, ', '" for name in rule.expression.columns]
    who = f"if(o{at} = {FAILED}, '{rule.name}: ', '')"
    return f"concat({', '.join([who, *shown, _text(f'kept when {rule.spelled()}')])})"


def _shown(name: str) -> str:
    return f"coalesce(left({quoted(name)}::varchar, {SHOWN_CHARACTERS}), 'unknown')"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _failing(rules: Sequence[Rule]) -> str:
    names = ", ".join(f"if(o{at} > {KEPT}, '{rule.name}', null)" for at, rule in enumerate(rules))
    return f"list_filter([{names}], lambda name: name is not null)"


def _counted(at: int) -> str:
    before = " and ".join([f"o{earlier} = {KEPT}" for earlier in range(at)] + [f"o{at} > {KEPT}"])
    return f"""
        count(*) filter (o{at} > {KEPT}) as alone{at},
        count(*) filter (o{at} > {KEPT} and fails = 1) as only{at},
        count(*) filter ({before}) as here{at}
    """

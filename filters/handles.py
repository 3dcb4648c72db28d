"""Which numbers of a rule can be moved along which measure: what a slider, a sweep or a calibration needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from filters.expressions import only, parse, walk, written
from filters.rules import Parameter, Rule
from manifests import columns
from manifests.errors import RecipeError, nearest

Side = Literal["min", "max"]

# A comparison read from left to right: which bound on what stands left is what stands right.
_BOUNDS: dict[str, tuple[Side, bool]] = {
    "COMPARE_GREATERTHANOREQUALTO": ("min", False),
    "COMPARE_GREATERTHAN": ("min", True),
    "COMPARE_LESSTHANOREQUALTO": ("max", False),
    "COMPARE_LESSTHAN": ("max", True),
}
_SENSES: dict[Side, str] = {"min": ">", "max": "<"}
_MIRRORED: dict[Side, Side] = {"min": "max", "max": "min"}


@dataclass(frozen=True)
class Handle:
    """A numeric threshold of a rule and the SQL `axis` that it bounds: `min`, what is kept lies at or above
    it, `max`, at or below; `strict`, the threshold itself is not kept."""

    rule: str
    parameter: str
    axis: str
    columns: tuple[str, ...]
    side: Side
    strict: bool

    @property
    def name(self) -> str:
        return f"{self.rule}.{self.parameter}"

    @property
    def sense(self) -> str:
        """How the axis compares with the threshold in a row that stays: >=, >, <= or <."""
        return _SENSES[self.side] + ("" if self.strict else "=")

    def met_from(self, value: float) -> float:
        """The threshold that a row of this value just meets."""
        if not self.strict:
            return value
        return math.nextafter(value, -math.inf if self.side == "min" else math.inf)


def handles(rule: Rule) -> tuple[Handle, ...]:
    """The thresholds of a rule that bound something, in the order of its parameters.

    Such a parameter is a number or a share, and stands alone on one side of comparisons (or of BETWEEN) that
    are joined by AND and all bound the same way: along the least (`min`) or greatest (`max`) of what they
    compare, which is null where one of these is. Of other parameters nothing is said.
    """
    found = (_handle(rule, parameter) for parameter in rule.parameters)
    return tuple(handle for handle in found if handle)


def handle_of(rules: tuple[Rule, ...], name: str) -> tuple[Rule, Handle]:
    """The rule and handle of `RULE.PARAMETER`, or of `RULE` where it has only one.

    Raises RecipeError that offers the nearest.
    """
    known = {handle.name: (rule, handle) for rule in rules for handle in handles(rule)}
    short = {rule.name: handles(rule) for rule in rules}
    if name in short and len(short[name]) == 1:
        name = short[name][0].name
    if name not in known:
        raise RecipeError(f"{name!r} names no threshold that can be moved; {nearest(name, known)}")
    return known[name]


def shared(rule: Rule) -> tuple[tuple[Parameter, Handle], ...]:
    """The thresholds of a rule that are shares, each with the handle whose axis the share is taken of.

    Raises RecipeError unless the condition is the comparison with that threshold and no more: of what else it
    asks for a share would say nothing.
    """
    bounds = {handle.parameter: handle for handle in handles(rule)}
    found = [parameter for parameter in rule.parameters if parameter.share is not None]
    for parameter in found:
        if parameter.name not in bounds or not _bounds_all(rule.keep, parameter.name):
            raise RecipeError(
                f"[filter.{rule.name}] keep = {rule.keep!r}: a share of a corpus needs ${parameter.name} "
                f"alone on one side of the whole condition, as in blur <= ${parameter.name}, without NOT or "
                f'OR; write it so, the rest as a rule of its own, and unscored = "keep" where unknown values '
                f"may stay"
            )
    return tuple((parameter, bounds[parameter.name]) for parameter in found)


def _handle(rule: Rule, parameter: Parameter) -> Handle | None:
    value = parameter.plain()
    if parameter.share is None and (isinstance(value, bool) or not isinstance(value, int | float)):
        return None
    bounds = [bound for bound in _bounds(rule.keep) if bound[0] == parameter.name]
    uses = sum(piece == parameter.name for piece in rule.expression.pieces[1::2])
    if not bounds or uses != len(bounds) or len({bound[1:3] for bound in bounds}) > 1:
        return None
    _, side, strict, _ = bounds[0]
    axis = _joined([bound[3] for bound in bounds], side)
    return Handle(rule.name, parameter.name, axis, parse(axis).columns, side, strict)


def _joined(texts: list[str], side: Side) -> str:
    if len(texts) == 1:
        return texts[0]
    # DuckDB's least and greatest pass over nulls; a condition that is unknown in one part is not.
    unknown = " or ".join(f"({text}) is null" for text in texts)
    extreme = "least" if side == "min" else "greatest"
    return f"case when {unknown} then null else {extreme}({', '.join(texts)}) end"


@lru_cache(maxsize=1024)
def _bounds(keep: str) -> tuple[tuple[str, Side, bool, str], ...]:
    """(parameter, side, strict, SQL of what is bounded) of each comparison with a parameter alone."""
    found = (one for node in _conditions(only(keep), ("CONJUNCTION_AND",)) for one in _compared(node))
    return tuple(
        (b["identifier"], side, strict, text) for b, side, strict, text in found if "identifier" in b
    )


@lru_cache(maxsize=1024)
def _bounds_all(keep: str, parameter: str) -> bool:
    """Whether the condition consists of nothing but comparisons with this parameter alone."""
    conditions = list(_conditions(only(keep), ("CONJUNCTION_AND",)))
    mine = [bound for bound in _bounds(keep) if bound[0] == parameter]
    return len(mine) == len(conditions) and all(node["type"] in _BOUNDS for node in conditions)


@dataclass(frozen=True)
class Threshold:
    """One number that a rule compares one column with; `sense` is >=, >, <= or <, of a row that stays."""

    column: str
    sense: str
    value: float

    def margin(self, value: float) -> float:
        """How far a value is on the right side; below 0 it falls short by so much."""
        return value - self.value if self.sense.startswith(">") else self.value - value


def thresholds(rule: Rule, corpus: str | None = None) -> list[Threshold]:
    """The comparisons of single columns with numbers in a rule's condition, whether AND or OR joins them.

    Where a threshold is a share, `corpus` says whose number counts; without it, that of every corpus.
    """
    corpora = {name for parameter in rule.parameters for name, _ in parameter.by_corpus or ()}
    asked = [corpus] if corpus is not None else sorted(corpora) or [""]
    return list(dict.fromkeys(one for name in asked for one in _at(rule, name)))


def check_thresholds(rules: Iterable[Rule]) -> None:
    """Raises RecipeError for a threshold outside the range of its column (a percentage of a share, say), for
    a range that nothing lies within, for true or false as a bound, and for a share of the wrong end or that
    `shared` refuses."""
    for rule in (rule for rule in rules if rule.enabled):
        shared(rule)
        _check_numbers(rule)
        _check_sides(rule)
        for one in thresholds(rule):
            least, most = columns.column(one.column).range
            if not least <= one.value <= most:
                raise RecipeError(
                    f"[filter.{rule.name}] keep compares {one.column} with {one.value:g}, but it is from "
                    f"{least:g} to {most:g}; write a number on that scale, or enabled = false"
                )


def _check_numbers(rule: Rule) -> None:
    for parameter in rule.parameters:
        if isinstance(parameter.value, bool) and parameter.name in _bounding(rule.keep):
            raise RecipeError(
                f"[filter.{rule.name}] {parameter.name} bounds a number in keep = {rule.keep!r}, found "
                f"{parameter.value!r}; write a number"
            )


@lru_cache(maxsize=1024)
def _bounding(keep: str) -> frozenset[str]:
    """The parameters that stand alone on a side of <, <=, > or >=, or are an end of BETWEEN."""
    compared = (node for node in walk(only(keep)) if node["class"] == "BETWEEN" or node["type"] in _BOUNDS)
    sides = (node.get(side, {}) for node in compared for side in ("left", "right", "lower", "upper"))
    return frozenset(side["identifier"] for side in sides if "identifier" in side)


def _check_sides(rule: Rule) -> None:
    given = {parameter.name: parameter for parameter in rule.parameters}
    ends: dict[str, dict[Side, float]] = {}
    for handle in handles(rule):
        parameter = given[handle.parameter]
        value = _number(parameter, "")
        wrong = {"min": parameter.bottom, "max": parameter.top}[handle.side]
        if wrong is not None:
            right = "top" if handle.side == "min" else "bottom"
            raise RecipeError(
                f"[filter.{rule.name}] {handle.parameter}: keep = {rule.keep!r} would keep the other end; "
                f"write {handle.parameter} = {{ {right} = {wrong:g} }}"
            )
        if value is not None:
            ends.setdefault(handle.axis, {})[handle.side] = value
    for axis, end in ends.items():
        if end.get("min", -math.inf) > end.get("max", math.inf):
            raise RecipeError(
                f"[filter.{rule.name}] no {axis} is at least {end['min']:g} and at most {end['max']:g}; "
                f"exchange the two"
            )


def _at(rule: Rule, corpus: str) -> Iterator[Threshold]:
    values = {parameter.name: _number(parameter, corpus) for parameter in rule.parameters}
    for column, sense, bound in _columns_bounded(rule.keep):
        value = values[bound] if isinstance(bound, str) else bound
        if value is not None:
            yield Threshold(column, sense, value)


@lru_cache(maxsize=1024)
def _columns_bounded(keep: str) -> tuple[tuple[str, str, str | float], ...]:
    """(column, sense, parameter or number) of each comparison of a column alone."""
    found = list[tuple[str, str, str | float]]()
    names = {f'"{name}"': name for name in parse(keep).columns} | {name: name for name in parse(keep).columns}
    for node in _conditions(only(keep), ("CONJUNCTION_AND", "CONJUNCTION_OR")):
        for bound, side, strict, text in _compared(node):
            value = bound["identifier"] if "identifier" in bound else _constant(written(bound))
            if value is not None and text in names:
                found.append((names[text], _SENSES[side] + ("" if strict else "="), value))
    return tuple(found)


def _number(parameter: Parameter, corpus: str) -> float | None:
    value = parameter.plain()
    if parameter.share is not None:
        value = dict(parameter.by_corpus or ()).get(corpus)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _constant(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _conditions(node: dict[str, Any], joined: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The conditions that are joined so."""
    if node["type"] in joined:
        for child in node["children"]:
            yield from _conditions(child, joined)
        return
    yield node


# A node that bounds, the side, whether it is strict, and the SQL of what it bounds.
_Compared = tuple[dict[str, Any], Side, bool, str]


def _compared(node: dict[str, Any]) -> Iterator[_Compared]:
    if node["class"] == "BETWEEN":
        yield from _bound(node["input"], node["lower"], "min", strict=False)
        yield from _bound(node["input"], node["upper"], "max", strict=False)
    elif node["type"] in _BOUNDS:
        side, strict = _BOUNDS[node["type"]]
        yield from _bound(node["left"], node["right"], side, strict=strict)
        yield from _bound(node["right"], node["left"], _MIRRORED[side], strict=strict)


def _bound(what: dict[str, Any], bound: dict[str, Any], side: Side, *, strict: bool) -> Iterator[_Compared]:
    if bound["class"] not in ("PARAMETER", "CONSTANT") or any(n["class"] == "PARAMETER" for n in walk(what)):
        return
    text = written(what)
    if parse(text).columns:
        yield bound, side, strict, text

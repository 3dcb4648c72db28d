"""What a rule is: a named condition that a row meets to stay, with named thresholds and their origin."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import duckdb
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from filters.expressions import Expression, parse
from filters.finite import guarded
from manifests import columns, verdicts
from manifests.errors import RecipeError, nearest
from manifests.sql import query

T = TypeVar("T", bound=BaseModel)
Scalar = bool | int | float | str
KINDS = tuple(columns.column("kind").unit.split(", "))
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class Parameter(BaseModel):
    """A threshold; `model` and `scale` say what its number means, `origin` where it comes from.

    Instead of a `value`, `top` or `bottom` say which share of each corpus meets the condition; the numbers
    are found in the rows (`filters.shares`) and then stand in `by_corpus`.
    """

    model_config = _STRICT

    name: str
    value: Scalar | tuple[Scalar, ...] | None = None
    top: float | None = Field(default=None, gt=0, le=1)
    bottom: float | None = Field(default=None, gt=0, le=1)
    by_corpus: tuple[tuple[str, float], ...] | None = None
    model: str | None = None
    scale: str | None = None
    origin: str | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, float) and not math.isfinite(one):
                raise ValueError("a threshold must be finite; to lift a rule write enabled = false")
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_threshold(self) -> Parameter:
        if sum(given is not None for given in (self.value, self.top, self.bottom)) != 1:
            raise ValueError("a threshold is either a value, or the top or the bottom share of each corpus")
        return self

    @property
    def share(self) -> float | None:
        """The share of each corpus that is to be kept, when the threshold is one."""
        return self.bottom if self.top is None else self.top

    def plain(self) -> Scalar | list[Scalar] | None:
        """The value as JSON has it; null for a share."""
        return list(self.value) if isinstance(self.value, tuple) else self.value

    def spelled(self) -> str:
        """The threshold for people."""
        if self.share is None:
            return str(self.plain())
        side = "bottom" if self.top is None else "top"
        found = {corpus: round(value, 6) for corpus, value in self.by_corpus or ()}
        return f"the {side} {self.share:.4g} of its corpus{f' {found}' if found else ''}"


# After which steps rules are judged, and of these the ones that are judged in time to route rows to caption.
JUDGED = ("ingest", "split", "score", "caption")
ROUTED = ("split", "score")


class Rule(BaseModel):
    """A row that is judged after the step `after` stays when the SQL condition `keep` is true for it.

    `otherwise` is what becomes of a row that does not meet it: `reject`, or `recaption`, which leaves it live
    and has its text replaced (rules on the agreement of text and image). `unscored` is the outcome where the
    condition is null, because a value is unknown or cannot be computed.
    Rows of a kind outside `kinds` pass; no kinds mean all. `why` says where the threshold comes from.
    """

    model_config = _STRICT

    name: str
    keep: str
    why: str
    after: str = "split"
    otherwise: Literal["reject", "recaption"] = "reject"
    unscored: Literal["keep", "reject", "fail"] = "reject"
    kinds: tuple[str, ...] = ()
    enabled: bool = True
    parameters: tuple[Parameter, ...] = ()

    @field_validator("kinds", mode="before")
    @classmethod
    def _known_kinds(cls, value: Any) -> Any:
        for kind in value if isinstance(value, list | tuple) else ():
            if kind not in KINDS:
                raise ValueError(f"unknown kind {kind!r}; {nearest(str(kind), KINDS)}")
        return tuple(value) if isinstance(value, list) else value

    @field_validator("after")
    @classmethod
    def _known_step(cls, value: str) -> str:
        if value not in verdicts.STEPS:
            raise ValueError(f"unknown step {value!r}; {nearest(value, verdicts.STEPS)}")
        if value not in JUDGED:
            raise ValueError(f"no rule is judged after {value}; rules follow {', '.join(JUDGED)}")
        return value

    @model_validator(mode="after")
    def _routes_what_can_be(self) -> Rule:
        if self.otherwise == "recaption" and self.after not in ROUTED:
            raise ValueError(
                f'otherwise = "recaption" is for rules after {" or ".join(ROUTED)}, judged before captions '
                f"are written; found after = {self.after!r}"
            )
        if self.otherwise == "recaption" and self.unscored == "fail":
            raise ValueError(
                'otherwise = "recaption" fails no row: write unscored = "keep", or "reject" to have '
                "captioned anew what could not be scored"
            )
        return self

    @property
    def expression(self) -> Expression:
        return parse(self.keep)

    def identity(self) -> dict[str, Any]:
        """What decides the verdicts, as JSON values; words about it stand outside."""
        values = {p.name: p.plain() if p.share is None else [p.top, p.bottom] for p in self.parameters}
        return self.model_dump(mode="json", exclude={"why", "parameters"}) | {"parameters": values}

    def sql(self, prefix: str) -> tuple[str, dict[str, Any]]:
        """The condition, guarded (`filters.finite`), its parameters named after `prefix`, and their values by
        that name."""
        spelled, values = dict[str, str](), dict[str, Any]()
        for at, parameter in enumerate(self.parameters):
            name = f"{prefix}_{at}"
            if parameter.share is None:
                spelled[parameter.name], values[name] = f"${name}", parameter.plain()
                continue
            cases = [f"when ${name}_{n}_of then ${name}_{n}" for n in range(len(parameter.by_corpus or ()))]
            spelled[parameter.name] = (
                f"case coalesce(corpus, '') {' '.join(cases)} end" if cases else "null::double"
            )
            for n, (corpus, value) in enumerate(parameter.by_corpus or ()):
                values |= {f"{name}_{n}_of": corpus, f"{name}_{n}": value}
        return guarded(self.keep).spell(lambda name: f"({spelled[name]})"), values

    def spelled(self) -> str:
        """The condition on one line with the values of its parameters, for people."""
        values = {parameter.name: parameter.spelled() for parameter in self.parameters}
        return " ".join(self.expression.spell(values.__getitem__).split())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row that its judgement reads."""
        shares = any(parameter.share is not None for parameter in self.parameters)
        more = [*(["kind"] if self.kinds else []), *(["corpus"] if shares else [])]
        return tuple(dict.fromkeys([*self.expression.columns, *more]))


def load_rules(source: Path | Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of a TOML file, or of such a file already read, in their order.

    A key of a rule is one of its settings or a parameter of its condition: a bare value or a table of
    `value`, `model`, `scale` and `origin`. Raises RecipeError for anything else, with the nearest valid name.
    """
    raw = source if isinstance(source, Mapping) else _read(source)
    return tuple(_rule(name, entry) for name, entry in raw.items())


def override(rules: Iterable[Rule], changes: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules with changes: `{"not_black": {"max": 0.5}}`, or `{"not_black.max": 0.5}` for one value.

    A rule keeps its place and what is not named; a new rule comes last. A changed value keeps its model and
    scale and loses its origin. Raises RecipeError as `load_rules`, and for a value of another type or on
    another scale.
    """
    raw = {rule.name: _entry(rule) for rule in rules}
    for name, change in _nested(changes).items():
        raw[name] = _changed(name, raw, change)
    return load_rules(raw)


def following(rules: Iterable[Rule], step: str) -> tuple[Rule, ...]:
    """The enabled rules that judge after this step, in their order."""
    return tuple(rule for rule in rules if rule.enabled and rule.after == step)


def check(rules: Iterable[Rule], names: Iterable[str]) -> None:
    """Every enabled rule makes sense over these columns; raises RecipeError that names rule and remedy.

    Side columns and resource columns cannot be judged: the first are not read, the second differ by machine.
    """
    known = [name for name in names if not columns.column(name).side and not columns.column(name).resource]
    unknown_row = pa.Table.from_pylist([{}], schema=columns.schema(known))
    for rule in rules:
        if rule.enabled:
            require(rule, known)
            _bind(rule, unknown_row)


def require(rule: Rule, names: Iterable[str]) -> None:
    """Raises RecipeError when the rule reads a column that is not among the names."""
    known = set(names)
    for name in rule.columns:
        if name not in known:
            fault = f"reads {name!r}, which is no column after {rule.after}"
            raise RecipeError(f"[filter.{rule.name}] {fault}; {columns.remedy(name, known)}")


def _bind(rule: Rule, row: pa.Table) -> None:
    condition, values = rule.sql("p")
    try:
        answer = query(f"select ({condition}\n) as kept from rows", {"rows": row}, values)
    except duckdb.Error as error:
        problem = str(error).partition("\n")[0]
        types = ", ".join(f"{name} is {row.schema.field(name).type}" for name in rule.columns)
        raise RecipeError(
            f"[filter.{rule.name}] keep = {rule.keep!r} cannot be computed: {problem}; compare what is of "
            f"one type: {types}"
        ) from error
    found = answer.schema.field("kept").type
    if not pa.types.is_boolean(found):
        problem = f"gives {found}, expected true or false; compare it with a threshold"
        raise RecipeError(f"[filter.{rule.name}] keep = {rule.keep!r} {problem}")


_KEYS = tuple(name for name in Rule.model_fields if name not in ("name", "parameters"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"the rules of {path.name} cannot be read: {error}") from error


def _rule(name: str, entry: Any) -> Rule:
    where = f"[filter.{name}]"
    if not name.isidentifier() or not isinstance(entry, Mapping):
        raise RecipeError(
            f"{where} is no rule; a rule is a plain name and a table with keep, why and thresholds"
        )
    used = _used(where, entry.get("keep"))
    given = [key for key in entry if key not in _KEYS]
    for key in given:
        if key not in used:
            raise RecipeError(
                f"{where} unknown key {key!r}, not used in keep; {nearest(key, (*_KEYS, *used))}"
            )
    for key in used:
        if key not in given:
            raise RecipeError(
                f"{where} keep uses ${key}, which has no value; add a line {key} = … to the rule"
            )
    settings = {key: value for key, value in entry.items() if key in _KEYS}
    parameters = tuple(_parameter(where, key, entry[key]) for key in given)
    return _made(where, Rule, {**settings, "name": name, "parameters": parameters})


def _used(where: str, keep: Any) -> tuple[str, ...]:
    if not isinstance(keep, str):
        raise RecipeError(
            f"{where} keep is missing or no text; write the SQL condition under which a row stays"
        )
    try:
        return guarded(keep).parameters
    except RecipeError as error:
        raise RecipeError(f"{where} keep = {keep!r}: {error}") from error


def _parameter(where: str, name: str, value: Any) -> Parameter:
    settings = dict(value) if isinstance(value, Mapping) else {"value": value}
    return _made(f"{where} {name}:", Parameter, {**settings, "name": name})


def _made(where: str, kind: type[T], settings: dict[str, Any]) -> T:
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise RecipeError(f"{where} {_sentence(error, kind)}") from error


def _sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else "value"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; {nearest(key, [name for name in kind.model_fields if name != 'name'])}"
    if first["type"] == "missing":
        return f"{key} is missing; add it"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}, found {first['input']!r}"


def _entry(rule: Rule) -> dict[str, Any]:
    """The rule as its TOML table."""
    settings = rule.model_dump(exclude={"name", "parameters"})
    return settings | {p.name: p.model_dump(exclude={"name"}, exclude_none=True) for p in rule.parameters}


def _nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in changes.items():
        name, dot, setting = key.partition(".")
        change = {setting: value} if dot else value
        if not isinstance(change, Mapping):
            raise RecipeError(f"[filter] {key!r} is no rule; write rule.threshold = value")
        nested[name] = {**nested.get(name, {}), **change}
    return nested


def _changed(name: str, rules: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's table after a change; thresholds that a new condition no longer uses are dropped."""
    if name not in rules:
        if "keep" not in change:
            raise RecipeError(f"unknown rule {name!r}; {nearest(name, rules)}; a new rule needs keep and why")
        return dict(change)
    old = rules[name]
    used = _used(f"[filter.{name}]", change.get("keep", old["keep"]))
    inherited = {key: value for key, value in old.items() if key in _KEYS or key in used}
    return inherited | {
        key: _replaced(f"{name}.{key}", inherited.get(key), value) for key, value in change.items()
    }


def _replaced(name: str, old: Any, new: Any) -> Any:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        _refuse_scale(name, old, new)
    if not isinstance(old, Mapping) or isinstance(new, Mapping):
        return new
    sort = _sort(old.get("value", 0.0))
    if sort != _sort(new):
        raise RecipeError(f"[filter] {name} is {sort}, found {new!r}; write such a value")
    return {key: value for key, value in old.items() if key in ("model", "scale")} | {"value": new}


def _refuse_scale(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """A number on another scale says nothing here; one without a word of its scale is taken for ours, and
    that of another model is refused by its model."""
    if new.get("model") in (None, old.get("model")) and new.get("scale") not in (None, old.get("scale")):
        raise RecipeError(
            f"[filter] {name} is on the scale {old.get('scale')!r}, found a threshold on {new['scale']!r}; "
            f"give a number on the first, and that scale or none"
        )


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list | tuple) else "a text"

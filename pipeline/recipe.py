"""A recipe: what to take, every stage's settings, the rules; checked whole before any work starts."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from filters.rules import Rule, check, load_rules, override
from manifests import columns, files
from manifests.errors import RecipeError, nearest
from stages.base import Stage
from stages.media import Limits

RECIPES = Path(__file__).parent / "recipes"
EMBEDDED = "default"
SHIPPED_RULES = Path(__file__).parents[1] / "filters" / "rules.toml"
T = TypeVar("T")


# The arguments of vLLM (EngineArgs of 0.29) that say how it runs and move last bits at most. Quantization,
# dtypes, processors, other files or a shorter context (RoPE of some models is scaled by it) change words.
VLLM: Mapping[str, Any] = {
    "tensor_parallel_size": PositiveInt,
    "pipeline_parallel_size": PositiveInt,
    "enable_expert_parallel": bool,
    "mm_encoder_tp_mode": Literal["weights", "data"],
    "distributed_executor_backend": Literal["mp", "ray"],
    "disable_custom_all_reduce": bool,
    "gpu_memory_utilization": Annotated[float, Field(gt=0, le=1)],
    "kv_cache_memory_bytes": PositiveInt,
    "cpu_offload_gb": NonNegativeFloat,
    "max_num_seqs": PositiveInt,
    "max_num_batched_tokens": PositiveInt,
    "enable_chunked_prefill": bool,
    "async_scheduling": bool,
    "enforce_eager": bool,
    "max_parallel_loading_workers": PositiveInt,
    "safetensors_load_strategy": Literal["lazy", "eager", "prefetch"],
    "disable_log_stats": bool,
}


class Resources(BaseModel):
    """How to run, never what comes out: nothing here enters a fingerprint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(default=0, ge=0, description="processes; 0 takes every core")
    order_rows: int = Field(
        default=16, ge=1, description="rows that one worker takes at a time; lost when it dies"
    )
    failed_limit: float = Field(
        default=0.1, ge=0, le=1, description="share of failed rows that stops a step, after 100 rows"
    )
    deadline_s: float = Field(
        default=60, gt=0, description="seconds that one row may take, before its media length counts"
    )
    memory_bytes: int = Field(default=4 << 30, gt=0, description="address space of a decode child")

    vllm: dict[str, Any] = Field(
        default={},
        description=f"how vLLM runs, as its own arguments, these and no others: {', '.join(VLLM)}",
    )

    @field_validator("vllm")
    @classmethod
    def _vllm(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: _argument(name, value) for name, value in given.items()}

    @property
    def processes(self) -> int:
        return self.workers or os.cpu_count() or 1

    @property
    def limits(self) -> Limits:
        return Limits(memory_bytes=self.memory_bytes, deadline_s=self.deadline_s)


class Source(BaseModel):
    """One place to take media from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str
    corpus: str = "main"


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. `stages` holds every step's stages in their order, `rules` all rules in theirs."""

    name: str
    sources: tuple[Source, ...]
    stages: Mapping[str, tuple[Stage, ...]]
    rules: tuple[Rule, ...]
    resources: Resources


def load(name: str, shapes: Mapping[str, tuple[type[Stage], ...]], settings: Iterable[str] = ()) -> Recipe:
    """The recipe of that name or path, with `key=value` settings over it; `shapes` are each step's stages.

    Raises RecipeError for a missing file, wrong TOML, an unknown section, key, rule or column (with the
    nearest valid name), or a value of the wrong type.
    """
    path, raw = files.named_toml("recipe", name, RECIPES)
    for setting in settings:
        _set(raw, setting)
    _known(raw, {"name", "sources", "run", "filter", *shapes}, "section")
    for section in ("run", "filter", *shapes):
        if not isinstance(raw.get(section, {}), dict):
            raise RecipeError(f"[{section}] is a section of settings, found {section} = {raw[section]!r}")
    return Recipe(
        name=str(raw.get("name", Path(name).stem)),
        sources=tuple(_model(Source, source, "sources") for source in _sources(raw)),
        stages={step: _stages(step, raw, kinds, path.parent) for step, kinds in shapes.items()},
        rules=_rules(raw.get("filter", {})),
        resources=_model(Resources, raw.get("run", {}), "run"),
    )


def check_graph(recipe: Recipe, given: Mapping[str, tuple[str, ...]]) -> None:
    """Every column that a stage or rule reads is written before; `given` are the columns a step starts with.

    Raises RecipeError that names the stage, the column and who could write it.
    """
    known: set[str] = set()
    for step, stages in recipe.stages.items():
        known |= set(given.get(step, ()))
        for stage in stages:
            for name in stage.reads:
                _written(recipe, stage, name, known)
            known |= {columns.column(name).name for name in stage.writes}
        small = sorted(
            name for name in known if not columns.column(name).side and not columns.column(name).resource
        )
        check([rule for rule in recipe.rules if rule.after == step], small)


def _written(recipe: Recipe, stage: Stage, name: str, known: set[str]) -> None:
    try:
        columns.column(name)
    except RecipeError as error:
        raise RecipeError(f"{stage.name} reads {name}: {error}") from error
    if name in known:
        return
    writers = [s.name for stages in recipe.stages.values() for s in stages if name in s.writes]
    hint = f"put {writers[0]} before it" if writers else columns.remedy(name, known)
    raise RecipeError(f"{stage.name} reads {name}, which no earlier stage writes; {hint}")


def _set(raw: dict[str, Any], setting: str) -> None:
    """`split.detector=content` over the recipe; the value is TOML, or else a plain string."""
    key, separator, text = setting.partition("=")
    path = key.strip().split(".")
    if not separator or not all(path):
        raise RecipeError(f"--set takes section.key=value, found {setting!r}")
    section = raw
    for part in path[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise RecipeError(f"--set {setting}: {part} is no section")
    section[path[-1]] = _value(text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sources(raw: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"uri": source} if isinstance(source, str) else source for source in raw.get("sources", [])]


def _known(raw: Mapping[str, Any], known: set[str], what: str) -> None:
    for key in raw:
        if key not in known:
            raise RecipeError(f"unknown {what} {key!r}; {nearest(key, known)}")


def _stages(
    step: str, raw: Mapping[str, Any], kinds: tuple[type[Stage], ...], folder: Path
) -> tuple[Stage, ...]:
    """One section holds the settings of all stages of its step: a name that two of them share is one setting.

    A kind of stage with a `section` of its own is made once for each table in it, one with a `home` of the
    settings of that step; settings that it `borrows` stand in another step's section only. `folder` is that
    of the recipe.
    """
    own = {kind.section for kind in kinds if kind.section}
    names = {kind: {field.name for field in dataclasses.fields(kind)} for kind in kinds if not kind.section}
    here = {name for kind, fields in names.items() for name in fields - _borrowed(kind) if not kind.home}
    lenders = {key: other for kind in kinds for other, key in kind.borrows}
    for key in raw.get(step, {}):
        if key in lenders and key not in here:
            raise RecipeError(f"[{step}] {key} is a setting of [{lenders[key]}]; write it there")
    if kinds:
        _known(raw.get(step, {}), {*own, *here}, f"setting of [{step}]")
    made: list[Stage] = []
    for kind in kinds:
        section = raw.get(kind.home or step, {})
        if kind.section:
            made += _named(step, section.get(kind.section, {}), kind, folder)
            continue
        given = {key: value for key, value in section.items() if key in names[kind]}
        given |= {key: raw[other][key] for other, key in kind.borrows if key in raw.get(other, {})}
        made.append(_model(kind, given, step, lenders))
    return tuple(stage for stage in made if stage.active)


def _borrowed(kind: type[Stage]) -> set[str]:
    return {name for _, name in kind.borrows}


def _named(step: str, tables: Any, kind: type[Stage], folder: Path) -> list[Stage]:
    where = f"{step}.{kind.section}"
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise RecipeError(f"[{where}] holds tables, one a stage: write [{where}.NAME]")
    known = {field.name for field in dataclasses.fields(kind)} - {*kind.derived}
    for name, table in tables.items():
        _known(table, known, f"setting of [{where}.{name}]")
    made = {
        f"[{where}.{name}]": _model(kind, kind.table(name, table, folder), f"{where}.{name}")
        for name, table in tables.items()
    }
    _refuse_alike(made)
    return list(made.values())


def _refuse_alike(made: Mapping[str, Stage]) -> None:
    """Stages, by their sections, write no column that SQL, to which case is nothing, takes for another."""
    known = {name.casefold(): name for name in columns.COLUMNS}
    for where, stage in made.items():
        for name in stage.writes:
            if name.casefold() in known:
                fault = f"writes {name}, which SQL cannot tell from {known[name.casefold()]}"
                raise RecipeError(f"{where} {fault}: case is nothing to it; give the table another name")
            known[name.casefold()] = f"{name} of {where}"


def _model(kind: type[T], value: Any, where: str, lenders: Mapping[str, str] | None = None) -> T:
    """What the section `where` holds, checked; `lenders` are the sections of settings that are borrowed."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        setting = "".join(str(part) for part in error.errors()[0]["loc"][:1])
        section = (lenders or {}).get(setting, where)
        raise RecipeError(f"[{section}] {_sentence(error, kind)}") from error


def _sentence(error: ValidationError, kind: type[Any]) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return (
            f"unknown key {place!r}; {nearest(place, TypeAdapter(kind).json_schema().get('properties', {}))}"
        )
    return f"{place}: {first['msg']}, found {json.dumps(first['input'], default=str)}"


def _argument(name: str, value: Any) -> Any:
    """The value of an argument of vLLM; raises RecipeError."""
    if name not in VLLM:
        raise RecipeError(
            f"[run.vllm] {name!r} is none of the arguments that only say how vLLM runs; {nearest(name, VLLM)}"
        )
    try:
        return TypeAdapter(VLLM[name]).validate_python(value)
    except ValidationError as error:
        raise RecipeError(f"[run.vllm] {name}: {error.errors()[0]['msg']}, found {value!r}") from error


def _rules(section: Mapping[str, Any]) -> tuple[Rule, ...]:
    return override(load_rules(SHIPPED_RULES), section)

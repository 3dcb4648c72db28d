"""One run from the outside: the lock, the recipe, the machines, the log."""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters import handles
from filters.rules import Rule
from manifests.errors import ManifestError, RecipeError, nearest
from manifests.manifest import Manifest
from pipeline.context import Context
from pipeline.model import ModelWork
from pipeline.progress import Log
from pipeline.recipe import EMBEDDED, Recipe, Source, check_graph, load
from pipeline.steps import GIVEN, SHAPES, check_dedup, run_steps
from pipeline.worker import Opener
from stages.models.weights import DEMO_PREFIX


@dataclass(frozen=True)
class LateCluster:
    """The Ray machines, started at the first order: a run that finds nothing to do starts none."""

    workers: int
    address: str | None = None
    vllm: Mapping[str, Any] = field(default_factory=dict)

    def run(self, opener: Opener, orders: list[Path]) -> Iterator[pa.Table]:
        from pipeline.run import Cluster

        return Cluster(self.workers, self.address, self.vllm).run(opener, orders)

    def run_model(self, work: ModelWork, orders: list[Path]) -> Iterator[pa.Table]:
        from pipeline.run import Cluster

        return Cluster(self.workers, self.address, self.vllm).run_model(work, orders)


def run_recipe(
    name: str,
    out: Path,
    *,
    sources: Iterable[str] = (),
    settings: Iterable[str] = (),
    only: Iterable[str] = (),
    address: str | None = None,
) -> None:
    """Run a recipe into a work directory, or finish what an earlier run left undone there.

    Raises RecipeError before anything starts; ManifestError when another run holds the directory, or a step
    cannot end.
    """
    # Workers may stand in another folder.
    out = out.absolute()
    recipe = checked_recipe(name, sources=sources, settings=settings)
    steps = known_steps(only)
    if not steps or "ingest" in steps:
        need_sources(recipe)
    if any(Path(source.uri).absolute() == out for source in recipe.sources):
        raise RecipeError(f"{out} is both source and work directory; name another one with --out")
    with held(out):
        log = Log(out)
        warning = prepare_models(recipe, log)
        engine = LateCluster(recipe.resources.processes, address, recipe.resources.vllm)
        try:
            run_steps(Context(out, recipe, engine, log, uuid.uuid4().hex[:8]), steps)
            if warning:
                # Once more, where people look in the end.
                log.say(warning)
        finally:
            log.write({"recipe": name, "settings": list(settings), "only": list(steps)})


def checked_recipe(
    name: str = EMBEDDED, *, sources: Iterable[str] = (), settings: Iterable[str] = ()
) -> Recipe:
    """The recipe with sources and settings of the command line over it, its whole graph checked."""
    recipe = load(name, SHAPES, settings)
    named = tuple(Source(uri=uri) for uri in sources)
    recipe = replace(recipe, sources=named or recipe.sources)
    check_graph(recipe, GIVEN)
    check_dedup(recipe)
    check_models(recipe)
    return recipe


def need_sources(recipe: Recipe) -> None:
    """Raises RecipeError when there is nothing to ingest."""
    if not recipe.sources:
        raise RecipeError("nothing to ingest: name a folder, a list or a tar with --in (make run IN=folder)")


def check_models(recipe: Recipe) -> None:
    """Every model and file that the recipe names is there, and every threshold is one of its own model's.

    Raises RecipeError.
    """
    for stages in recipe.stages.values():
        for stage in stages:
            stage.check()
    check_thresholds(recipe)


def check_thresholds(recipe: Recipe) -> None:
    """Raises RecipeError for a threshold that belongs to another model than the recipe names, or to another
    scale."""
    handles.check_thresholds(recipe.rules)
    for rule in (rule for rule in recipe.rules if rule.enabled):
        _check_thresholds(recipe, rule)


def _check_thresholds(recipe: Recipe, rule: Rule) -> None:
    """A number that was found with one model says nothing of another's."""
    every = [stage for stages in recipe.stages.values() for stage in stages if stage.model_label]
    labels = {s.model_label for s in every if set(s.writes) & set(rule.expression.columns)}
    for parameter in rule.parameters:
        if parameter.model and labels and parameter.model not in labels:
            raise RecipeError(
                f"[filter.{rule.name}] {parameter.name} = {parameter.spelled()} belongs to the model "
                f"{parameter.model!r}, this recipe scores with {', '.join(map(repr, sorted(labels)))}; write "
                f"{parameter.name} = {{ value = …, model = …, scale = … }} for that model, or "
                f"{parameter.name} = {{ top = 0.7 }} to keep a share of each corpus"
            )


def prepare_models(recipe: Recipe, log: Log) -> str:
    """Fetch what the recipe only names, and say when the demo's models meet other input than the demo's: in
    the sources or, where there are none, in what was ingested before. Returns that sentence, or none."""
    stages = [stage for stages in recipe.stages.values() for stage in stages]
    for stage in stages:
        stage.fetch()
    embedded = sorted({stage.model_label for stage in stages if stage.model_label.startswith(DEMO_PREFIX)})
    if not embedded or all(_drawn(place) for place in _places(recipe, log.out)):
        return ""
    warning = (
        f"warning: {', '.join(embedded)} know only the drawn shapes of the demo corpus; on other input "
        f"their scores and captions mean nothing. Name real models in the recipe (README, Models), or keep "
        f"your own texts with --set caption.text=source --set caption.caption_rows=recaption, which captions "
        f"only what has no text"
    )
    log.say(warning)
    return warning


def known_steps(names: Iterable[str]) -> tuple[str, ...]:
    """Names of steps; raises RecipeError that offers the nearest."""
    for step in (steps := tuple(names)):
        if step not in SHAPES:
            raise RecipeError(f"unknown step {step!r}; {nearest(step, SHAPES)}")
    return steps


def _places(recipe: Recipe, out: Path) -> set[Path]:
    """What is taken media from; where the recipe has no sources, the folders that ingest has listed."""
    if recipe.sources:
        return {Path(source.uri) for source in recipe.sources}
    ingested = Manifest.find(out, "ingest")
    found = ingested.all_rows(["location"])["location"].to_pylist() if ingested else []
    return {Path(place["path"]).parent for place in found}


def _drawn(place: Path) -> bool:
    """Whether a place is a demo corpus, beside which its truth lies, or in one."""
    return any((folder / "truth.json").is_file() for folder in place.parents)


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold the work directory for one run; the lock goes when the process does, however it ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / "lock").open("w")
    except OSError as error:
        raise ManifestError(f"cannot write to the work directory {out}: {error.strerror}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ManifestError(f"another run holds {out}; wait for it, or take another --out") from None
        yield

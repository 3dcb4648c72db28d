"""Which rows the rules of a step judge, and what each weighs: seconds, tokens, the cost of a caption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.rules import Rule
from filters.trial import Trial, Values
from manifests import columns
from manifests.errors import ManifestError, RecipeError, RowError, nearest
from manifests.manifest import Manifest
from pipeline.context import JUDGES
from pipeline.foresee import chained, measured_cpu_s_per_turn
from pipeline.recipe import Recipe
from pipeline.rulings import before
from pipeline.tune.places import Places
from stages.mix.compose import ComposeSamples
from stages.mix.tokens import visual_tokens

# A step that judges rules, and the step whose rows it judges.
ROWS_OF = {"ingest": "ingest", "filter": "score", "caption": "caption"}
# Seconds of one core that a caption takes while no run has measured it.
ASSUMED_CAPTION_S = 1.0


@dataclass(frozen=True)
class Universe:
    """The rows that are alive when the rules of `step` judge, with their columns read as they are asked for.

    `recipe` says how tokens are counted and what captioning is made of.
    """

    out: Path
    step: str
    recipe: Recipe
    manifest: Manifest
    _columns: dict[str, pa.ChunkedArray] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, out: Path, step: str, recipe: Recipe) -> Universe:
        """Raises RecipeError for a step that judges no rules, ManifestError when its rows are not there."""
        if step not in ROWS_OF:
            raise RecipeError(f"{step!r} judges no rules; {nearest(step, ROWS_OF)}")
        return cls(out, step, recipe, Manifest.open(out, ROWS_OF[step]))

    @cached_property
    def _live(self) -> pa.ChunkedArray:
        """Which rows of the manifest are judged: those without a fate, or only with one by these rules."""
        dead = before(self.manifest)["id"].combine_chunks()
        return pc.invert(pc.is_in(self.manifest.all_rows(["id"])["id"], value_set=dead))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The small columns that the rows carry."""
        folder, record = self.manifest.folder, self.manifest.record
        found = pa.parquet.read_schema(folder / next(iter(record["rows"].values()))).names
        return tuple(name for name in found if _known(name))

    def read(self, names: list[str]) -> pa.Table:
        """These columns of the rows, by id; a column is read once."""
        for name in names:
            if name not in self.names:
                raise RecipeError(f"the rows of {self.manifest.step} have no column {name!r}; run that step")
        missing = [name for name in names if name not in self._columns]
        if missing:
            table = self.manifest.all_rows(missing).filter(self._live)
            self._columns.update({name: table[name].combine_chunks() for name in missing})
        return pa.table({name: self._columns[name] for name in names})

    @cached_property
    def places(self) -> Places:
        """Where the row of an id stands."""
        return Places.of(self.read(["id"])["id"])

    def ids(self, places: Iterable[int]) -> list[str]:
        """The ids of the rows at these places."""
        return list(self.read(["id"])["id"].take(pa.array(places, pa.int64())).to_pylist())

    @cached_property
    def without_text(self) -> npt.NDArray[np.bool_]:
        """Which rows came without a text."""
        many = pc.fill_null(pc.list_value_length(self.read(["source_texts"])["source_texts"]), 0)
        found: npt.NDArray[np.bool_] = many.to_numpy() == 0
        return found

    @cached_property
    def trial(self) -> Trial:
        seconds = np.nan_to_num(self.numbers("duration_s"))
        tokens = {} if self.step == "ingest" else {"tokens": self.tokens}
        return Trial(len(seconds), self.read, {"seconds": seconds, **tokens})

    @cached_property
    def tokens(self) -> Values:
        """The visual tokens of each row by the recipe's rule, nought where the model would refuse it."""
        names = ["kind", "width_px", "height_px", "duration_s", "frame_count"]
        rows = self.read(names)
        compose = next(s for s in self.recipe.stages["mix"] if isinstance(s, ComposeSamples))
        # Many rows are of one size and length: each such shape is counted once.
        shapes = pa.table(
            {
                **{name: rows[name] for name in names if name != "duration_s"},
                "duration_s": pc.round(rows["duration_s"], 1),
            }
        )
        keyed = shapes.append_column("_row", pa.arange(0, len(shapes)))
        groups = keyed.group_by(names).aggregate([("_row", "list")])
        found = np.zeros(len(rows))
        for shape in groups.to_pylist():
            found[shape["_row_list"]] = _tokens(compose, shape)
        return found

    @cached_property
    def corpora(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """The names of the corpora, and which of them each row belongs to."""
        encoded = pc.dictionary_encode(self.read(["corpus"])["corpus"].combine_chunks())
        return list(encoded.dictionary.to_pylist()), encoded.indices.cast(pa.int64()).to_numpy()

    @property
    def measures(self) -> Iterator[columns.Column]:
        """The numeric columns that people look at as distributions."""
        for name in self.names:
            found = columns.column(name)
            if found.group in ("measures", "facts") and pa.types.is_floating(
                found.type
            ) | pa.types.is_integer(found.type):
                yield found

    def numbers(self, name: str) -> Values:
        """A numeric column as float64, NaN where it is unknown."""
        values = pc.cast(self.read([name])[name].combine_chunks(), pa.float64())
        found: Values = values.to_numpy(zero_copy_only=False)
        return found

    def rules(self, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        """Those rules that this step judges, enabled or not, in the order in which they judge; a disabled one
        only where its columns are there."""
        judged = [rule for after in JUDGES[self.step] for rule in rules if rule.after == after]
        return tuple(rule for rule in judged if rule.enabled or set(rule.columns) <= set(self.names))

    @cached_property
    def caption_s(self) -> tuple[float, str]:
        """Seconds of one core that captioning a row takes, and whether that was measured or assumed."""
        rate = measured_cpu_s_per_turn(self.out, "caption")
        if rate is None:
            return ASSUMED_CAPTION_S, "assumed"
        return rate * sum(1 for _ in groupby(self.recipe.stages["caption"], chained)), "measured"


def judging(out: Path, recipe: Recipe) -> list[str]:
    """The steps whose rules can be tuned on what a work directory holds, the most useful first.

    Raises ManifestError when there is none.
    """
    found = [
        step
        for step in ("filter", "caption", "ingest")
        if Manifest.find(out, ROWS_OF[step]) and any(rule.after in JUDGES[step] for rule in recipe.rules)
    ]
    if not found:
        raise ManifestError(f"{out} holds no step whose rows can be judged; `reelmix run --out {out}` first")
    return found


def _known(name: str) -> bool:
    try:
        return not columns.column(name).resource
    except RecipeError:
        # Digests and places of side values.
        return False


def _tokens(compose: ComposeSamples, shape: dict[str, Any]) -> float:
    try:
        return float(visual_tokens(compose.visual, shape, compose.max_side_px))
    except (RowError, TypeError):
        return 0.0

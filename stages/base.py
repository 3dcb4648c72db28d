"""The three shapes of a stage: a frozen record of settings that opens into a function over tables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError, RowError

if TYPE_CHECKING:
    import numpy as np

Work = Callable[[pa.Table], pa.Table]
Row = Mapping[str, Any]
Tensors = Mapping[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Stage:
    """Settings of a piece of work. Equal settings and `version` give equal results, hence one fingerprint.

    `reads` and `writes` name columns of `manifests.columns`; the worker hands over `id` and what is read,
    nothing else, and refuses a result that lacks or adds a column. `side` columns are fetched from their own
    files. A stage with a `section` stands in a recipe once for each table in [STEP.SECTION.NAME], from whose
    name and place it makes the settings `derived`; one with a `home` takes its settings from that other
    step's section, and those in `borrows`, as (step, setting), from another's: a field of that name and
    default, not to be set in its own section. Settings named in `selects` say which rows are meant
    (`applies`) and change no result: they enter no fingerprint. Nor do `resources`, which say how the work is
    done: batches, threads and engines move last bits of numbers, not what is measured. Rows of equal values
    in the column `together` reach a worker side by side, as far as an order goes. The rows that a stage makes
    which `spreads` are shared among the workers anew.
    """

    section: ClassVar[str] = ""
    derived: ClassVar[tuple[str, ...]] = ("called",)
    home: ClassVar[str] = ""
    borrows: ClassVar[tuple[tuple[str, str], ...]] = ()
    selects: ClassVar[tuple[str, ...]] = ()
    resources: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[str] = ""
    spreads: ClassVar[bool] = False

    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        return type(self).__name__

    def settings(self) -> dict[str, Any]:
        """The settings by name."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """What else decides the result (a model's digest, a library's version); joins the fingerprint."""
        return {}

    @classmethod
    def table(cls, called: str, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """The settings from the table [STEP.SECTION.`called`] of a recipe that lies in `folder`."""
        return {**given, "called": called}

    @property
    def active(self) -> bool:
        """Whether the recipe asks for this stage at all; one that is not active is left out of its step."""
        return True

    @property
    def model_label(self) -> str:
        """The name of the model behind what is written, which thresholds are bound to; empty without one."""
        return ""

    def check(self) -> None:
        """Look at what the settings point to (a model, a prompt file), quickly and before any work.

        Raises RecipeError that says what is missing.
        """

    def fetch(self) -> None:
        """Bring what is only named to this machine (a model from a hub), before any work."""

    def applies(self, rows: pa.Table) -> pa.Array | None:
        """Which of these live rows the stage is meant for; null for all. The others stay without a result."""
        return None

    def fingerprint(self) -> str:
        """16 hex digits of the settings, the version and the identity; resources stand in none of these."""
        aside = {*self.selects, *self.resources}
        decide = {name: value for name, value in self.settings().items() if name not in aside}
        value = [self.name, self.version, decide, self.identity()]
        return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def within(stage: Stage, step: str, **ranges: tuple[float, float]) -> None:
    """Raises RecipeError for a setting outside its range, both ends included."""
    for name, (least, most) in ranges.items():
        value = getattr(stage, name)
        if not least <= value <= most:
            expected = f"{least:g} to {most:g}" if math.isfinite(most) else f"{least:g} or more"
            raise RecipeError(f"{step}.{name} is {value}, expected {expected}")


class Map(Stage):
    """Work on the CPU, one row in, one or more rows out.

    A 1:1 stage returns `id` and its `writes`. A stage that makes rows writes `id` too, and returns
    `parent_id`.
    """

    def open(self) -> Work:
        """Load what is needed, once per worker; returns the work on a table of `id` and `reads`.

        A row that cannot be done carries `error` (see `per_row`) or is found by the worker, which repeats the
        table row by row.
        """
        raise NotImplementedError(f"{self.name} lacks open()")


@dataclass(frozen=True)
class Model(Stage):
    """Work of a model, 1:1: `prepare` runs on CPU workers, `forward` on the device, batched across parts.

    `batch_rows` is the most rows that `forward` is given at once.
    """

    resources: ClassVar[tuple[str, ...]] = ("batch_rows",)
    batch_rows: int = 32

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        """Opens what turns a table of `id` and `reads` into tensors, each with one entry a row, in order."""
        raise NotImplementedError(f"{self.name} lacks prepare()")

    def forward(self) -> Callable[[Tensors], pa.Table]:
        """Opens the model, once per actor; returns the work on tensors and `id`, which gives `id` and
        `writes`."""
        raise NotImplementedError(f"{self.name} lacks forward()")


class Whole(Stage):
    """Work that sees every row at once, over small columns."""


def per_row(function: Callable[[Row], Iterable[Row]], writes: Iterable[str]) -> Work:
    """Work that calls `function` for one row at a time; its RowError becomes that row's `error` and no
    other's.

    `function` returns the rows made from one row: each a mapping of `writes`.
    """
    made = list(writes)
    keys = ["parent_id", *made] if "id" in made else ["id", *made]
    key = keys[0]

    def work(table: pa.Table) -> pa.Table:
        done: list[dict[str, Any]] = []
        for row in table.to_pylist():
            try:
                done += [{**out, key: row["id"]} for out in function(row)]
            except RowError as error:
                done.append({key: row["id"], "error": str(error)})
        return columns.table(done, [*keys, "error"])

    return work

"""Any image classifier as a measure: how likely a clip's frames bear a label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError
from stages.base import Model, Tensors
from stages.frames import frame_pixels, per_frame
from stages.models import weights
from stages.models.classifier import Classifier
from stages.models.device import Dtype

DIGITS = 6
# See `stages.models.device.Padded`: classifiers have few outputs.
EVEN = 16


@dataclass(frozen=True)
class LabelStage(Model):
    """What the stages share that look for one label in stored frames, one a table of the recipe.

    `called` is the NAME of the table, `model` a folder or a hub's name, `label` one of the model's own.
    `batch` pictures go through at once, a multiple of 16.
    """

    resources = ("batch_rows", "threads", "batch")
    reads = ("frames",)

    batch_rows: int = 16
    called: str = ""
    model: str = ""
    label: str = ""
    dtype: Dtype = "float32"
    threads: int = 1
    batch: int = 32

    @property
    def name(self) -> str:
        return f"{type(self).__name__}.{self.called}"

    @property
    def model_label(self) -> str:
        return self.network.name

    @property
    def network(self) -> Classifier:
        return Classifier(self.model, self.label, self.dtype, self.threads, self.batch)

    def settings(self) -> dict[str, Any]:
        """The settings; the model by its name, wherever its files lie."""
        return {**super().settings(), "model": self.model_label}

    def identity(self) -> dict[str, Any]:
        return {"model": weights.identity(self.model, self.network.kind)}

    def check(self) -> None:
        """Raises RecipeError: a name that is no column, no model, a label that the model does not know."""
        where = f"[score.{self.section}.{self.called}]"
        if not self.called.isidentifier() or not self.model or not self.label:
            raise RecipeError(f"{where} needs a name of letters and digits, a model and a label")
        for name in ("batch_rows", "threads", "batch"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{where} {name} is 1 or more, found {getattr(self, name)}")
        if self.batch % EVEN:
            raise RecipeError(
                f"{where} batch is a multiple of {EVEN}, found {self.batch}: in others a picture's place "
                f"decides the last bits of its result"
            )
        self.network.check()

    def fetch(self) -> None:
        self.network.fetch()

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        pictures = self.network.pictures()
        return lambda table: {"pixels": frame_pixels(table, pictures)}


@dataclass(frozen=True)
class ClassifyFrames(LabelStage):
    """The probability of one label over the stored frames, as `class_NAME`; NAME is that of its table.

    A recipe has one table [score.classify.NAME] for each. `model` is a folder or a hub's name of a timm or
    transformers checkpoint, `pool` says how frames make a clip. Softmax over the labels; sigmoid for a model
    of one output or of several labels at once. Rounded to six digits. Fails rows with `no_frames`,
    `bad_frame`. Tensors: `pixels`, float32 (frames, 3, height, width) a row.
    """

    section: ClassVar[str] = "classify"

    pool: Literal["mean", "max"] = "mean"

    @property
    def writes(self) -> tuple[str, ...]:  # type: ignore[override]  # Elsewhere a constant of the class.
        return (f"{columns.CLASS}{self.called}",)

    def forward(self) -> Callable[[Tensors], pa.Table]:
        import numpy

        odds = self.network.open()
        (name,) = self.writes

        def classified(batch: Tensors) -> pa.Table:
            every = odds(numpy.concatenate(list(batch["pixels"]))).astype(numpy.float64)
            rows: list[dict[str, object]] = []
            for id_, found in zip(batch["id"].tolist(), per_frame(every, batch["pixels"]), strict=True):
                pooled = found.mean() if self.pool == "mean" else found.max()
                rows.append({"id": id_, name: round(float(pooled), DIGITS)})
            return columns.table(rows, ["id", name])

        return classified

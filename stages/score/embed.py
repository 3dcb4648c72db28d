"""The step score: the stored frames of a clip as points in the space of a CLIP model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError
from stages.base import Model, Tensors
from stages.frames import frame_pixels, per_frame
from stages.models.clip import OpenClip
from stages.models.device import Dtype

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ClipStage(Model):
    """What the stages share that use the CLIP model of the recipe.

    `clip_model` is `embedded`, a folder, `hf-hub:owner/name` or open_clip's `name/weights`; `batch`
    pictures or texts go through it at once, always so many. Dtype, batch and threads decide the last bits.
    """

    resources = ("batch_rows", "clip_threads", "batch")

    batch_rows: int = 16
    clip_model: str = "embedded"
    clip_dtype: Dtype = "float32"
    clip_threads: int = 1
    batch: int = 32

    @property
    def model(self) -> OpenClip:
        return OpenClip(self.clip_model, self.clip_dtype, self.clip_threads, self.batch)

    @property
    def model_label(self) -> str:
        return self.model.label

    def settings(self) -> dict[str, Any]:
        """The settings; the model by its name, wherever its files lie."""
        return {**super().settings(), "clip_model": self.model_label}

    def identity(self) -> dict[str, Any]:
        return self.model.identity()

    def check(self) -> None:
        """Raises RecipeError: a number below 1, no such model, no weights, another model's tokenizer."""
        for name in ("batch_rows", "batch", "clip_threads"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is 1 or more, found {getattr(self, name)}")
        self.model.check()

    def fetch(self) -> None:
        self.model.fetch()


@dataclass(frozen=True)
class EmbedFrames(ClipStage):
    """The CLIP embedding of each stored frame, and of the clip: their mean, scaled to length 1.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021).
    Tensors: `pixels`, one uint8 array (frames, 3, height, width) a row. Fails rows with `no_frames`,
    `bad_frame`.
    """

    reads = ("frames",)
    writes = ("frame_embeddings", "embedding")

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        pictures = self.model.pictures()
        return lambda table: {"pixels": frame_pixels(table, pictures)}

    def forward(self) -> Callable[[Tensors], pa.Table]:
        import numpy

        model = self.model.open()

        def embedded(batch: Tensors) -> pa.Table:
            every = model.images(numpy.concatenate(list(batch["pixels"])))
            rows: list[dict[str, object]] = []
            for id_, frames in zip(batch["id"].tolist(), per_frame(every, batch["pixels"]), strict=True):
                clip = pooled(frames).astype(numpy.float32)
                rows.append({"id": id_, "frame_embeddings": list(frames), "embedding": clip})
            return columns.table(rows, ["id", *self.writes])

        return embedded


def pooled(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The mean of embeddings (frames, dimension), scaled to length 1, in float64; zeros stay zeros."""
    import numpy

    mean = frames.mean(0, dtype=numpy.float64)
    clip: np.ndarray[Any, Any] = mean / max(float(numpy.linalg.norm(mean)), 1e-12)
    return clip

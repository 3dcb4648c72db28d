"""Any object detector as measures: how many of a label a clip's frames show, and how much of the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError
from stages.base import Tensors
from stages.frames import frame_pixels, per_frame, tiny
from stages.models.detector import Detector
from stages.score.boxes import covered
from stages.score.classify import LabelStage

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]

DIGITS = 6


@dataclass(frozen=True)
class CountObjects(LabelStage):
    """The most objects of one label that a stored frame shows, and the largest share of a frame that they
    cover, as `count_NAME` and `area_NAME`; NAME is that of its table.

    A recipe has one table [score.detect.NAME] for each. `model` is a folder or a hub's name of a transformers
    checkpoint for object detection; what its odds are above `threshold` counts (0.5 is the default of
    transformers' own). Shares to six digits. Both null under 16 px on a side. Fails rows with `no_frames`,
    `bad_frame`. Pictures of one shape go through together. Tensors: `pixels`, float32 (frames, 3, height,
    width) a row, none of pictures that are too small.
    """

    section: ClassVar[str] = "detect"
    version = 2

    threshold: float = 0.5
    batch: int = 16

    @property
    def writes(self) -> tuple[str, ...]:  # type: ignore[override]  # Elsewhere a constant of the class.
        return (f"{columns.COUNT}{self.called}", f"{columns.AREA}{self.called}")

    @property
    def network(self) -> Detector:
        return Detector(self.model, self.label, self.dtype, self.threads, self.batch)

    def check(self) -> None:
        """Raises RecipeError as for a classifier, and for a threshold that is no probability."""
        if not 0 <= self.threshold <= 1:
            raise RecipeError(f"[score.detect.{self.called}] threshold is {self.threshold}, expected 0 to 1")
        super().check()

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        import numpy

        pictures = self.network.pictures()

        def large(frames: Sequence[Image]) -> Array:
            if tiny(numpy.asarray(frame) for frame in frames):
                return numpy.empty((0, 3, 1, 1), numpy.float32)
            return pictures(frames)

        return lambda table: {"pixels": frame_pixels(table, large)}

    def forward(self) -> Callable[[Tensors], pa.Table]:
        find = self.network.open()

        def counted(batch: Tensors) -> pa.Table:
            rows: list[dict[str, object]] = []
            for places in _alike(batch["pixels"]):
                pixels = batch["pixels"][places]
                ids = batch["id"][places].tolist()
                rows += [
                    {"id": id_, **self._counted(frames)}
                    for id_, frames in zip(ids, _found(find, pixels), strict=True)
                ]
            return columns.table(rows, ["id", *self.writes])

        return counted

    def _counted(self, frames: Array) -> dict[str, object]:
        """The two measures of one row's frames (n, queries, 5); null without one."""
        if not len(frames):
            return dict.fromkeys(self.writes)
        seen = [frame[frame[:, 0] > self.threshold, 1:] for frame in frames]
        area = max(covered(boxes) for boxes in seen)
        return dict(zip(self.writes, (max(map(len, seen)), round(area, DIGITS)), strict=True))


def _found(find: Callable[[Array], Array], pixels: Array) -> list[Array]:
    import numpy

    return per_frame(find(numpy.concatenate(list(pixels))), pixels)


def _alike(pixels: Array) -> list[list[int]]:
    """The places of rows whose pictures have one shape, for each shape."""
    shapes = [of_row.shape[1:] for of_row in pixels]
    return [[n for n, shape in enumerate(shapes) if shape == one] for one in dict.fromkeys(shapes)]

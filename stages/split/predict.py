"""Where a network sees the boundaries of shots: windows over tiny frames, odds a frame, cuts of odds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages.base import Model, Tensors, within
from stages.models.device import Dtype
from stages.models.transnet import WINDOW, TransNet
from stages.split.tiny import TRANSNET, unpacked

if TYPE_CHECKING:
    import numpy as np

    from stages.split.detect import Boundary

    Array = np.ndarray[Any, Any]

# Of each window its middle is kept; what is before and behind it is context.
MIDDLE, CONTEXT = 50, 25
DIGITS = 6
# See `stages.models.device.Padded`: the last layer has one output for each of a window's 100 frames, and 400
# is the smallest number of those that 16 divides.
EVEN = 4


@dataclass(frozen=True)
class PredictBoundaries(Model):
    """TransNetV2's odds that a frame is the middle of a transition, one a frame of `tiny_frames`.

    `transnet_model` is a .safetensors or .onnx file, see `TransNet`; without `detector` = "transnet" this
    stage is left out. `transnet_batch` windows of 100 frames go through at once, a multiple of 4. Rounded to
    six digits; thresholds are `cuts_of`'s. Fails rows with `bad_frame`, `no_odds`.
    Tensors: `tiny`, the compressed frames as uint8 (bytes,) a row.
    """

    resources = ("batch_rows", "transnet_threads", "transnet_batch")
    reads = ("kind", "tiny_frames")
    writes = ("shot_odds",)

    batch_rows: int = 16
    detector: str = ""
    transnet_model: str = ""
    transnet_dtype: Dtype = "float32"
    transnet_threads: int = 1
    transnet_batch: int = 8

    @property
    def active(self) -> bool:
        return self.detector == TRANSNET

    @property
    def model(self) -> TransNet:
        return TransNet(self.transnet_model, self.transnet_dtype, self.transnet_threads, self.transnet_batch)

    @property
    def model_label(self) -> str:
        return self.model.label

    def settings(self) -> dict[str, Any]:
        """The settings; the model by its name, wherever its file lies."""
        return {**super().settings(), "transnet_model": self.model_label}

    def identity(self) -> dict[str, Any]:
        return self.model.identity() if self.active else {}

    def check(self) -> None:
        """Raises RecipeError: no model named, none that is TransNetV2, a number that is none."""
        if not self.transnet_model:
            raise RecipeError(
                'split.detector is "transnet", and transnet_model names no file; write the path of its '
                ".safetensors or .onnx file there, or take another detector"
            )
        one = (1, math.inf)
        within(self, "split", batch_rows=one, transnet_threads=one, transnet_batch=one)
        if self.transnet_batch % EVEN:
            raise RecipeError(
                f"split.transnet_batch is a multiple of {EVEN}, found {self.transnet_batch}: in others a "
                f"window's place decides the last bits of its result"
            )
        self.model.check()

    def applies(self, rows: pa.Table) -> pa.Array | None:
        return pc.equal(rows["kind"], "video")

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        import numpy

        def prepared(table: pa.Table) -> Tensors:
            made = numpy.empty(len(table), object)
            for n, content in enumerate(table["tiny_frames"]):
                # Small until the device has them: ten minutes of frames are 10 MB here and 70 MB as pixels.
                made[n] = numpy.frombuffer(content.as_py() or b"", numpy.uint8)
            return {"tiny": made}

        return prepared

    def forward(self) -> Callable[[Tensors], pa.Table]:
        network = self.model.open()

        def predicted(batch: Tensors) -> pa.Table:
            films = (unpacked(content.tobytes()) for content in batch["tiny"])
            rows: list[dict[str, object]] = []
            for id_, odds in zip(
                batch["id"].tolist(), odds_of(films, network, self.transnet_batch), strict=True
            ):
                rows.append({"id": id_, "shot_odds": _finite(odds)})
            return columns.table(rows, ["id", *self.writes])

        return predicted


def odds_of(films: Iterable[Array], network: Callable[[Array], Array], batch: int) -> list[Array]:
    """What a network gives for each frame of each film, in windows that reach across none.

    Each film is uint8 (frames, 27, 48, 3); the network is called with up to `batch` windows of 100 frames and
    gives (windows, 100). Of a window its middle 50 frames count; before the first and behind the last frame
    of a film stand copies of these. (Souček and Lokoč 2020, section 3.)
    """
    import numpy

    counts: list[int] = []
    every = _windows(films, counts)
    made = [numpy.empty(0, numpy.float32)]
    while some := list(islice(every, batch)):
        made.append(network(numpy.stack(some))[:, CONTEXT : CONTEXT + MIDDLE].ravel())
    ends = numpy.cumsum([MIDDLE * _count(frames) for frames in counts], dtype=int)
    parts = numpy.split(numpy.concatenate(made), ends)[:-1]
    return [part[:frames] for part, frames in zip(parts, counts, strict=True)]


def cuts_of(odds: Sequence[float] | Array, threshold: float) -> list[Boundary]:
    """The boundaries where odds, one a frame, exceed a threshold.

    As in `predictions_to_scenes` of TransNetV2's own inference/transnetv2.py, the first frame of a run of
    such odds is the last of the old shot, and the frame behind the run is the first of the new one. So a run
    of one frame n is a hard cut (n + 1, n + 1); a longer one, of frames [n, m), is gradual, (n + 1, m). A run
    that begins with the film has no shot before it: (0, m), gradual; one that lasts to its end has none
    behind it, and is none when it is of one frame. Where all odds exceed the threshold there is no boundary.
    """
    import numpy

    from stages.split.detect import Boundary

    over = numpy.concatenate([[False], numpy.asarray(odds) > threshold, [False]])
    edges = numpy.flatnonzero(over[1:] != over[:-1]).tolist()
    found: list[Boundary] = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        first = begin + 1 if begin else 0
        if (begin == 0 or first == end) and end == len(odds):
            continue
        found.append(Boundary(first, end, "hard" if first == end else "gradual"))
    return found


def _windows(films: Iterable[Array], counts: list[int]) -> Iterator[Array]:
    """The windows (100, 27, 48, 3) of one film after the other; their lengths are appended to `counts`."""
    import numpy

    for frames in films:
        counts.append(len(frames))
        for number in range(_count(len(frames))):
            wanted = numpy.arange(WINDOW) + (MIDDLE * number - CONTEXT)
            yield frames[wanted.clip(0, len(frames) - 1)]


def _count(frames: int) -> int:
    return math.ceil(frames / MIDDLE)


def _finite(odds: Array) -> Array:
    """The odds, rounded; raises RowError `no_odds` when some are not numbers."""
    import numpy

    if not numpy.isfinite(odds).all():
        raise RowError("no_odds", "the network gives no numbers for some frames; take a dtype of wider range")
    return numpy.round(odds.astype(numpy.float32), DIGITS)

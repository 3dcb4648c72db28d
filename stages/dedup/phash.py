"""What a small picture looks like, in 64 bits and in 16 colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from stages.base import Map, Row, Work, per_row
from stages.frames import decoded

SIDE_PX = 32
KEPT = 8
GRID = 4
FLAT_LEVELS = 2.0

_N = np.arange(SIDE_PX)
# Row k is the k-th basis of the DCT-II, y_k = 2 * sum over n of x_n * cos(pi * k * (2n + 1) / 2N).
_COSINES = 2 * np.cos(np.pi * np.arange(KEPT)[:, None] * (2 * _N + 1) / (2 * SIDE_PX))
_ROUNDED_TO = 6


class HashFrames(Map):
    """How each stored frame looks: its perceptual hash, and its colours on a coarse grid.

    `phashes` has one value a frame, null for a flat one (`phash`); `colours` has 16 a frame (`grid_colours`).
    Both are null for a row without frames. Fails a row with `bad_frame` when a stored frame is spoilt.
    """

    reads = ("frames",)
    writes = ("phashes", "colours")

    def open(self) -> Work:
        return per_row(_hash_row, self.writes)


def phash(picture: Image.Image) -> int | None:
    """The 64-bit DCT hash of a picture of any size and mode; null when it is flat.

    As `imagehash.phash` (github.com/JohannesBuchner/imagehash): gray by ITU-R 601-2 (Pillow's mode L),
    resized to 32 x 32 by Lanczos, two-dimensional DCT-II, its 8 x 8 lowest coefficients; a bit is 1 when its
    coefficient exceeds the median of the 64. The top left coefficient is the highest bit, then row by row. So
    32 bits are set, bar ties, and distances are even. Two differences: coefficients are rounded to 1e-6, so
    that the zeros of a symmetric picture are zeros on every machine; and a picture whose 32 x 32 grays have a
    standard deviation below 2 of 255 levels has no hash, as there only the noise of its compression would be
    hashed (all that is constant would be alike).
    """
    grays = np.asarray(picture.convert("L").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS), np.float64)
    return None if grays.std() < FLAT_LEVELS else hash_grays(grays)


def hash_grays(grays: npt.NDArray[np.float64]) -> int:
    """The hash of 32 x 32 gray levels, flat or not."""
    low = np.round(_COSINES @ grays @ _COSINES.T, _ROUNDED_TO)
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def grid_colours(picture: Image.Image) -> list[int]:
    """The mean colour of each cell of a 4 x 4 grid, row by row, each as 0xRRGGBB."""
    cells = np.asarray(picture.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX), np.uint32)
    packed = cells[..., 0] << 16 | cells[..., 1] << 8 | cells[..., 2]
    return [int(colour) for colour in packed.ravel()]


def _hash_row(row: Row) -> Iterable[dict[str, Any]]:
    if row["frames"] is None:
        return [{"phashes": None, "colours": None}]
    pictures = [decoded(frame["jpeg"]) for frame in row["frames"]]
    colours = [colour for picture in pictures for colour in grid_colours(picture)]
    return [{"phashes": [phash(picture) for picture in pictures], "colours": colours}]

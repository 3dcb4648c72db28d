"""The last few hundred frames as the detector sees them, by number, in memory of a fixed size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from stages.split.alike import MOST_UNCHANGED, alike, unchanged
from stages.split.eyes import CELLS, CHROMA, GRID, Glance

Pixels = np.ndarray[Any, Any]
FRAMES = 512
LUMA_CELLS = CELLS[0] * CELLS[1]
ALL_CELLS = LUMA_CELLS + 2 * CHROMA[0] * CHROMA[1]


class Window:
    """Frames `count - FRAMES` to `count - 1`, counted from 0 as they were added; the pictures are `aspect`
    times as wide as they are high."""

    def __init__(self, aspect: float = 16 / 9) -> None:
        self.count, self.aspect = 0, aspect
        self._grids = np.zeros((FRAMES, GRID[1], GRID[0]), np.uint8)
        self._cells = np.zeros((FRAMES, ALL_CELLS), np.uint8)
        self._contrast = [0.0] * FRAMES
        self._steps = [0.0] * FRAMES
        self._nearest = [0.0] * FRAMES
        self._times_s = [0.0] * FRAMES

    def add(self, glance: Glance, time_s: float) -> None:
        """Take the next frame, shown at this time."""
        at = self.count % FRAMES
        self._grids[at], self._cells[at], self._contrast[at] = glance.grid, glance.cells, glance.contrast
        before = self._cells[at - 1] if self.count else glance.cells
        luma = cv2.norm(before[:LUMA_CELLS], glance.cells[:LUMA_CELLS], cv2.NORM_L1)
        chroma = cv2.norm(before[LUMA_CELLS:], glance.cells[LUMA_CELLS:], cv2.NORM_L1)
        self._steps[at] = luma / LUMA_CELLS + 2 * chroma / (ALL_CELLS - LUMA_CELLS)
        self._nearest[at] = (luma + chroma) / ALL_CELLS
        self._times_s[at] = time_s
        self.count += 1

    @property
    def oldest(self) -> int:
        return max(0, self.count - FRAMES)

    def grid(self, n: int) -> Pixels:
        """The grid of frame n, or of the nearest one that there is."""
        return np.asarray(self._grids[min(max(n, self.oldest), self.count - 1) % FRAMES])

    def chroma(self, n: int) -> Pixels:
        """The chroma of frame n, or of the nearest one that there is, as (2, 9, 16)."""
        at = min(max(n, self.oldest), self.count - 1) % FRAMES
        return np.asarray(self._cells[at, LUMA_CELLS:].reshape(2, CHROMA[1], CHROMA[0]))

    def one_scene(self, n: int, m: int, most_alike: float) -> bool:
        """Whether two frames are more alike than this, or keep many of their blocks."""
        grids, chroma = ([get(frame) for frame in (n, m)] for get in (self.grid, self.chroma))
        return alike(*grids) > most_alike or unchanged(*grids, *chroma) > MOST_UNCHANGED

    def contrast(self, n: int) -> float:
        return self._contrast[n % FRAMES]

    def step(self, n: int) -> float:
        """How far frame n is from the one before: mean luma difference plus twice the chroma's, in levels."""
        return self._steps[n % FRAMES]

    def seconds(self, first: int, last: int) -> float:
        """How much later frame `last` is shown than frame `first`."""
        return self._times_s[last % FRAMES] - self._times_s[first % FRAMES]

    def jump(self, first: int, last: int) -> float:
        """The largest `far` of two neighbours among frames `first` to `last`."""
        return max(self._nearest[n % FRAMES] for n in range(first + 1, last + 1))

    def far_back(self, n: int, lengths: Pixels) -> list[float]:
        """`far` of frame n and each one so many frames before; of one that is not there it means nothing."""
        before = self._cells[(n - lengths) % FRAMES].astype(np.int16)
        sums: list[int] = np.abs(before - self._cells[n % FRAMES]).sum(1).tolist()
        return [total / ALL_CELLS for total in sums]

    def far(self, n: int, m: int) -> float:
        """The mean absolute difference of the cells of two frames, in levels."""
        return float(cv2.norm(self._cells[n % FRAMES], self._cells[m % FRAMES], cv2.NORM_L1)) / ALL_CELLS

    def cells(self, numbers: Pixels) -> Pixels:
        """The cells of these frames, (frames, 864) as float32."""
        return np.asarray(self._cells[numbers % FRAMES], np.float32)

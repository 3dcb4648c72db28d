"""How a decoded frame is looked at: thinned planes in place, pictures by one reused scaler, nothing
unasked."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

if TYPE_CHECKING:
    import av

Pixels = np.ndarray[Any, Any]
# What luma and chroma are thinned to, (width, height), by picking pixels: grain is not averaged away.
LUMA, THIN_CHROMA = (128, 72), (32, 18)
# What shots are found by: luma averaged to this size (width, height), once more to half of it, and chroma.
GRID, CELLS, CHROMA = (64, 36), (32, 18), (16, 9)
# Margin of the grid that may be bars.
_BARS = 6
# Planar formats whose first plane is luma that can be looked at in place, and the bits that it has.
_PLANAR = {
    **dict.fromkeys(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuva420p"), 8),
    **dict.fromkeys(("yuv420p10le", "yuv422p10le", "yuv444p10le"), 10),
    **dict.fromkeys(("yuv420p12le", "yuv422p12le", "yuv444p12le"), 12),
}
_LUMA_ONLY = {"nv12": 8, "gray": 8}
_FULL_RANGE = 2
# ffmpeg's blackdetect: pixel_black_th 0.10 of the full range.
BLACK_LUMA = 0.10


@dataclass(frozen=True)
class Glance:
    """What is known of one frame at once. `grid` (36, 64) and `cells` (864 values: luma 18 x 32, chroma 2 x 9
    x 16) are 8-bit averages; `luma_mean` and `change` are shares of the full range, `change` (against the
    frame before) null for the first; `contrast` is the standard deviation of the grid without its
    margin, in levels."""

    grid: Pixels
    cells: Pixels
    luma_mean: float
    black_share: float
    contrast: float
    change: float | None
    digest: bytes


class Eyes:
    """Looks at the frames of one stream in their order."""

    def __init__(self) -> None:
        self._colours, self._lumas, self._planes = (VideoReformatter() for _ in range(3))
        self._small: tuple[int, int] | None = None
        self._before: Pixels | None = None

    def glance(self, frame: av.VideoFrame) -> Glance:
        """The measures of the next frame."""
        planes, full = self._thin(frame)
        luma = planes[0]
        grid = cv2.resize(luma, GRID, interpolation=cv2.INTER_AREA)
        cells = [cv2.resize(grid, CELLS, interpolation=cv2.INTER_AREA).ravel()]
        cells += [cv2.resize(plane, CHROMA, interpolation=cv2.INTER_AREA).ravel() for plane in planes[1:3]]
        found = hashlib.blake2b(luma.data, digest_size=8)
        for plane in planes[1:3]:
            found.update(plane.data)
        base, scale = (0, 255) if full else (16, 219)
        black = np.count_nonzero(luma < math.ceil(base + BLACK_LUMA * scale))
        _, spread = cv2.meanStdDev(grid[_BARS:-_BARS, _BARS:-_BARS])
        return Glance(
            np.asarray(grid),
            np.concatenate(cells) if len(cells) == 3 else _gray(cells[0]),
            min(1.0, max(0.0, (cv2.mean(luma)[0] - base) / scale)),
            black / luma.size,
            float(spread[0, 0]),
            self._change(luma, scale),
            found.digest(),
        )

    def _change(self, luma: Pixels, scale: int) -> float | None:
        """Mean absolute difference from the frame before."""
        before, self._before = self._before, luma
        if before is None:
            return None
        return float(cv2.norm(luma, before, cv2.NORM_L1)) / luma.size / scale

    def sharp(self, frame: av.VideoFrame, long_side: int) -> Pixels:
        """The luma with at most `long_side` pixels along its long side."""
        size = _fitted(frame.width, frame.height, long_side)
        return _first(self._lumas.reformat(frame, *size, "gray8", interpolation="BILINEAR", threads=1), 1)

    def colour(self, frame: av.VideoFrame, long_side: int) -> Pixels:
        """A BGR picture with at most `long_side` pixels along its long side, as it is stored (not turned)."""
        if self._small is None:
            self._small = _fitted(frame.width, frame.height, long_side)
        # Every picture has the size of the first, also when the stream changes its own in the middle.
        return _first(
            self._colours.reformat(frame, *self._small, "bgr24", interpolation="FAST_BILINEAR", threads=1), 3
        )

    def _thin(self, frame: av.VideoFrame) -> tuple[list[Pixels], bool]:
        """Thinned 8-bit luma and, where there are any, chroma planes; and whether they have the full
        range."""
        name = frame.format.name
        full = frame.color_range == _FULL_RANGE or name.startswith(("yuvj", "gray"))
        bits, count = _PLANAR.get(name), 3
        if bits is None:
            bits, count = _LUMA_ONLY.get(name), 1
        if bits is None:
            # Palettes, RGB and the rare: converted whole, at the price of a second look.
            made = self._planes.reformat(frame, format="yuv444p", dst_color_range="JPEG", threads=1)
            frame, bits, count, full = made, 8, 3, True
        luma, *chroma = frame.planes[:count]
        thin = [_thinned(luma, (frame.width, frame.height), LUMA, bits)]
        return [*thin, *(_thinned(p, (p.width, p.height), THIN_CHROMA, bits) for p in chroma)], full


def _thinned(
    plane: av.video.plane.VideoPlane, used: tuple[int, int], size: tuple[int, int], bits: int
) -> Pixels:
    """Pixels of a plane, evenly picked, as 8 bits: `size` of the `used` ones (width, height)."""
    lines = _lines(plane, used[0], 2 if bits > 8 else 1)[: used[1]]
    thin: Pixels = cv2.resize(lines, size, interpolation=cv2.INTER_NEAREST)
    return (thin >> (bits - 8)).astype(np.uint8) if bits > 8 else thin


def _lines(plane: av.video.plane.VideoPlane, width: int, bytes_: int) -> Pixels:
    """A plane's lines, without the padding at their ends."""
    kind = np.uint16 if bytes_ == 2 else np.uint8
    return np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // bytes_)[:, :width]


def _first(frame: av.VideoFrame, channels: int) -> Pixels:
    """The first plane as (height, width) or (height, width, channels)."""
    lines = _lines(frame.planes[0], frame.width * channels, 1)[: frame.height]
    return lines.reshape(frame.height, frame.width, channels) if channels > 1 else lines


def _gray(luma: Pixels) -> Pixels:
    return np.concatenate([luma, np.full(2 * CHROMA[0] * CHROMA[1], 128, np.uint8)])


def _fitted(width: int, height: int, long_side: int) -> tuple[int, int]:
    share = min(1.0, long_side / max(width, height))
    return max(1, round(width * share)), max(1, round(height * share))

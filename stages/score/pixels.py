"""What the stored frames look like: exposure, contrast, sharpness, and the bars around the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from stages.base import Map, Row, Work, per_row
from stages.frames import pictures, tiny

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[Any, Any]

# ffmpeg's blackdetect: pixel_black_th 0.10 of the range; the bright end is its mirror image.
DARK, BRIGHT = 0.1 * 255, 0.9 * 255
# ffmpeg's cropdetect: a line is black while its mean is at most 24, black being 16 of 16 to 235. Here black
# is 0 of 0 to 255.
BAR = (24 - 16) / 219 * 255


@dataclass(frozen=True)
class MeasureFrames(Map):
    """Exposure, contrast, sharpness and bars of the stored frames; no media is decoded.

    Luma is BT.601 of the stored JPEG, 0 to 255. Shares of dark and bright pixels: see DARK and BRIGHT.
    `contrast`: standard deviation of luma / 255 (RMS contrast: Peli, "Contrast in complex images", J. Opt.
    Soc. Am. A 7, 1990), like the shares a mean over the frames. `sharpness`: variance of the Laplacian
    (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000), kernel 0 1 0, 1 -4 1,
    0 1 0. Bars: see `bars`. All null under 16 px on a side. Fails rows with `no_frames`, `bad_frame`.
    """

    reads = ("frames",)
    writes = ("dark_share", "bright_share", "contrast", "sharpness", "letterbox_share", "border_share")

    def identity(self) -> dict[str, Any]:
        """The library whose arithmetic decides the result."""
        return {name: metadata.version(name) for name in ("numpy", "opencv-python-headless")}

    def open(self) -> Work:
        def look(row: Row) -> Iterable[Row]:
            return [of_pictures(pictures(row, len(row["frames"] or ())))]

        return per_row(look, self.writes)


def of_pictures(seen: Sequence[Pixels]) -> dict[str, float | None]:
    """The columns of MeasureFrames of RGB pictures, uint8 (height, width, 3)."""
    import cv2
    import numpy

    if tiny(seen):
        return dict.fromkeys(MeasureFrames.writes)
    lumas = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in seen]
    return {
        "dark_share": float(numpy.mean([(luma < DARK).mean() for luma in lumas])),
        "bright_share": float(numpy.mean([(luma > BRIGHT).mean() for luma in lumas])),
        "contrast": float(numpy.mean([luma.std() for luma in lumas])) / 255,
        "sharpness": max(float(cv2.Laplacian(luma, cv2.CV_64F).var()) for luma in lumas),
        "letterbox_share": bars([luma[..., None] for luma in lumas], 0),
        "border_share": bars(seen),
    }


def bars(seen: Sequence[Pixels], level: int | None = None) -> float | None:
    """The share of the picture outside the lines that show something in any of the pictures; None when no
    line does, or when the pictures differ in size.

    From each side in turn (top, bottom, then left and right of what is left) lines are bars while in every
    picture their pixels lie within BAR of one colour, in the mean and in each channel (ffmpeg's cropdetect,
    but for its median over time). The colour is `level`, else the median of the side's outermost line. What
    is black or plain in itself counts as well: a title on black, a sky without clouds.
    """
    import numpy

    if len({picture.shape for picture in seen}) > 1:
        return None
    every = numpy.stack(seen).astype(numpy.int16)
    top, bottom = _ends(every, level)
    inner = every[:, top:bottom].transpose(0, 2, 1, 3)
    left, right = _ends(inner, level) if top < bottom else (0, 0)
    if left >= right:
        return None
    _, height, width, _ = every.shape
    return float(1 - (bottom - top) * (right - left) / (height * width))


def _ends(every: Pixels, level: int | None) -> tuple[int, int]:
    """The first line that is no bar, and the one behind the last, of (pictures, lines, pixels, channels)."""
    first = _bar_lines(every, level)
    return (first, len(every[0]) - _bar_lines(every[:, ::-1], level)) if first < len(every[0]) else (0, 0)


def _bar_lines(every: Pixels, level: int | None) -> int:
    import numpy

    colour = numpy.median(every[:, 0], axis=(0, 1)) if level is None else level
    for n in range(every.shape[1]):
        if (numpy.abs(every[:, n] - colour).mean(1) > BAR).any():
            return n
    return int(every.shape[1])

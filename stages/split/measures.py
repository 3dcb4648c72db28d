"""What is measured of every frame, and how a clip's measures come of it; definitions stand with the
columns."""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from stages.frames import LEAST_PX
from stages.split.eyes import BLACK_LUMA, Glance

Pixels = np.ndarray[Any, Any]

# ffmpeg's blackdetect: picture_black_ratio_th 0.98 (what is black stands in `eyes`).
BLACK_PIXELS = 0.98
# ffmpeg's freezedetect: mean difference below -60 dB.
FREEZE_NOISE = 0.001
# Crete et al. 2007 blur with a mean filter of this many pixels; below this spread of luma there is nothing to
# judge by.
BLUR_PIXELS = 11
FLAT_LUMA = 0.01
# A gap of this much less than two is one of two frames.
_LATE = 0.25


@dataclass
class FrameMeasures:
    """One value a decoded frame, in order: about 100 bytes a frame, whatever its size."""

    luma: list[float] = field(default_factory=list)
    black: list[bool] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)

    def add(self, glance: Glance) -> None:
        """Take the next frame; the change of the first is unknown."""
        self.luma.append(glance.luma_mean)
        self.black.append(glance.black_share >= BLACK_PIXELS)
        self.change.append(math.nan if glance.change is None else glance.change)
        self.digests.append(glance.digest)

    def of_clip(self, first: int, end: int, shown: Sequence[int], *, held: float = 0.0) -> dict[str, Any]:
        """The measures of decoded frames [first, end) as columns; `shown` is how long each of them is, in any
        unit, and `held` the `held_share` of the clip's time."""
        changes = [change for change in self.change[first + 1 : end] if not math.isnan(change)]
        frozen = mean([change < FREEZE_NOISE for change in changes])
        motion = mean(changes)
        return {
            "luma_mean": _weighted(self.luma[first:end], shown),
            "black_share": _weighted(self.black[first:end], shown),
            "motion": None if motion is None else (1 - held) * motion,
            "freeze_share": None if frozen is None else held + (1 - held) * frozen,
        }


def held_share(times: Sequence[int], least: float = 0) -> float:
    """How much of a clip repeats the frame before it, though no frame says so: the share of steps of the
    usual length at which none is shown anew. `times` of its frames, at least two, and of its end.

    Ours. Usual is the lower quartile of what lies between two frames, and 1.75 of it are two: frames that
    come late by less are not held. Gaps under `least` are wrong times, not usual ones. 0 where frames are
    evenly spaced; where repeated frames were dropped their share, if one gap in four is still that of one
    frame.
    """
    gaps = np.diff(times)
    between = np.sort(gaps[:-1])
    shown = between[between >= least] if between[-1] >= least else between
    usual = shown[(len(shown) - 1) // 4]
    steps = np.maximum(1, (gaps / usual + _LATE).astype(np.int64))
    return float(1 - len(between) / (int(steps.sum()) - 1))


def mean(values: Sequence[float]) -> float | None:
    """The mean of values, exactly summed; null of none."""
    return math.fsum(values) / len(values) if values else None


def _weighted(values: Sequence[float], weights: Sequence[int]) -> float | None:
    total = sum(weights)
    return math.fsum(map(operator.mul, values, weights)) / total if total else None


def content_hash(shape: str, frames: int, content: bytes) -> str:
    """32 hex digits of the displayed shape, the number of frames and what represents the pictures."""
    return hashlib.sha256(f"{shape}:{frames}:".encode() + content).hexdigest()[:32]


def spread(colour: Pixels) -> float:
    """Root mean square over the three channels of their standard deviation in the picture, 0 to 1."""
    _, deviations = cv2.meanStdDev(colour)
    return float(np.sqrt(np.mean(np.square(deviations)))) / 255


def is_black(luma: Pixels) -> bool:
    """Whether at least 98 % of the pixels of a full-range 8-bit luma are below a tenth of the range."""
    return bool((luma < BLACK_LUMA * 255).mean() >= BLACK_PIXELS)


def blur(luma: Pixels) -> float | None:
    """No-reference perceptual blur, 0 sharp to 1 blurred; None for a flat picture, and for one under 16 px on
    a side, which the filter covers.

    Crete, Dolmiere, Ladret, Nicolas, "The blur effect" (SPIE 2007): how much of the variation between
    neighbouring pixels a mean filter of 11 pixels destroys, the worse of the two directions; in the form of
    scikit-image's `blur_effect` but for its Sobel smoothing. `luma` is 2-D, 8 bits.
    """
    if min(luma.shape) < LEAST_PX or float(cv2.meanStdDev(luma)[1][0, 0]) / 255 < FLAT_LUMA:
        return None
    # In 16 bits, so that filtering keeps fractions of a level and sums of Sobel's weights still fit.
    picture = luma.astype(np.int16) << 5
    shares = [_lost(picture, axis) for axis in (0, 1)]
    known = [share for share in shares if share is not None]
    return max(known) if known else None


def _lost(picture: Pixels, axis: int) -> float | None:
    """The share of variation along an axis that is left when the picture is filtered along it."""
    kernel = (1, BLUR_PIXELS) if axis == 0 else (BLUR_PIXELS, 1)
    smooth = cv2.blur(picture, kernel, borderType=cv2.BORDER_REFLECT)
    steps, left = _edges(picture, axis), _edges(smooth, axis)
    total = cv2.sumElems(steps)[0]
    # Unsigned, so that the difference is none where there is more left.
    return 1.0 - cv2.sumElems(cv2.subtract(steps, left))[0] / total if total else None


def _edges(picture: Pixels, axis: int) -> Pixels:
    """The size of Sobel's derivative along an axis, away from the border."""
    found = cv2.Sobel(picture, cv2.CV_16S, axis, 1 - axis, ksize=3)
    return np.abs(found[1:-1, 1:-1]).view(np.uint16)

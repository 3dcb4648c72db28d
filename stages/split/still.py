"""An image as a clip of one frame: decoded once, no larger than its measures need, measured like a frame of a
video."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from stages import media
from stages.flat import flat
from stages.split import measures, pictures

if TYPE_CHECKING:
    from PIL.Image import Image

    from stages.split.shots import SplitShots

Pixels = np.ndarray[Any, Any]
# What may be missing to the size that a measure asks for: at 512 px, 1920 x 1080 is decoded as 480 x 270.
ENOUGH = 0.9
# Sizes that libjpeg gives for less than the whole picture's price: one part in so many of each side.
_PARTS = (8, 4, 2)
# The EXIF orientations that exchange width and height (TIFF 6.0, tag 274).
_TURNED = (5, 6, 7, 8)


@dataclass(frozen=True)
class Still:
    """An upright image as 8-bit BGR on white, and its own size, which may be larger than that of its
    pixels."""

    pixels: Pixels
    width_px: int
    height_px: int


def image_row(limits: media.Limits, asset: Mapping[str, Any], chosen: SplitShots) -> dict[str, Any]:
    """The row of an image: it keeps its id; what needs neighbouring frames is null.

    A JPEG at least twice as large as its measures need is decoded at a half, a quarter or an eighth of its
    size. `content_hash` is of the pixels that were decoded and of the image's own size.
    """
    wanted = math.ceil(ENOUGH * max(chosen.frame_px, chosen.blur_px))
    still = opened(limits, asset["location"], wanted)
    small = pictures.shrunk(still.pixels, chosen.frame_px)
    luma = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    sharp = cv2.cvtColor(pictures.shrunk(still.pixels, chosen.blur_px), cv2.COLOR_BGR2GRAY)
    shape = f"{still.width_px}x{still.height_px}"
    return {
        "id": asset["asset_id"],
        "starts_with": "start",
        "ends_with": "end",
        "effort": "exact",
        "frame_count": 1,
        "luma_mean": float(luma.mean()) / 255,
        "detail": measures.spread(small),
        "black_share": float(measures.is_black(luma)),
        "blur": measures.blur(sharp),
        "content_hash": measures.content_hash(shape, 1, still.pixels.tobytes()),
        "frames": [{"pts": None, "time_s": None, "jpeg": pictures.jpeg(small, chosen.frame_quality)}],
    }


def load(limits: media.Limits, location: Mapping[str, Any], least_px: int | None = None) -> Pixels:
    """The pixels of `opened`."""
    return opened(limits, location, least_px).pixels


def opened(limits: media.Limits, location: Mapping[str, Any], least_px: int | None = None) -> Still:
    """The image; of an animation the first frame.

    A JPEG may come smaller, its long side not under `least_px`; without `least_px` it comes whole.
    """
    with media.open_image(location, limits) as image:
        width, height = image.size
        if least_px is not None:
            _draft(image, least_px)
        image.load()
        turned = image.getexif().get(media.ORIENTATION) in _TURNED
        plain = np.asarray(flat(image).convert("RGB"))
    size = (height, width) if turned else (width, height)
    return Still(np.asarray(cv2.cvtColor(plain, cv2.COLOR_RGB2BGR)), *size)


def _draft(image: Image, least_px: int) -> None:
    """Have a JPEG decoded at the smallest scale whose long side is not under `least_px`."""
    if not isinstance(image, JpegImageFile):
        return
    for parts in _PARTS:
        if math.ceil(max(image.size) / parts) >= least_px:
            image.draft(None, (max(1, image.width // parts), max(1, image.height // parts)))
            return

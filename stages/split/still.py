"""An image as a clip of one frame: decoded once, measured like a frame of a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from stages import media
from stages.flat import flat
from stages.split import measures, pictures

if TYPE_CHECKING:
    from stages.split.shots import SplitShots

Pixels = np.ndarray[Any, Any]


def image_row(limits: media.Limits, asset: Mapping[str, Any], chosen: SplitShots) -> dict[str, Any]:
    """The row of an image: it keeps its id; what needs neighbouring frames is null."""
    pixels = load(limits, asset["location"])
    height, width = pixels.shape[:2]
    small = pictures.shrunk(pixels, chosen.frame_px)
    luma = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    sharp = cv2.cvtColor(pictures.shrunk(pixels, chosen.blur_px), cv2.COLOR_BGR2GRAY)
    return {
        "id": asset["asset_id"],
        "shot_index": 0,
        "starts_with": "start",
        "ends_with": "end",
        "frame_count": 1,
        "luma_mean": float(luma.mean()) / 255,
        "detail": measures.spread(small),
        "black_share": float(measures.is_black(luma)),
        "blur": measures.blur(sharp),
        "content_hash": measures.content_hash(f"{width}x{height}", 1, pixels.tobytes()),
        "frames": [{"pts": None, "time_s": None, "jpeg": pictures.jpeg(small, chosen.frame_quality)}],
    }


def load(limits: media.Limits, location: Mapping[str, Any]) -> Pixels:
    """The upright image as 8-bit BGR on white; of an animation the first frame."""
    image = media.open_image(location, limits)
    with media.decoding():
        image.load()
        return np.ascontiguousarray(np.asarray(flat(media.upright(image)).convert("RGB"))[:, :, ::-1])

"""Rows of stored frames for scores that look at pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from manifests import columns
from tests.stages.models.build import jpeg


def rows(*clips: list[Image.Image] | None) -> pa.Table:
    """A row for each clip, with its pictures as stored frames."""
    made: list[dict[str, Any]] = []
    for n, clip in enumerate(clips):
        frames = None if clip is None else [{"pts": 0, "time_s": 0.0, "jpeg": jpeg(one)} for one in clip]
        made.append({"id": f"{n:032x}", "frames": frames})
    return columns.table(made, ["id", "frames"])


def real(path: Path, most_px: int = 4096) -> Image.Image:
    """A real picture, its long side at most so many pixels."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((most_px, most_px))
    return picture


def plain(size: tuple[int, int] = (256, 144)) -> Image.Image:
    """A soft gradient without anything on it."""
    across = np.linspace(60, 160, size[0])[None, :, None] * np.ones((size[1], 1, 3))
    return Image.fromarray(across.astype(np.uint8))


def written(*lines: tuple[str, int], height_px: int = 24) -> Image.Image:
    """The gradient with lines of text, each with the height of its middle."""
    picture = plain()
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(height_px)
    for line, middle in lines:
        pen.text((picture.width / 2, middle), line, anchor="mm", fill="white", font=font)
    return picture


# Clips of pictures under 16 px on a side; the last one has a large one, too.
TINY = ([plain((1, 1))], [plain((256, 8))], [plain((15, 256))], [plain(), plain((5, 3))])

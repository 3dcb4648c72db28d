"""The stored frames of a row as one small picture that a page carries within it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.frames import decoded, spread

if TYPE_CHECKING:
    from PIL.Image import Image

MOST = 4
SIDE_PX = 144
QUALITY = 70
_GAP_PX = 2


def contact_sheet(jpegs: Sequence[bytes]) -> tuple[bytes, int, int]:
    """Up to four stored frames, evenly spread, in two columns as one JPEG; returns it with width and height
    in pixels.

    Each fits a square of SIDE_PX (a single one of twice that) and is never enlarged. Raises RowError
    `bad_frame` for a frame that a disk has spoilt.
    """
    chosen = [jpegs[at] for at in spread(len(jpegs), MOST)]
    frames = [decoded(jpeg) for jpeg in chosen]
    columns = 1 if len(frames) == 1 else 2
    side = SIDE_PX * 3 - SIDE_PX * columns
    for frame in frames:
        frame.thumbnail((side, side))
    sheet = _laid(frames, columns)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue(), *sheet.size


def data_uri(jpeg: bytes) -> str:
    """A JPEG as the address of itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _laid(frames: Sequence[Image], columns: int) -> Image:
    from PIL import Image

    width = max(frame.width for frame in frames) + _GAP_PX
    height = max(frame.height for frame in frames) + _GAP_PX
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (width * columns - _GAP_PX, height * rows - _GAP_PX), (128, 128, 128))
    for at, frame in enumerate(frames):
        sheet.paste(frame, (at % columns * width, at // columns * height))
    return sheet

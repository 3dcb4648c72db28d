"""The size in pixels that a picture is packed in; what a mix counts tokens of."""

from __future__ import annotations


def packed_size(kind: str, width_px: int, height_px: int, max_side_px: int | None) -> tuple[int, int]:
    """Width and height of an upright image or clip when packed: never enlarged, a clip's sides even.

    The longer side is at most `max_side_px`, the aspect kept to the pixel; no side of an image is below 1, of
    a clip below 2.
    """
    longer = max(width_px, height_px)
    factor = 1.0 if max_side_px is None or longer <= max_side_px else max_side_px / longer
    if kind == "video":
        width_px, height_px = (max(2, 2 * int(side * factor / 2)) for side in (width_px, height_px))
        return width_px, height_px
    width_px, height_px = (max(1, round(side * factor)) for side in (width_px, height_px))
    return width_px, height_px

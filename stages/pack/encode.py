"""How an image becomes the JPEG of a sample; runs inside the guarded decode child."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from manifests import columns
from stages import media
from stages.flat import flat
from stages.pack.size import packed_size

if TYPE_CHECKING:
    from PIL.Image import Image


def encode_image(
    limits: media.Limits, *, location: Mapping[str, Any], quality: int, max_side_px: int | None = None
) -> pa.Table:
    """One row (media_ext, media_how, media): a JPEG of the image at `location`.

    A JPEG of 8 bits in RGB or gray that stands upright and is small enough is copied byte for byte. All else
    is turned upright, its transparency put on white, 16 bits brought to 8, CMYK to RGB (by Pillow, without a
    profile), shrunk by Lanczos, and encoded with 4:4:4 chroma; of an animation the first frame. An embedded
    colour profile goes along when the pixels stayed RGB. Raises RowError as `media.open_image` does, and
    `encode_failed` for pixels without a known range.
    """
    with media.open_image(location, limits) as image:
        image.load()
        if _goes_as_it_is(image, max_side_px):
            return _table("copied", _content(location))
        profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
        picture = shrunk(flat(image), max_side_px)
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=quality, subsampling=0, icc_profile=profile)
    return _table("encoded", made.getvalue())


def _table(how: str, content: bytes) -> pa.Table:
    row: dict[str, object] = {"media_ext": "jpg", "media_how": how, "media": content}
    return columns.table([row], ["media_ext", "media_how", "media"])


def _goes_as_it_is(image: Image, max_side_px: int | None) -> bool:
    turned = image.getexif().get(media.ORIENTATION, 1) != 1
    small = max_side_px is None or max(image.size) <= max_side_px
    return image.format == "JPEG" and image.mode in ("RGB", "L") and not turned and small


def _content(location: Mapping[str, Any]) -> bytes:
    with Path(location["path"]).open("rb") as file:
        file.seek(location["offset"] or 0)
        return file.read(-1 if location["offset"] is None else location["size"])


def shrunk(image: Image, max_side_px: int | None) -> Image:
    """The image with its longer side at most `max_side_px`; never enlarged, aspect kept to the pixel."""
    from PIL import Image as pillow

    if max_side_px is None or max(image.size) <= max_side_px:
        return image
    return image.resize(packed_size("image", *image.size, max_side_px), pillow.Resampling.LANCZOS)

"""How any image becomes plain: upright, 8 bits, gray or RGB, nothing transparent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.errors import RowError
from stages import media

if TYPE_CHECKING:
    from PIL.Image import Image

WHITE = (255, 255, 255)


def flat(image: Image) -> Image:
    """An open image, loaded, as its EXIF orientation means it: in 8 bits, gray or RGB, without transparency.

    Raises RowError `encode_failed` for pixels without a known range.
    """
    from PIL import Image as pillow

    # Mode I holds the 16 bits of a PGM, brought to their full range; of TIFF signed or 32-bit integers.
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        numbers = "floating-point numbers" if image.mode == "F" else "signed or 32-bit integers"
        raise RowError("encode_failed", f"pixels are {numbers}, whose range is not known")
    image = media.upright(image)
    if image.mode in ("RGB", "L"):
        return image if "transparency" not in image.info else _on_white(image)
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _on_white(image)
    if image.mode == "1":
        return image.convert("L", dither=pillow.Dither.NONE)
    return image.convert("RGB")


def _on_white(image: Image) -> Image:
    from PIL import Image as pillow

    covering = image.convert("RGBA")
    white = pillow.new("RGB", image.size, WHITE)
    white.paste(covering, mask=covering.getchannel("A"))
    return white


def _from_16_bits(image: Image) -> Image:
    """The upper byte of each value: Pillow's own conversion cuts off all above 255."""
    import numpy
    from PIL import Image as pillow

    values = numpy.asarray(image).astype(numpy.int64).clip(0, 65535) >> 8
    return pillow.fromarray(values.astype(numpy.uint8))

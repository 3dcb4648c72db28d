"""How any image becomes plain: 8 bits, gray or RGB, nothing transparent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.errors import RowError

if TYPE_CHECKING:
    from PIL.Image import Image

WHITE = (255, 255, 255)


def flat(image: Image) -> Image:
    """The image in 8 bits, gray or RGB, without transparency."""
    from PIL import Image as pillow

    if image.mode in ("RGB", "L"):
        return image if "transparency" not in image.info else _on_white(image)
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode == "F":
        raise RowError("encode_failed", "pixels are floating-point numbers, whose range is not known")
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

"""How the stored frames of rows become pictures again, and what a model's preprocessing makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from manifests.errors import RowError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]

Prepare = Callable[[Sequence["Image"]], "Array"]
# A shorter side than this is no picture to judge.
LEAST_PX = 16
NO_FRAMES = "split stored no frame of this row; run split again"


def frame_pixels(table: pa.Table, prepare: Prepare) -> Array:
    """An object array with the pixels of each row's `frames`, (frames, 3, height, width), by `prepare`.

    Raises RowError: `no_frames`, `bad_frame`.
    """
    import numpy

    made = numpy.empty(len(table), object)
    for n, frames in enumerate(table["frames"].to_pylist()):
        if not frames:
            raise RowError("no_frames", NO_FRAMES)
        made[n] = prepare([decoded(frame["jpeg"]) for frame in frames])
    return made


def pictures(row: Mapping[str, Any], most: int) -> list[Array]:
    """Up to `most` of a row's `frames`, evenly spread, as RGB uint8 (height, width, 3).

    Raises RowError: `no_frames`, `bad_frame`.
    """
    import numpy

    frames = row["frames"]
    if not frames:
        raise RowError("no_frames", NO_FRAMES)
    return [numpy.asarray(decoded(frames[place]["jpeg"])) for place in spread(len(frames), most)]


def spread(count: int, most: int) -> list[int]:
    """The places of up to `most` of so many things, in order: the middles of equal parts, or all."""
    wanted = min(count, most)
    return [(2 * n + 1) * count // (2 * wanted) for n in range(wanted)]


def tiny(seen: Iterable[Array]) -> bool:
    """Whether a picture (height, width, 3) is too small to judge: a side under LEAST_PX."""
    return any(min(picture.shape[:2]) < LEAST_PX for picture in seen)


def decoded(jpeg: bytes) -> Image:
    """A stored frame; its bytes are our own, yet a disk may have spoilt them. Raises RowError `bad_frame`."""
    import cv2
    import numpy
    from PIL import Image

    pixels = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR_RGB) if jpeg else None
    if pixels is None:
        raise RowError("bad_frame", f"a stored frame of {len(jpeg)} bytes is no picture; run split again")
    return Image.fromarray(pixels)


def per_frame(values: Array, pixels: Array) -> list[Array]:
    """The values of all frames, as those of each row's frames; `pixels` as `frame_pixels` makes it."""
    import numpy

    return numpy.split(values, numpy.cumsum([len(of_row) for of_row in pixels])[:-1])

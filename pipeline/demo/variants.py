"""How a copy differs from its original: the settings of each variant, and what is left in it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from pipeline.demo.encode import DRAW_OPTIONS, read_picture, vary_video, write_film, write_picture
from pipeline.demo.film import Film
from pipeline.demo.paint import Picture, Size
from pipeline.demo.plan import Broken, Variant

RE_ENCODINGS = (
    ("-preset", "ultrafast", "-crf", "29", "-g", "12"),
    ("-preset", "medium", "-crf", "30", "-bf", "0"),
    ("-preset", "fast", "-crf", "20", "-g", "300"),
)
RESCALES = (0.5, 0.75, 1.5, 2 / 3)
LEAST_SIDE_PX = 96
CROPS = (0.9, 0.85, 0.8)
TRIMS_S = ((0.5, 1.0), (0.7, 0.6), (1.0, 0.5), (0.6, 0.8))
JPEG_QUALITIES = (50, 95, 75)
KEPT_OF_BROKEN = 0.6


def write_variant(variant: Variant, corpus: Path) -> None:
    """Write the file; its original must be there."""
    source, path = corpus / variant.of.path, corpus / variant.path
    if variant.how == "byte copy":
        shutil.copyfile(source, path)
    elif variant.of.is_video:
        vary_video(source, path, _video_options(variant))
    else:
        quality = JPEG_QUALITIES[variant.number % len(JPEG_QUALITIES)]
        write_picture(_varied(read_picture(source), variant), path, quality=quality)


def varied_film(variant: Variant) -> Film:
    """What a variant shows: the original's film, of another size or with frames cut off at its ends."""
    film = variant.of.film
    if variant.how == "rescale":
        return replace(film, size=_rescaled(film.size, variant.number))
    if variant.how == "crop":
        return replace(film, size=_crop(film.size, variant.number)[:2])
    if variant.how == "trim":
        first, end = _trim(film, variant.number)
        return replace(film, shots=(replace(film.shots[0], frames=end - first),))
    return film


def write_broken(broken: Broken, corpus: Path) -> None:
    """Write the file; its original, if it has one, must be there."""
    path = corpus / broken.path
    path.write_bytes(b"")
    if broken.how == "text":
        path.write_text("The tape is at the lab; a copy will follow.\n")
    if broken.of is None:
        return
    if broken.how == "truncated, index first":
        write_film(broken.of.film, path, (*DRAW_OPTIONS, "-movflags", "+faststart"))
    elif path.suffix == ".png":
        write_picture(read_picture(corpus / broken.of.path), path)
    else:
        shutil.copyfile(corpus / broken.of.path, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * KEPT_OF_BROKEN)])


def _video_options(variant: Variant) -> tuple[str, ...]:
    film, number = variant.of.film, variant.number
    if variant.how == "re-encode":
        return RE_ENCODINGS[number % len(RE_ENCODINGS)]
    first, end = _trim(film, number)
    filters = {
        "rescale": "scale={}:{}:flags=bicubic".format(*_rescaled(film.size, number)),
        "crop": "crop={}:{}:{}:{}".format(*_crop(film.size, number)),
        "trim": f"trim=start_frame={first}:end_frame={end},setpts=PTS-STARTPTS",
    }
    return "-vf", filters[variant.how], *DRAW_OPTIONS


def _varied(picture: Picture, variant: Variant) -> Picture:
    size, number = variant.of.film.size, variant.number
    if variant.how == "rescale":
        return np.asarray(
            cv2.resize(picture, _rescaled(size, number), interpolation=cv2.INTER_AREA), np.uint8
        )
    if variant.how == "crop":
        width, height, left, top = _crop(size, number)
        return picture[top : top + height, left : left + width]
    return picture


def _even(length: float) -> int:
    return 2 * round(length / 2)


def _rescaled(size: Size, number: int) -> Size:
    factor = RESCALES[number % len(RESCALES)]
    if min(size) * factor < LEAST_SIDE_PX:
        factor = max(RESCALES)
    return _even(size[0] * factor), _even(size[1] * factor)


def _crop(size: Size, number: int) -> tuple[int, int, int, int]:
    """Width, height, left, top of the middle that is kept."""
    share = CROPS[number % len(CROPS)]
    width, height = _even(size[0] * share), _even(size[1] * share)
    return width, height, _even((size[0] - width) / 2), _even((size[1] - height) / 2)


def _trim(film: Film, number: int) -> tuple[int, int]:
    """First frame kept and first frame cut off again; half a second to one second goes at each end."""
    start_s, end_s = TRIMS_S[number % len(TRIMS_S)]
    return round(start_s * film.fps), film.frame_count - round(end_s * film.fps)

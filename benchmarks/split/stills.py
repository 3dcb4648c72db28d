"""A photograph of 1920 x 1088 made 224 px wide: our image load against a full decode by Pillow.

Usage: `python -m benchmarks.split.stills FOLDER`; prints JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH_PX, HEIGHT_PX, SMALL_PX = 1920, 1088, 224


def photograph(folder: Path) -> Path:
    """A JPEG of quality 90 of a drawn place."""
    from benchmarks.split.worlds import Ground, world

    path = folder / "photograph.jpg"
    pixels = world(np.random.default_rng(11), "terrain", 11, Ground(HEIGHT_PX, WIDTH_PX, HEIGHT_PX, 400))
    Image.fromarray(pixels).save(path, quality=90)
    return path


def ours(path: Path) -> tuple[int, int]:
    """As split opens an image of which nobody needs more than SMALL_PX."""
    from stages.media import Limits
    from stages.split import pictures, still

    location = {"path": os.fspath(path), "offset": None, "size": None}
    small = pictures.shrunk(still.load(Limits(), location, SMALL_PX), SMALL_PX)
    return small.shape[1], small.shape[0]


def pillow(path: Path) -> tuple[int, int]:
    """Every pixel decoded, then made small."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SMALL_PX, SMALL_PX * HEIGHT_PX // WIDTH_PX))
    return small.size


def seconds(load: Callable[[Path], tuple[int, int]], path: Path, rounds: int = 15) -> float:
    """The median CPU seconds of one load."""
    spent: list[float] = []
    for _ in range(rounds):
        start = time.process_time()
        load(path)
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def main(folder: Path) -> None:
    cv2.setNumThreads(1)
    path = photograph(folder)
    assert max(ours(path)) == max(pillow(path)) == SMALL_PX
    print(json.dumps({"ours_s": seconds(ours, path), "pillow_s": seconds(pillow, path)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

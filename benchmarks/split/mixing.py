"""How one shot becomes the next: dissolves, fades through black or white, and wipes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.split.textures import Pixels


@dataclass(frozen=True)
class Join:
    """A transition over frames [first, end); of a cut both are the new shot's first frame.

    A fade goes out in `away` frames and comes back in `back`, with nothing but its colour between; `soft` is
    the width of a wipe's edge as a share of its way.
    """

    kind: str
    first: int
    end: int
    style: str = ""
    away: int = 0
    back: int = 0
    soft: float = 0.0


def joined(join: Join, old: Pixels, new: Pixels, frame: int) -> Pixels:
    """The mix of a frame in [first, end): no frame shows one shot alone."""
    n = frame - join.first
    if join.kind == "fade":
        return _faded(join, old, new, n)
    share = (n + 1) / (join.end - join.first + 1)
    if join.kind == "dissolve":
        return cv2.addWeighted(old, 1 - share, new, share, 0)
    size = (old.shape[1], old.shape[0])
    edge = max(join.soft, 1.5 / size[0])
    weight = np.clip((share * (1 + edge) - _way(join.style, size)) / edge, 0, 1).astype(np.float32)
    return cv2.blendLinear(new, old, weight, 1 - weight)


def _faded(join: Join, old: Pixels, new: Pixels, n: int) -> Pixels:
    left = join.end - join.first - n
    colour = np.full_like(old, 255 if join.style == "white" else 0)
    if n < join.away:
        share = 1 - (n + 1) / (join.away + 1)
        return cv2.addWeighted(old, share, colour, 1 - share, 0)
    if left <= join.back:
        share = 1 - left / (join.back + 1)
        return cv2.addWeighted(new, share, colour, 1 - share, 0)
    return colour


@functools.lru_cache(maxsize=4)
def _way(style: str, size: tuple[int, int]) -> Pixels:
    """(height, width) float32: when on its way from 0 to 1 a wipe reaches each pixel."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    across, down = (x - 0.5) * size[0] / size[1], y - 0.5
    ways: dict[str, Callable[[], Pixels]] = {
        "left": lambda: 1 - x,
        "right": lambda: x,
        "up": lambda: 1 - y,
        "down": lambda: y,
        "diagonal": lambda: (x + y) / 2,
        "iris": lambda: np.hypot(across, down) / np.hypot(across, down).max(),
        "clock": lambda: np.arctan2(across, down) / (2 * np.pi) + 0.5,
    }
    reached: Pixels = ways[style]().astype(np.float32)
    return reached

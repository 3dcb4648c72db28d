"""What happens to a whole picture within a shot: flashes, changes of the light, texts."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.split.textures import Pixels, Rng
from benchmarks.split.truth import Event

TITLES = ("THE NEXT MORNING", "Chapter Two", "SALE 50%", "Lisbon, 1974", "breaking news", "to be continued")


class Effect:
    """A flash, a change of the light or a text over the picture, frames counted from the shot's first."""

    def __init__(self, event: Event, rng: Rng, size: tuple[int, int]) -> None:
        self._event, self._size = event, size
        self._strengths = rng.uniform(0.3, 0.97, event.end - event.first)
        self._level = float(rng.choice([rng.uniform(0.45, 0.7), rng.uniform(1.35, 1.8)]))
        self._part = _glow(rng, size) if rng.random() < 0.4 else None
        self._text = _text(rng, size) if event.kind == "text" else None

    def over(self, canvas: Pixels, n: int) -> Pixels:
        """The canvas of frame n with the effect, where it has one then."""
        first, end = self._event.first, self._event.end
        if self._event.kind == "light" and n >= first:
            share = min(1.0, (n - first + 1) / (end - first))
            return cv2.convertScaleAbs(canvas, alpha=1 + share * (self._level - 1))
        if not first <= n < end:
            return canvas
        if self._event.kind == "flash":
            return self._flashed(canvas, float(self._strengths[n - first]))
        if self._text is not None:
            spot, cover, colours = self._text
            canvas[spot] = cv2.add(cv2.multiply(canvas[spot], cover, scale=1 / 255), colours)
        return canvas

    def _flashed(self, canvas: Pixels, strength: float) -> Pixels:
        bright = cv2.convertScaleAbs(canvas, alpha=1 + strength, beta=235 * strength)
        if self._part is None:
            return bright
        return cv2.blendLinear(bright, canvas, self._part, 1 - self._part)


def _glow(rng: Rng, size: tuple[int, int]) -> Pixels:
    """Weights (height, width) of a flash that lights a part of the picture."""
    x, y = rng.uniform(0.2, 0.8) * size[0], rng.uniform(0.2, 0.8) * size[1]
    away = np.hypot(np.arange(size[0])[None, :] - x, np.arange(size[1])[:, None] - y) / size[1]
    weights: Pixels = np.clip(1.4 - away / rng.uniform(0.5, 1.0), 0, 1).astype(np.float32)
    return weights


def _text(rng: Rng, size: tuple[int, int]) -> tuple[tuple[slice, slice], Pixels, Pixels]:
    """A subtitle, a title or a panel: its place, 255 - coverage, and colours premultiplied."""
    words, kind = TITLES[int(rng.integers(len(TITLES)))], rng.random()
    high, wide = (0.12, 0.9) if kind < 0.4 else (0.3, 0.95) if kind < 0.75 else (0.6, 0.6)
    left, top = (
        int(size[0] * (1 - wide) / 2),
        int(size[1] * (0.84 if kind < 0.4 else 0.5) - size[1] * high / 2),
    )
    box_px = (int(size[1] * high), int(size[0] * wide))
    scale = 0.9 * box_px[1] / cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 1, 1)[0][0]
    scale = min(scale, 0.6 * box_px[0] / 22)
    mask = np.zeros(box_px, np.uint8)
    place = (int(0.05 * box_px[1]), int(0.5 * box_px[0] + 11 * scale))
    cv2.putText(mask, words, place, cv2.FONT_HERSHEY_DUPLEX, scale, 255, max(1, int(2 * scale)), cv2.LINE_AA)
    panel = 0 if 0.4 <= kind < 0.75 else 190
    cover = np.maximum(mask, np.uint8(panel))
    ink = np.array([250, 250, 240]) if rng.random() < 0.7 else rng.integers(60, 255, 3)
    paper = rng.integers(0, 90, 3)
    share = mask[:, :, None] / 255.0
    colours = (cover[:, :, None] / 255.0) * (share * ink + (1 - share) * paper)
    spot = (slice(top, top + box_px[0]), slice(left, left + box_px[1]))
    return spot, 255 - cv2.merge([cover] * 3), np.round(colours).astype(np.uint8)

"""How the camera moves in a shot: standing, panning, zooming, held by hand; whipped, shaken or zoomed hard at
events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.split.textures import Pixels, Rng
from benchmarks.split.truth import Event

STYLES = ("still", "pan", "zoom", "hand", "hand", "pan")


@dataclass(frozen=True)
class Track:
    """A view for each frame: its middle in frame heights, its zoom, its roll in radians, and how far it moves
    while the shutter is open, in frame heights."""

    x: Pixels
    y: Pixels
    zoom: Pixels
    roll: Pixels
    smear: Pixels

    def reach(self, aspect: float) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of all that is ever seen."""
        wide = (0.5 * aspect + 0.5 * np.abs(self.roll)) / self.zoom + 0.02
        high = (0.5 + 0.5 * aspect * np.abs(self.roll)) / self.zoom + 0.02
        return (
            float((self.x - wide).min()),
            float((self.y - high).min()),
            float((self.x + wide).max()),
            float((self.y + high).max()),
        )


def track(rng: Rng, frames: int, fps: float, events: Sequence[Event]) -> Track:
    """A track of `frames` frames; the events' frames count from the track's first."""
    style = STYLES[int(rng.integers(len(STYLES)))]
    t = np.arange(frames) / fps
    x, y, zoom, roll = np.zeros(frames), np.zeros(frames), np.ones(frames), np.zeros(frames)
    if style == "pan":
        speed = min(rng.uniform(0.03, 0.3), 1.2 / max(t[-1], 0.5))
        x += rng.choice([-1, 1]) * speed * t
        y += rng.uniform(-0.2, 0.2) * speed * t
    if style == "zoom":
        zoom *= np.exp(rng.choice([-1, 1]) * rng.uniform(0.02, 0.12) * np.minimum(t, 3))
    if style == "hand":
        strength = rng.uniform(0.2, 1.0)
        x, y = (
            x + _wander(rng, frames, fps, 0.012 * strength),
            y + _wander(rng, frames, fps, 0.009 * strength),
        )
        roll = _wander(rng, frames, fps, 0.006 * strength)
    steady = x.copy()
    for event in events:
        _happen(rng, event, (x, y, zoom))
    smear = np.abs(np.gradient(x - steady)) * 0.5 if frames > 1 else np.zeros(frames)
    return Track(x, y, zoom * rng.uniform(0.95, 1.1), roll, smear)


def _happen(rng: Rng, event: Event, ways: tuple[Pixels, Pixels, Pixels]) -> None:
    x, y, zoom = ways
    n = event.end - event.first
    ease = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))
    if event.kind == "pan":
        way = rng.choice([-1, 1]) * rng.uniform(0.9, 3.0)
        x[event.first : event.end] += way * ease
        x[event.end :] += way
    if event.kind == "zoom":
        factor = rng.uniform(1.3, 1.9) if rng.random() < 0.6 else rng.uniform(0.6, 0.8)
        zoom[event.first : event.end] *= factor**ease
        zoom[event.end :] *= factor
    if event.kind == "shake":
        bell, strength = np.sin(np.pi * (np.arange(n) + 0.5) / n), rng.uniform(0.015, 0.05)
        x[event.first : event.end] += rng.normal(0, strength, n) * bell
        y[event.first : event.end] += rng.normal(0, strength, n) * bell


def _wander(rng: Rng, frames: int, fps: float, strength: float) -> Pixels:
    """A smooth random walk about zero: hands sway at about one hertz, and tremble less at higher rates."""
    knots = np.arange(0, frames / fps + 1.5, 0.45)
    slow = np.interp(np.arange(frames) / fps, knots, rng.normal(0, 1, len(knots)))
    kernel = np.hanning(2 * max(2, int(0.25 * fps)) + 1)
    smooth = np.convolve(np.pad(slow, len(kernel) // 2, mode="edge"), kernel / kernel.sum(), mode="valid")
    found: Pixels = strength * (smooth + rng.normal(0, 0.03, frames))
    return found

"""Surfaces that are statistically like photographs: noise of many octaves, coloured by palettes, and film
grain."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, Any]
Rng = np.random.Generator


def fractal(rng: Rng, height: int, width: int, *, cell: float, rough: float = 0.75) -> Pixels:
    """(height, width) uint8 around 128: noise whose coarsest cells have `cell` pixels, each finer octave
    `rough` times as strong (1 is a photograph that is sharp
    all over: amplitude falls like 1/f, Field 1987)."""
    octaves = max(1, math.ceil(math.log2(max(2.0, cell))))
    grid: Pixels = rng.random((2 + (height >> octaves), 2 + (width >> octaves)), dtype=np.float32) - 0.5
    strength = 1.0
    for octave in range(octaves - 1, -1, -1):
        size = (2 + (width >> octave), 2 + (height >> octave))
        grid = cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR if octave < 2 else cv2.INTER_CUBIC)
        strength *= rough
        if octave < 9:
            grid = grid + strength * (rng.random(grid.shape, dtype=np.float32) - 0.5)
    mean, spread = cv2.meanStdDev(cv2.resize(grid, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST))
    gain = 46.0 / max(1e-6, float(spread[0, 0]))
    found: Pixels = cv2.convertScaleAbs(
        grid[:height, :width], alpha=gain, beta=128 - gain * float(mean[0, 0])
    )
    return found


# Hues, as places on the circle of `palette`, that photographs are full of: skin and wood, earth, leaves, sky.
_HUES = (0.96, 0.9, 0.74, 0.33)


def palette(rng: Rng, *, low: float = 0.08, high: float = 0.92, colour: float = 0.35) -> Pixels:
    """(256, 3) uint8: dark to bright over three or four hues that are near each other."""
    stops = int(rng.integers(3, 5))
    usual = _HUES[int(rng.integers(len(_HUES)))] + rng.normal(0, 0.03)
    hue = (usual if rng.random() < 0.85 else rng.random()) + rng.uniform(-0.06, 0.06, stops).cumsum()
    light = np.linspace(low, high, stops) + rng.uniform(-0.06, 0.06, stops)
    strength = rng.uniform(0.05, 1.0) * rng.uniform(0.5, 1.0, stops) * colour
    phase = 2 * math.pi * (hue[:, None] + np.array([0.0, 1 / 3, 2 / 3]))
    colours = np.clip(light[:, None] + 0.5 * strength[:, None] * np.cos(phase), 0, 1)
    places = np.linspace(0, stops - 1, 256)
    table = np.stack([np.interp(places, range(stops), colours[:, c]) for c in range(3)], axis=1)
    return np.round(table * 255).astype(np.uint8)


def coloured(values: Pixels, table: Pixels) -> Pixels:
    """(h, w) uint8 looked up in a palette: (h, w, 3)."""
    found: Pixels = cv2.applyColorMap(values, np.ascontiguousarray(table.reshape(256, 1, 3)))
    return found


def graded(pixels: Pixels, *, gamma: float, gain: float, lift: float, tint: tuple[float, ...]) -> Pixels:
    """out = 255 (lift + gain tint (in / 255)^gamma), channel by channel."""
    ramp = (np.arange(256) / 255.0) ** gamma
    tables = [np.clip(255 * (lift + gain * share * ramp), 0, 255).astype(np.uint8) for share in tint]
    found: Pixels = cv2.LUT(pixels, np.stack(tables, axis=1).reshape(256, 1, 3))
    return found


class Grain:
    """Film grain: another cut of one noise tile for each frame."""

    def __init__(self, rng: Rng, size: tuple[int, int], strength: float) -> None:
        """`strength` is the standard deviation in 8-bit steps."""
        self._size, self._strength = size, strength
        if not strength:
            return
        luma = rng.standard_normal((size[1] + 64, size[0] + 64, 1), dtype=np.float32) * strength
        whole = np.round(luma * np.array([1.0, 0.85, 1.15], np.float32)).astype(np.int16)
        self._more = np.clip(whole, 0, 255).astype(np.uint8)
        self._less = np.clip(-whole, 0, 255).astype(np.uint8)

    def over(self, canvas: Pixels, rng: Rng) -> Pixels:
        """The canvas with grain; written in place."""
        if not self._strength:
            return canvas
        x, y = (int(v) for v in rng.integers(0, 64, 2))
        place = np.s_[y : y + self._size[1], x : x + self._size[0]]
        cv2.add(canvas, self._more[place], dst=canvas)
        cv2.subtract(canvas, self._less[place], dst=canvas)
        return canvas

"""Things that move through a shot: people, cars, balls and posts, with shading, soft edges and depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.split.textures import Pixels, Rng, coloured, fractal, palette

# Width by height.
SHARES = {"person": 0.42, "car": 2.1, "ball": 1.0, "post": 0.16}


@dataclass(frozen=True)
class Sprite:
    """A cut-out (colours premultiplied by coverage, and 255 - coverage, both (h, w, 3)) and its way.

    Places are in frame heights: (x, y) at time 0, velocity a second; `near` is the parallax, 1 moves with the
    world. It is seen in frames [first, end).
    """

    colours: Pixels
    behind: Pixels
    place: tuple[float, float]
    velocity: tuple[float, float]
    near: float
    bob: tuple[float, float]
    span: tuple[int, int]


def cut_out(rng: Rng, kind: str, height: int, *, smear_px: int = 0) -> tuple[Pixels, Pixels]:
    """A drawn thing of `height` pixels as (premultiplied colours, 255 - coverage)."""
    height = max(8, height)
    width = max(6, int(height * SHARES[kind]))
    mask: Pixels = np.zeros((height, width), np.uint8)
    shade: Pixels = np.zeros_like(mask)
    _SHAPES[kind](rng, mask, shade)
    skin = coloured(_lit(rng, shade), palette(rng, low=0.04, high=0.92, colour=0.8))
    if smear_px > 1:
        mask = cv2.copyMakeBorder(mask, 0, 0, smear_px, smear_px, cv2.BORDER_CONSTANT)
        skin = cv2.copyMakeBorder(skin, 0, 0, smear_px, smear_px, cv2.BORDER_REPLICATE)
        mask, skin = cv2.blur(mask, (smear_px, 1)), cv2.blur(skin, (smear_px, 1))
    mask = cv2.GaussianBlur(mask, (3, 3), 0)
    cover = cv2.merge([mask, mask, mask])
    return cv2.multiply(skin, cover, scale=1 / 255), cv2.bitwise_not(cover)


def _lit(rng: Rng, shade: Pixels) -> Pixels:
    """Patches of different tones, each with its own texture, lit from the left."""
    height, width = shade.shape
    noise = fractal(rng, height, width, cell=max(4.0, height / 6), rough=0.8)
    light = np.linspace(1.15, 0.7, width, dtype=np.float32)[None, :]
    mixed = (0.7 * shade.astype(np.float32) + 0.45 * noise) * light
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _person(rng: Rng, mask: Pixels, shade: Pixels) -> None:
    h, w = mask.shape
    tones = [int(v) for v in rng.integers(20, 255, 3)]
    for canvas, (head, shirt, legs) in ((mask, (255, 255, 255)), (shade, tones)):
        cv2.rectangle(canvas, (int(0.22 * w), int(0.5 * h)), (int(0.46 * w), h), legs, -1)
        cv2.rectangle(canvas, (int(0.54 * w), int(0.5 * h)), (int(0.8 * w), h), legs, -1)
        cv2.ellipse(canvas, (w // 2, int(0.38 * h)), (int(0.45 * w), int(0.24 * h)), 0, 0, 360, shirt, -1)
        cv2.ellipse(canvas, (w // 2, int(0.09 * h)), (int(0.19 * w), int(0.09 * h)), 0, 0, 360, head, -1)


def _car(rng: Rng, mask: Pixels, shade: Pixels) -> None:
    h, w = mask.shape
    tones = [int(v) for v in rng.integers(20, 255, 2)]
    for canvas, (body, glass, wheel) in ((mask, (255, 255, 255)), (shade, (*tones, 8))):
        cv2.rectangle(canvas, (0, int(0.4 * h)), (w, int(0.85 * h)), body, -1)
        cv2.ellipse(canvas, (w // 2, int(0.42 * h)), (int(0.33 * w), int(0.4 * h)), 0, 180, 360, glass, -1)
        for x in (0.2, 0.78):
            cv2.circle(canvas, (int(x * w), int(0.84 * h)), int(0.15 * h), wheel, -1)


def _ball(rng: Rng, mask: Pixels, shade: Pixels) -> None:
    h, w = mask.shape
    cv2.circle(mask, (w // 2, h // 2), min(h, w) // 2 - 1, 255, -1)
    shade[:] = int(rng.integers(60, 230))
    cv2.ellipse(shade, (w // 2, h // 2), (w // 2, h // 6), float(rng.uniform(0, 180)), 0, 360, 30, -1)


def _post(rng: Rng, mask: Pixels, shade: Pixels) -> None:
    mask[:] = 255
    shade[:] = int(rng.integers(20, 200))


_SHAPES = {"person": _person, "car": _car, "ball": _ball, "post": _post}


def laid_over(canvas: Pixels, sprite: Sprite, matrix: Pixels) -> None:
    """Draw a sprite in place; `matrix` (2, 3) takes its pixels to the canvas's, between pixels too."""
    height, width = sprite.colours.shape[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    there = corners @ matrix[:, :2].T + matrix[:, 2]
    left, top = (max(0, int(v)) for v in np.floor(there.min(axis=0)))
    right = min(canvas.shape[1], int(np.ceil(there[:, 0].max())) + 1)
    bottom = min(canvas.shape[0], int(np.ceil(there[:, 1].max())) + 1)
    if right <= left or bottom <= top:
        return
    moved = matrix.copy()
    moved[:, 2] -= (left, top)
    size, spot = (right - left, bottom - top), canvas[top:bottom, left:right]
    behind = cv2.warpAffine(sprite.behind, moved, size, borderValue=(255, 255, 255))
    colours = cv2.warpAffine(sprite.colours, moved, size)
    spot[:] = cv2.add(cv2.multiply(spot, behind, scale=1 / 255), colours)

"""The places where shots play: textured panoramas larger than the frame, drawn once a shot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.split.textures import Pixels, Rng, coloured, fractal, palette


@dataclass(frozen=True)
class Ground:
    """What a world is drawn on: its size, the pixels of a frame's height, and the line of the horizon."""

    height: int
    width: int
    unit: int
    horizon: int


def world(rng: Rng, name: str, colours: int, ground: Ground) -> Pixels:
    """(height, width, 3) uint8 RGB. `colours` seeds the palettes: two worlds of one name and one such seed
    have nearly the same histogram."""
    return WORLDS[name](rng, np.random.default_rng([colours, 77]), ground)


def _sky(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    small = fractal(rng, ground.height // 4 + 1, ground.width // 6 + 1, cell=ground.unit / 8)
    clouds = cv2.resize(small, (ground.width, ground.height), interpolation=cv2.INTER_CUBIC)
    fall = np.linspace(-40, 60, ground.height).astype(np.float32)[:, None]
    shaded = np.clip(0.55 * clouds.astype(np.float32) + fall + 60, 0, 255).astype(np.uint8)
    return coloured(shaded, palette(hues, low=0.45, high=0.95, colour=0.4))


def _terrain(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    canvas = _sky(rng, hues, ground)
    rock = fractal(rng, ground.height, ground.width, cell=ground.unit / 5, rough=0.88)
    ridges = int(hues.integers(2, 5))
    for n in range(ridges):
        table = palette(hues, low=0.1 + 0.25 * (ridges - n) / ridges, high=0.55 + 0.3 * (ridges - n) / ridges)
        line = _ridge(rng, ground, ground.horizon + int(ground.unit * 0.18 * (n - 0.8)))
        below = np.arange(ground.height)[:, None] >= line[None, :]
        layer = coloured(np.roll(rock, 997 * (n + 1), axis=1), table)
        canvas = np.where(below[:, :, None], layer, canvas)
    return _dotted(rng, hues, canvas, ground, share=0.4)


def _ridge(rng: Rng, ground: Ground, middle: int) -> Pixels:
    profile = fractal(rng, 4, ground.width, cell=ground.unit * 0.6, rough=0.5)[1].astype(np.float32)
    found: Pixels = middle + (profile - 128) * (ground.unit * 0.1 / 46)
    return found


def _dotted(rng: Rng, hues: Rng, canvas: Pixels, ground: Ground, *, share: float) -> Pixels:
    """Bushes, stones, flowers below the horizon: larger where nearer."""
    table = palette(hues, low=0.05, high=0.8, colour=0.7)
    depth = max(1, ground.height - ground.horizon)
    count = int(share * 60 * ground.width / ground.unit)
    for far in np.sort(rng.random(count) ** 1.5):
        x, y = int(rng.integers(ground.width)), ground.horizon + int(far * depth)
        size = ground.unit * (0.006 + 0.05 * far) * rng.uniform(0.5, 1.5)
        colour = table[int(rng.integers(256))].tolist()
        axes = (max(1, int(size)), max(1, int(size * rng.uniform(0.4, 1.3))))
        cv2.ellipse(canvas, (x, y), axes, float(rng.uniform(0, 90)), 0, 360, colour, -1, cv2.LINE_AA)
    return canvas


def _city(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    canvas = _sky(rng, hues, ground)
    asphalt = fractal(rng, ground.height, ground.width, cell=ground.unit / 10, rough=0.85)
    street = coloured(asphalt, palette(hues, high=0.6))
    base = min(ground.height - 1, ground.horizon + int(0.25 * ground.unit))
    canvas[base:] = street[base:]
    walls = palette(hues, low=0.15, high=0.8)
    for row in range(2):
        x = -int(rng.integers(ground.unit // 5 + 1))
        while x < ground.width:
            wide = int(ground.unit * rng.uniform(0.12, 0.4))
            top = base - int(ground.unit * rng.uniform(0.2, 0.9) * (1.2 - 0.5 * row))
            _building(rng, canvas, (x, top, wide, base), walls[int(rng.integers(256))], street)
            x += int(wide * rng.uniform(1.0, 1.5))
    return _dotted(rng, hues, canvas, Ground(ground.height, ground.width, ground.unit, base), share=0.15)


def _building(
    rng: Rng, canvas: Pixels, place: tuple[int, int, int, int], colour: Pixels, dirt: Pixels
) -> None:
    x, top, wide, base = place
    left, top = max(0, x), max(0, top)
    area = canvas[top:base, left : x + wide]
    if not area.size:
        return
    plain = np.full_like(area, colour)
    cv2.addWeighted(plain, 0.8, dirt[top:base, left : x + wide], 0.35, -15, dst=area)
    step = max(4, int(wide / rng.integers(3, 8)))
    lit = palette(rng, low=0.05, high=0.95, colour=0.4)
    for wy in range(top + step // 2, base - step // 2, step):
        for wx in range(left + step // 4, x + wide - step // 2, step):
            pane = lit[int(rng.integers(256))].tolist()
            cv2.rectangle(canvas, (wx, wy), (wx + step // 2, wy + int(step * 0.6)), pane, -1)


def _room(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    wall = fractal(rng, ground.height, ground.width, cell=ground.unit / 3, rough=0.7)
    glow = np.cos(np.linspace(-1.2, 1.2, ground.width) + rng.uniform(-0.5, 0.5)).astype(np.float32)
    lit = np.clip(40 + 0.35 * wall.astype(np.float32) + 110 * glow[None, :], 0, 255).astype(np.uint8)
    canvas = coloured(lit, palette(hues, low=0.2, high=0.85))
    floor = min(ground.height - 1, ground.horizon + int(0.3 * ground.unit))
    canvas[floor:] = coloured(np.roll(wall, 333, axis=1), palette(hues, low=0.1, high=0.6))[floor:]
    for _ in range(int(4 * ground.width / ground.unit)):
        _furniture(rng, hues, canvas, ground, floor)
    return canvas


def _furniture(rng: Rng, hues: Rng, canvas: Pixels, ground: Ground, floor: int) -> None:
    wide, high = (int(ground.unit * v) for v in rng.uniform(0.1, 0.45, 2))
    x = int(rng.integers(-wide // 2, ground.width))
    y = floor - high if rng.random() < 0.5 else int(rng.uniform(0, max(1, floor - high)))
    left, top = max(0, x), max(0, y)
    area = canvas[top : y + high, left : x + wide]
    if area.size:
        table = palette(hues, low=0.08, high=0.85, colour=0.6)
        area[:] = coloured(
            fractal(rng, *area.shape[:2], cell=ground.unit * rng.uniform(0.02, 0.2), rough=0.8), table
        )
        cv2.rectangle(
            canvas, (left, top), (x + wide, y + high), table[20].tolist(), max(1, ground.unit // 150)
        )


def _crowd(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    back = fractal(rng, ground.height, ground.width, cell=ground.unit / 4)
    canvas = coloured(back, palette(hues, low=0.1, high=0.7))
    skin, cloth = palette(hues, low=0.3, high=0.8, colour=0.3), palette(hues, low=0.05, high=0.9, colour=0.8)
    for depth in np.linspace(0, 1, 9):
        size = ground.unit * (0.02 + 0.05 * depth)
        y = ground.horizon + int((ground.height - ground.horizon) * depth)
        for x in np.arange(rng.uniform(0, size), ground.width, size * 2.3):
            spot = (int(x + rng.normal(0, size * 0.3)), int(y + rng.normal(0, size * 0.3)))
            body = (spot[0], spot[1] + int(1.9 * size))
            shirt, face = cloth[int(rng.integers(256))].tolist(), skin[int(rng.integers(256))].tolist()
            cv2.ellipse(canvas, body, (int(size * 1.05), int(size * 1.3)), 0, 0, 360, shirt, -1)
            cv2.circle(canvas, spot, max(1, int(size * 0.62)), face, -1)
    return canvas


def _foliage(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    ground_noise = fractal(rng, ground.height, ground.width, cell=ground.unit / 6, rough=0.92)
    canvas = coloured(ground_noise, palette(hues, low=0.02, high=0.85, colour=0.6))
    return _dotted(rng, hues, canvas, Ground(ground.height, ground.width, ground.unit, 0), share=1.2)


def _water(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    canvas = _sky(rng, hues, ground)
    top = max(0, min(ground.height - 2, ground.horizon))
    waves = fractal(rng, ground.height - top, ground.width // 5 + 1, cell=ground.unit / 12, rough=0.9)
    wide = cv2.resize(waves, (ground.width, ground.height - top), interpolation=cv2.INTER_CUBIC)
    canvas[top:] = coloured(wide, palette(hues, low=0.1, high=0.8, colour=0.5))
    return canvas


def _night(rng: Rng, hues: Rng, ground: Ground) -> Pixels:
    back = fractal(rng, ground.height, ground.width, cell=ground.unit / 3)
    canvas = coloured(back, palette(hues, low=0.0, high=0.25))
    lights = palette(hues, low=0.4, high=1.0, colour=0.9)
    for _ in range(int(45 * ground.width / ground.unit)):
        spot = (int(rng.integers(ground.width)), int(rng.integers(ground.height)))
        size = max(1, int(ground.unit * 0.035 * rng.random() ** 2))
        cv2.circle(canvas, spot, size, lights[int(rng.integers(256))].tolist(), -1, cv2.LINE_AA)
    return canvas


WORLDS: dict[str, Callable[[Rng, Rng, Ground], Pixels]] = {
    "terrain": _terrain,
    "city": _city,
    "room": _room,
    "crowd": _crowd,
    "foliage": _foliage,
    "water": _water,
    "night": _night,
}

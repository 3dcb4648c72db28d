"""How a scene becomes pixels: one instance of it, with its own place, colours, ground and grain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.demo.scenes import Event, Scene

Picture = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]
Size = tuple[int, int]
RGB = tuple[int, int, int]

COLOUR_RGB: dict[str, RGB] = {
    "red": (220, 40, 40),
    "green": (60, 190, 60),
    "blue": (50, 95, 235),
    "yellow": (238, 218, 50),
    "orange": (242, 140, 30),
    "purple": (155, 60, 195),
    "cyan": (75, 220, 230),
    "white": (240, 240, 240),
}
TONE_RGB: dict[str, RGB] = {
    "gray": (125, 125, 125),
    "brown": (118, 82, 50),
    "navy": (38, 50, 120),
    "teal": (25, 108, 108),
}
COLOUR_JITTER = 14
TONE_JITTER = 10
TEXTURE_CONTRAST = 0.28
GRAINS = ((2, 3.5), (8, 2.5))
_GRAIN_MARGIN_PX = 32
_PERIODS = {"plain": (1.0, 1.6), "striped": (0.16, 0.28), "checkered": (0.22, 0.34), "dotted": (0.15, 0.23)}
_CLOUD_PERIODS = (0.5, 1.1)
_RADII = {"small": (0.085, 0.105), "large": (0.175, 0.21), None: (0.19, 0.22)}
_LEAST_GROWTH = 0.35


@dataclass(frozen=True)
class Placement:
    """Where and how one event's object is drawn; lengths in shares of the frame."""

    x: float
    y: float
    radius: float
    rotation: float
    rgb: RGB


@dataclass(frozen=True)
class Instance:
    """One drawing of a scene out of the many that its caption allows."""

    placements: tuple[Placement, ...]
    rgb: RGB
    period: float
    phase: tuple[float, float]
    angle: float
    seed: int


def random_instance(scene: Scene, rng: np.random.Generator) -> Instance:
    """Position, radius, rotation, jitter of colour and tone, texture and grain by chance."""
    low, high = _PERIODS.get(scene.texture, _CLOUD_PERIODS)
    return Instance(
        placements=tuple(_placement(event, rng) for event in scene.events),
        rgb=_jittered(TONE_RGB[scene.tone], TONE_JITTER, rng),
        period=float(rng.uniform(low, high)),
        phase=(float(rng.random()), float(rng.random())),
        angle=float(rng.uniform(0, math.pi)),
        seed=int(rng.integers(1 << 31)),
    )


def render(scene: Scene, instance: Instance, time_fraction: float, size: Size) -> Picture:
    """The picture at a moment: RGB, uint8, shape (height, width, 3); `size` is (width, height) in pixels.

    `time_fraction` runs from 0 to 1 over the clip. The grain is another one at every moment, so that a still
    scene is not a frozen one. Equal arguments give equal pixels.
    """
    count = len(scene.events)
    number = min(int(time_fraction * count), count - 1)
    picture = _ground(scene.texture, instance, size).copy()
    _paint_object(picture, scene.events[number], instance.placements[number], time_fraction * count - number)
    tile = _grain(instance.seed, size)
    rng = np.random.default_rng([instance.seed, round(time_fraction * 1_000_000)])
    left, top = (int(offset) for offset in rng.integers(0, _GRAIN_MARGIN_PX + 1, 2))
    grain = tile[top : top + size[1], left : left + size[0]]
    return np.asarray(cv2.add(picture, grain, dtype=cv2.CV_8U), np.uint8)


def contrast(scene: Scene) -> float:
    """The least difference in luma, in levels, between an object and its ground (Rec. 601)."""
    weights = np.array([0.299, 0.587, 0.114])
    lumas = [float(weights @ np.array(COLOUR_RGB[event.colour])) for event in scene.events]
    return min(abs(luma - float(weights @ np.array(TONE_RGB[scene.tone]))) for luma in lumas)


def _placement(event: Event, rng: np.random.Generator) -> Placement:
    low, high = _RADII[event.size]
    turn = math.pi if event.shape in ("circle", "ring", "star") else math.pi / 12
    return Placement(
        x=float(rng.uniform(0.28, 0.72)),
        y=float(rng.uniform(0.3, 0.7)),
        radius=float(rng.uniform(low, high)),
        rotation=float(rng.uniform(-turn, turn)),
        rgb=_jittered(COLOUR_RGB[event.colour], COLOUR_JITTER, rng),
    )


def _jittered(rgb: RGB, spread: int, rng: np.random.Generator) -> RGB:
    red, green, blue = (int(np.clip(level + rng.integers(-spread, spread + 1), 0, 255)) for level in rgb)
    return red, green, blue


def _paint_object(picture: Picture, event: Event, placement: Placement, progress: float) -> None:
    height, width = picture.shape[:2]
    x, y, radius = _moved(event, placement, progress)
    cos, sin = math.cos(placement.rotation), math.sin(placement.rotation)
    turned = np.array([[cos, sin], [-sin, cos]]) * radius * min(width, height)
    centre = np.array([x * width, y * height])
    contours = [contour @ turned + centre for contour in _contours(event.shape)]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(contour * 16).astype(np.int32) for contour in contours], 255, cv2.LINE_AA, 4)
    left, top, wide, tall = cv2.boundingRect(mask)
    box = np.s_[top : top + tall, left : left + wide]
    share = mask[box][..., None].astype(np.float32) / 255
    picture[box] = np.round(picture[box] * (1 - share) + np.array(placement.rgb, np.float32) * share)


def _moved(event: Event, placement: Placement, progress: float) -> tuple[float, float, float]:
    x, y, radius = placement.x, placement.y, placement.radius
    path = 0.15 + 0.7 * progress
    moved = {
        "left to right": (path, y, radius),
        "right to left": (1 - path, y, radius),
        "up": (x, 1 - path, radius),
        "down": (x, path, radius),
        "grows": (x, y, radius * (_LEAST_GROWTH + (1 - _LEAST_GROWTH) * progress)),
        "shrinks": (x, y, radius * (1 - (1 - _LEAST_GROWTH) * progress)),
    }
    return moved.get(event.motion, (x, y, radius))


@lru_cache
def _contours(shape: str) -> tuple[npt.NDArray[np.float64], ...]:
    """The outline in a unit circle; a second contour is a hole."""
    if shape == "circle":
        return (_polygon(64),)
    if shape == "ring":
        return (_polygon(64), _polygon(64) * 0.55)
    if shape == "star":
        return (_polygon(10) * np.where(np.arange(10) % 2, 0.42, 1.0)[:, None],)
    if shape == "cross":
        arm = 0.32
        quarter, turn = np.array([(arm, -arm), (1.0, -arm), (1.0, arm)]), np.array([[0, 1], [-1, 0]])
        return (np.concatenate([quarter @ np.linalg.matrix_power(turn, n) for n in range(4)]),)
    return (_polygon({"triangle": 3, "square": 4}[shape], math.pi / 4 if shape == "square" else 0.0),)


def _polygon(corners: int, start: float = 0.0) -> npt.NDArray[np.float64]:
    angles = start + 2 * math.pi * np.arange(corners) / corners
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


@lru_cache(maxsize=16)
def _ground(texture: str, instance: Instance, size: Size) -> Picture:
    width, height = size
    grid = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (grid[0] - height / 2) / min(size), (grid[1] - width / 2) / min(size)
    cos, sin = math.cos(instance.angle), math.sin(instance.angle)
    u = (x * cos + y * sin) / instance.period + instance.phase[0]
    v = (y * cos - x * sin) / instance.period + instance.phase[1]
    relief = 1 + TEXTURE_CONTRAST * _relief(texture, u, v, instance.seed)
    return np.clip(np.round(relief[..., None] * np.array(instance.rgb, np.float32)), 0, 255).astype(np.uint8)


def _relief(texture: str, u: Field, v: Field, seed: int) -> Field:
    """Lightness of a texture between -1 and 1; `u` and `v` count periods along and across it."""
    if texture == "plain":
        return np.asarray(0.3 * np.sin(u), np.float32)
    if texture == "striped":
        return _edge(np.sin(2 * math.pi * u))
    if texture == "checkered":
        return _edge(np.sin(2 * math.pi * u)) * _edge(np.sin(2 * math.pi * v))
    if texture == "dotted":
        return _edge(0.6 - 2 * np.hypot(u % 1 - 0.5, v % 1 - 0.5))
    return _clouds(u, v, seed)


def _edge(wave: Field) -> Field:
    return np.asarray(np.tanh(5 * wave), np.float32)


def _clouds(u: Field, v: Field, seed: int) -> Field:
    """A sum of waves in all directions, each octave half as strong."""
    rng = np.random.default_rng([seed, 1])
    total = np.zeros_like(u)
    for octave in (1, 2, 4):
        for _ in range(3):
            angle, phase = rng.uniform(0, 2 * math.pi, 2)
            along = u * math.cos(angle) + v * math.sin(angle)
            total += np.sin(2 * math.pi * octave * along + phase) / octave
    return np.asarray(np.tanh(0.8 * total), np.float32)


@lru_cache(maxsize=16)
def _grain(seed: int, size: Size) -> npt.NDArray[np.int16]:
    """Noise equal in the three channels: fine grains, and coarse ones that outlive strong compression."""
    width, height = size[0] + _GRAIN_MARGIN_PX, size[1] + _GRAIN_MARGIN_PX
    rng, total = np.random.default_rng(seed), np.zeros((height, width))
    for side_px, levels in GRAINS:
        noise = rng.standard_normal((height // side_px + 1, width // side_px + 1)) * levels
        total += np.repeat(np.repeat(noise, side_px, axis=0), side_px, axis=1)[:height, :width]
    return np.repeat(np.round(total)[..., None], 3, axis=2).astype(np.int16)

"""One shot drawn frame by frame: world, camera, things that move, and what happens in it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from benchmarks.split.camera import track
from benchmarks.split.casting import Casting
from benchmarks.split.effects import Effect
from benchmarks.split.looks import Shot, tint
from benchmarks.split.sprites import Sprite, laid_over
from benchmarks.split.textures import Grain, Pixels, Rng, graded
from benchmarks.split.truth import Event
from benchmarks.split.worlds import Ground, world


class Painter:
    """Draws a shot's frames; everything that does not change is drawn at the start."""

    def __init__(self, shot: Shot, size: tuple[int, int], fps: float) -> None:
        self._shot, self._size, self._fps = shot, size, fps
        rng = np.random.default_rng([shot.seed, 1])
        events = [Event(e.kind, e.first - shot.first, e.end - shot.first) for e in shot.events]
        self._track = track(rng, shot.end - shot.first, fps, events)
        self._origin, self._world = self._painted(np.random.default_rng([shot.look.world_seed, 2]))
        self._sprites = Casting(rng, shot, size, fps).cast(events, float(self._track.x[0]))
        self._noise = np.random.default_rng([shot.seed, 3])
        self._grain = Grain(self._noise, size, shot.look.grain)
        self._effects = [Effect(e, np.random.default_rng([shot.seed, 4, e.first]), size) for e in events]

    def _painted(self, rng: Rng) -> tuple[tuple[float, float], Pixels]:
        unit, look = self._size[1], self._shot.look
        left, top, right, bottom = self._track.reach(self._size[0] / unit)
        ground = Ground(
            math.ceil((bottom - top) * unit),
            math.ceil((right - left) * unit),
            unit,
            int((-top + rng.uniform(-0.2, 0.2)) * unit),
        )
        pixels = world(rng, look.world, look.colours, ground)
        return (left, top), graded(pixels, tint=tint(look), gamma=look.gamma, gain=look.gain, lift=look.lift)

    def draw(self, frame: int) -> Pixels:
        """(height, width, 3) uint8 RGB of a frame in [first, end)."""
        n = frame - self._shot.first
        matrix = self._view(n, self._track.x[n], self._track.y[n])
        shift = np.array(self._origin) * self._size[1]
        matrix[:, 2] += matrix[:, :2] @ shift
        canvas = cv2.warpAffine(self._world, matrix, self._size, borderMode=cv2.BORDER_REFLECT)
        for sprite in self._sprites:
            if sprite.span[0] <= n < sprite.span[1]:
                laid_over(canvas, sprite, self._stand(sprite, n))
        smear = int(self._track.smear[n] * self._size[1])
        if smear > 1:
            canvas = cv2.blur(canvas, (smear, 1))
        for effect in self._effects:
            canvas = effect.over(canvas, n)
        return self._grain.over(canvas, self._noise)

    def _view(self, n: int, x: float, y: float) -> Pixels:
        """World pixels (from the world's origin of coordinates) to canvas pixels."""
        zoom, roll, unit = self._track.zoom[n], self._track.roll[n], self._size[1]
        turn = zoom * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
        middle = np.array([self._size[0] / 2, unit / 2]) - turn @ np.array([x * unit, y * unit])
        return np.column_stack([turn, middle])

    def _stand(self, sprite: Sprite, n: int) -> Pixels:
        """A sprite's pixels to canvas pixels."""
        unit, t = self._size[1], (n - sprite.span[0]) / self._fps
        matrix = self._view(n, self._track.x[n] * sprite.near, self._track.y[n])
        sway = math.sin(2 * math.pi * 1.6 * t)
        place = np.array(
            [
                sprite.place[0] + sprite.velocity[0] * t,
                sprite.place[1] + sprite.velocity[1] * t + sprite.bob[1] * abs(sway),
            ]
        )
        lean = np.array([[1.0, sprite.bob[0] * sway], [0.0, 1.0]])
        height, width = sprite.colours.shape[:2]
        feet = place * unit - lean @ np.array([width / 2, height])
        return np.column_stack([matrix[:, :2] @ lean, matrix[:, :2] @ feet + matrix[:, 2]])

"""Who and what moves through a shot: chosen by chance, and by its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2

from benchmarks.split.looks import Shot, tint
from benchmarks.split.sprites import SHARES, Sprite, cut_out
from benchmarks.split.textures import Rng, graded
from benchmarks.split.truth import Event


@dataclass(frozen=True)
class Casting:
    """Chooses a shot's sprites; `size` is the frame's (width, height)."""

    rng: Rng
    shot: Shot
    size: tuple[int, int]
    fps: float

    def cast(self, events: Sequence[Event], middle: float) -> list[Sprite]:
        """Far things first; what rushes past close to the camera last. `middle` is where the camera looks
        first; the events' frames count from the shot's first."""
        found = [self._passer_by(middle) for _ in range(int(self.rng.integers(1, 6)))]
        if self.rng.random() < 0.2:
            place = (self.rng.uniform(-0.8, 0.8) + middle * 1.6, 0.85)
            found.append(self._sprite("post", 1.6, place, 0.0, near=1.6))
        return found + [self._rusher(event) for event in events if event.kind == "fast"]

    def _passer_by(self, middle: float) -> Sprite:
        kind = ("person", "person", "car", "ball")[int(self.rng.integers(4))]
        height = float(self.rng.uniform(0.08, 0.45))
        place = (self.rng.uniform(-0.9, 0.9) + middle, float(self.rng.uniform(0.25, 0.5)))
        speed = self.rng.choice([-1, 1]) * self.rng.uniform(0, 0.9 if kind == "car" else 0.5)
        return self._sprite(kind, height, place, speed)

    def _rusher(self, event: Event) -> Sprite:
        """Something large that crosses the whole frame during the event, smeared by its speed."""
        kind = ("person", "car", "ball")[int(self.rng.integers(3))]
        height = float(self.rng.uniform(0.3, 0.5) if kind == "car" else self.rng.uniform(0.4, 0.95))
        frames = event.end - event.first
        reach = self.size[0] / self.size[1] + SHARES[kind] * height
        side = int(self.rng.choice([-1, 1]))
        place, speed = (-side * reach / 2, 0.5), side * reach * self.fps / frames
        smear_px = int(0.4 * reach / frames * self.size[1])
        made = self._sprite(kind, height, place, speed, near=0.0, smear_px=smear_px)
        return replace(made, span=(event.first, event.end))

    def _sprite(
        self,
        kind: str,
        height: float,
        place: tuple[float, float],
        speed: float,
        *,
        near: float = 1.0,
        smear_px: int = 0,
    ) -> Sprite:
        look = self.shot.look
        colours, behind = cut_out(self.rng, kind, int(height * self.size[1]), smear_px=smear_px)
        lit = graded(colours, gamma=look.gamma, gain=look.gain, lift=0.0, tint=tint(look))
        if look.lift:
            lit = cv2.add(lit, cv2.convertScaleAbs(cv2.bitwise_not(behind), alpha=look.lift))
        bob = (0.05, -0.012) if kind == "person" else (0.0, 0.0)
        span = (0, self.shot.end - self.shot.first)
        return Sprite(lit, behind, place, (speed, 0.0), near, bob, span)

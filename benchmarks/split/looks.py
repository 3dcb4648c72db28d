"""How a shot is described before anything of it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.split.truth import Event


@dataclass(frozen=True)
class Look:
    """What decides how a shot looks: place, palette and grading; `world_seed` the place itself."""

    world: str
    world_seed: int
    colours: int
    gamma: float
    gain: float
    lift: float
    grain: float

    @property
    def dark(self) -> bool:
        return (self.gain < 0.5 and not self.flat) or self.world == "night"

    @property
    def flat(self) -> bool:
        return self.lift > 0.2


@dataclass(frozen=True)
class Shot:
    """Frames [first, end) are those in which anything of the shot is seen; its events lie among the frames
    that show nothing else."""

    first: int
    end: int
    look: Look
    seed: int
    events: tuple[Event, ...] = ()


def tint(look: Look) -> tuple[float, float, float]:
    """Factors of red, green and blue: one light for all that has the same palette."""
    hue = np.random.default_rng([look.colours, 5]).uniform(-0.08, 0.08, 3)
    return (1 + float(hue[0]), 1 + float(hue[1]) / 2, 1 + float(hue[2]))

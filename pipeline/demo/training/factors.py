"""A scene as eleven numbers, as training counts its facts, and the scene back from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.demo.scenes import COLOURS, MOTIONS, SHAPES, SIZES, TEXTURES, TONES, Event, Scene

Array = np.ndarray[Any, Any]
Factors = npt.NDArray[np.int8]

# Where the numbers of an event stand: texture, tone and whether there is a second event come before them.
EVENTS_AT = (3, 7)
COUNT = 11
NONE = -1
VALUES = {
    "shape": len(SHAPES),
    "colour": len(COLOURS),
    "size": len(SIZES),
    "motion": len(MOTIONS),
    "texture": len(TEXTURES),
    "tone": len(TONES),
}
_OF_EVENT = ("shape", "colour", "size", "motion")


def numbers(scene: Scene) -> list[int]:
    """Texture, tone, 1 with a second event; then shape, colour, size, motion of both; -1 is none."""
    found = [TEXTURES.index(scene.texture), TONES.index(scene.tone), len(scene.events) - 1]
    for event in scene.events:
        size = NONE if event.size is None else SIZES.index(event.size)
        found += [SHAPES.index(event.shape), COLOURS.index(event.colour), size, MOTIONS.index(event.motion)]
    return found + [NONE] * (COUNT - len(found))


def scene(factors: Factors) -> Scene:
    """The scene that has these numbers."""
    events = tuple(_event([int(n) for n in factors[at : at + 4]]) for at in EVENTS_AT[: int(factors[2]) + 1])
    return Scene(events, TEXTURES[int(factors[0])], TONES[int(factors[1])])


def answers(factors: Factors, event: Array) -> dict[str, npt.NDArray[np.int64]]:
    """What is right for each fact of frames: `factors` (n, 11), `event` (n,), 0 or 1, the one they show."""
    rows = np.arange(len(factors))
    found = {name: factors[rows, 3 + at + 4 * event] for at, name in enumerate(_OF_EVENT)}
    found |= {"texture": factors[:, 0], "tone": factors[:, 1]}
    return {name: values.astype(np.int64) for name, values in found.items()}


def _event(values: list[int]) -> Event:
    shape, colour, size, motion = values
    return Event(SHAPES[shape], COLOURS[colour], None if size == NONE else SIZES[size], MOTIONS[motion])

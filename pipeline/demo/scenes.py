"""What a drawn picture or clip shows: its factors, how they are drawn by chance, and the words for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "cyan", "white")
SIZES = ("small", "large")
MOTIONS = ("left to right", "right to left", "up", "down", "grows", "shrinks", "still")
TEXTURES = ("plain", "striped", "checkered", "dotted", "cloudy")
TONES = ("gray", "brown", "navy", "teal")
TEMPLATES = (0, 1, 2)
TWO_EVENTS_SHARE = 0.4

_VERBS = {
    "grows": ("grows", "growing"),
    "shrinks": ("shrinks", "shrinking"),
    "still": ("stays still", "staying still"),
}


@dataclass(frozen=True)
class Event:
    """One object and what it does; `size` is null when it grows or shrinks."""

    shape: str
    colour: str
    size: str | None
    motion: str


@dataclass(frozen=True)
class Scene:
    """The factors of a clip: one event, or two of which the second begins when the first object vanishes."""

    events: tuple[Event, ...]
    texture: str
    tone: str


def random_scene(rng: np.random.Generator) -> Scene:
    """Factors by chance: one event in 60 % of the scenes, else two that differ in shape or colour."""
    first = _event(rng, _pick(rng, MOTIONS))
    events = (first,) if rng.random() >= TWO_EVENTS_SHARE else (first, _other(rng, first))
    return Scene(events, _pick(rng, TEXTURES), _pick(rng, TONES))


def random_picture(rng: np.random.Generator) -> Scene:
    """Factors of an image by chance: one still object, which always has a size."""
    return Scene((_event(rng, "still"),), _pick(rng, TEXTURES), _pick(rng, TONES))


def caption(scene: Scene, template: int = 0) -> str:
    """A clip's caption in one of three wordings: canonical, ground first, short tags."""
    ground = f"{scene.tone} {scene.texture} background"
    nouns = [_noun(event) for event in scene.events]
    if template == 0:
        first, *rest = [f"{_a(noun)} {_does(event)}" for noun, event in zip(nouns, scene.events, strict=True)]
        return ", then ".join([f"{first} on a {ground}", *rest])
    doing = [f"{noun} {_doing(event)}" for noun, event in zip(nouns, scene.events, strict=True)]
    if template == 1:
        return f"a {ground} with " + ", then ".join(_a(words) for words in doing)
    return ", then ".join(doing) + f", {ground}"


def picture_caption(scene: Scene, template: int = 0) -> str:
    """An image's caption: the first event's object and the ground, without motion."""
    noun, ground = _noun(scene.events[0]), f"{scene.tone} {scene.texture} background"
    wordings = (f"{_a(noun)} on a {ground}", f"a {ground} with {_a(noun)}", f"{noun}, {ground}")
    return wordings[template]


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _event(rng: np.random.Generator, motion: str) -> Event:
    shape, colour, size = _pick(rng, SHAPES), _pick(rng, COLOURS), _pick(rng, SIZES)
    return Event(shape, colour, None if motion in ("grows", "shrinks") else size, motion)


def _other(rng: np.random.Generator, first: Event) -> Event:
    while True:
        event = _event(rng, _pick(rng, MOTIONS))
        if (event.shape, event.colour) != (first.shape, first.colour):
            return event


def _noun(event: Event) -> str:
    return " ".join(word for word in (event.size, event.colour, event.shape) if word)


def _a(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _does(event: Event) -> str:
    return _VERBS[event.motion][0] if event.motion in _VERBS else f"moves {event.motion}"


def _doing(event: Event) -> str:
    return _VERBS[event.motion][1] if event.motion in _VERBS else f"moving {event.motion}"

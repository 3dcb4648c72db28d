"""What a caption says, fact by fact, and how a scene looks with one fact changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.demo.scenes import COLOURS, MOTIONS, SHAPES, SIZES, TEXTURES, TONES, Event, Scene

_MOTIONS = {
    **{f"moves {motion}": motion for motion in MOTIONS[:4]},
    "grows": "grows",
    "shrinks": "shrinks",
    "stays still": "still",
}
_GROUND = re.compile(rf"\b({'|'.join(TONES)}) ({'|'.join(TEXTURES)}) background")


def facts(caption: str) -> dict[str, str]:
    """The facts of a canonical caption (`scenes.caption` or `picture_caption`, template 0) by name.

    `tone`, `texture`, `events` (how many), and of each event `size 1`, `colour 1`, `shape 1`, `motion 1`.
    What the words do not say, or say in words of no scene, is absent.
    """
    events = caption.split(", then ")
    found = {"events": str(len(events))}
    if ground := _GROUND.search(caption):
        found |= {"tone": ground[1], "texture": ground[2]}
    for number, words in enumerate(events, start=1):
        found |= {f"{name} {number}": value for name, value in _event(_GROUND.sub("", words))}
    return found


def _event(words: str) -> Iterator[tuple[str, str]]:
    said = words.split()
    for name, known in (("size", SIZES), ("colour", COLOURS), ("shape", SHAPES)):
        yield from ((name, word) for word in said[:4] if word in known)
    yield from (("motion", motion) for phrase, motion in _MOTIONS.items() if phrase in words)


def altered(scene: Scene) -> list[tuple[str, Scene]]:
    """Every scene that differs in exactly one fact that a single frame shows, with the name of that fact.

    A size is changed where there is one; motions cannot be seen in a frame and stay.
    """
    found = [("texture", replace(scene, texture=word)) for word in _others(TEXTURES, scene.texture)]
    found += [("tone", replace(scene, tone=word)) for word in _others(TONES, scene.tone)]
    for number, event in enumerate(scene.events):
        for name, changed in _changed(event):
            events = (*scene.events[:number], changed, *scene.events[number + 1 :])
            found.append((name, replace(scene, events=events)))
    return found


def _changed(event: Event) -> Iterator[tuple[str, Event]]:
    yield from (("shape", replace(event, shape=word)) for word in _others(SHAPES, event.shape))
    yield from (("colour", replace(event, colour=word)) for word in _others(COLOURS, event.colour))
    if event.size is not None:
        yield from (("size", replace(event, size=word)) for word in _others(SIZES, event.size))


def _others(words: Sequence[str], word: str) -> list[str]:
    return [other for other in words if other != word]

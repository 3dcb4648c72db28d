"""Scenes: their captions say what they hold, and nothing else."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from pipeline.demo.scenes import (
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    TEMPLATES,
    TEXTURES,
    TONES,
    Event,
    Scene,
    caption,
    picture_caption,
    random_picture,
    random_scene,
)

NOUN = rf"(?:an? )?(?:({'|'.join(SIZES)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"
DEEDS = {"moves": "", "moving": "", "growing": "grows", "shrinking": "shrinks", "stays": "", "staying": ""}


def parsed(words: str) -> Scene:
    """A scene read back from any of the three wordings."""
    found = re.search(rf"({'|'.join(TONES)}) ({'|'.join(TEXTURES)}) background", words)
    assert found
    events = []
    for size, colour, shape, deed in re.findall(rf"{NOUN} ((?:\w+ ?)+)", words):
        plain = " ".join(filter(None, (DEEDS.get(word, word) for word in deed.split())))
        motion = next(motion for motion in MOTIONS if plain.startswith(motion))
        events.append(Event(shape, colour, size or None, motion))
    return Scene(tuple(events), found[2], found[1])


def test_the_three_wordings_of_one_event() -> None:
    """Captions read as they are written in the description of the corpus."""
    scene = Scene((Event("circle", "orange", None, "grows"),), "striped", "gray")
    wordings = [caption(scene, template) for template in TEMPLATES]
    assert wordings == [
        "an orange circle grows on a gray striped background",
        "a gray striped background with an orange circle growing",
        "orange circle growing, gray striped background",
    ]


def test_two_events_are_joined_by_then() -> None:
    """The second event follows after ", then"."""
    events = (Event("star", "red", "small", "left to right"), Event("ring", "cyan", "large", "still"))
    first, second = caption(Scene(events, "dotted", "teal")).split(", then ")
    assert first == "a small red star moves left to right on a teal dotted background"
    assert second == "a large cyan ring stays still"


def test_an_image_caption_has_no_motion() -> None:
    """The example of the corpus's description."""
    scene = Scene((Event("circle", "red", "small", "still"),), "striped", "gray")
    assert picture_caption(scene) == "a small red circle on a gray striped background"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_caption_can_be_read_back(template: int) -> None:
    """No factor is lost in any wording."""
    rng = np.random.default_rng(11)
    scenes = [random_scene(rng) for _ in range(200)]
    assert [parsed(caption(scene, template)) for scene in scenes] == scenes


def test_factors_are_drawn_in_their_shares() -> None:
    """Two events in about 40 %, every factor seen, growth without size, no two events alike."""
    rng = np.random.default_rng(12)
    scenes = [random_scene(rng) for _ in range(2000)]
    counts = Counter(len(scene.events) for scene in scenes)
    events = [event for scene in scenes for event in scene.events]
    assert 700 < counts[2] < 900 and counts[1] + counts[2] == 2000
    assert {event.shape for event in events} == set(SHAPES) and {event.motion for event in events} == set(
        MOTIONS
    )
    assert all((event.size is None) == (event.motion in ("grows", "shrinks")) for event in events)
    pairs = [scene.events for scene in scenes if len(scene.events) == 2]
    assert all((one.shape, one.colour) != (two.shape, two.colour) for one, two in pairs)


def test_a_picture_shows_one_still_object_of_a_size() -> None:
    """An image of a growing thing would have no size; none is drawn."""
    rng = np.random.default_rng(13)
    events = [event for _ in range(50) for event in random_picture(rng).events]
    assert {(event.motion, event.size is None) for event in events} == {("still", False)}

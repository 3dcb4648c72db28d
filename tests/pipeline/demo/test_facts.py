"""Captions taken apart again, and scenes that differ in one fact."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.demo.facts import altered, facts
from pipeline.demo.scenes import Event, Scene, caption, picture_caption, random_picture, random_scene

SCENES = st.integers(0, 10_000).map(lambda seed: random_scene(np.random.default_rng(seed)))


def test_facts_of_two_events() -> None:
    """Each event has facts of its own; a growing one has no size."""
    said = "a large red circle moves up on a navy striped background, then an orange star grows"
    expected = {
        "events": "2",
        "tone": "navy",
        "texture": "striped",
        "size 1": "large",
        "colour 1": "red",
        "shape 1": "circle",
        "motion 1": "up",
        "colour 2": "orange",
        "shape 2": "star",
        "motion 2": "grows",
    }
    assert expected == facts(said)


def test_facts_of_a_picture_have_no_motion() -> None:
    """A still picture says size, colour, shape and ground."""
    scene = Scene((Event("ring", "cyan", "small", "still"),), "dotted", "teal")
    expected = {"events": "1", "tone": "teal", "texture": "dotted"}
    expected |= {"size 1": "small", "colour 1": "cyan", "shape 1": "ring"}
    assert expected == facts(picture_caption(scene))


def test_words_of_no_scene_are_no_facts() -> None:
    """Gibberish has one event and nothing else."""
    assert {"events": "1"} == facts("the quick brown fox")
    assert {"events": "1"} == facts("")


@given(SCENES)
def test_facts_are_those_of_the_scene(scene: Scene) -> None:
    """Everything that a scene is can be read from its caption."""
    found = facts(caption(scene))
    assert (scene.tone, scene.texture, str(len(scene.events))) == (
        found["tone"],
        found["texture"],
        found["events"],
    )
    for number, event in enumerate(scene.events, start=1):
        told = [found.get(f"{name} {number}") for name in ("shape", "colour", "size", "motion")]
        assert [event.shape, event.colour, event.size, event.motion] == told


@given(SCENES)
def test_altered_scenes_differ_in_one_fact(scene: Scene) -> None:
    """The caption of an altered scene differs from the scene's own in the named fact alone."""
    own = facts(caption(scene))
    for name, other in altered(scene):
        theirs = facts(caption(other))
        assert [name] == [key.split()[0] for key in own if own[key] != theirs[key]]


def test_every_fact_of_a_picture_is_altered() -> None:
    """5 shapes, 7 colours, 1 size, 4 textures and 3 tones are left."""
    assert 5 + 7 + 1 + 4 + 3 == len(altered(random_picture(np.random.default_rng(0))))

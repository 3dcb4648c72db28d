"""What the embedded models are trained on, and that their training does as transformers and open_clip do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.demo.scenes import Event, Scene, random_scene
from pipeline.demo.training import factors, parts, sample
from pipeline.demo.training.captioner import turned
from pipeline.demo.training.clip import altered, visible

SCENES = st.integers(0, 10_000).map(lambda seed: random_scene(np.random.default_rng(seed)))
RISING = Scene(
    (Event("ring", "red", "small", "left to right"), Event("star", "white", None, "grows")), "plain", "gray"
)


@pytest.fixture(scope="module")
def samples() -> sample.Samples:
    return sample.draw(9, 12, 4)


@given(SCENES)
def test_numbers_tell_the_scene(scene: Scene) -> None:
    """A scene comes back from its factors."""
    assert scene == factors.scene(np.array(factors.numbers(scene), np.int8))


def test_answers_are_of_the_event_that_is_shown() -> None:
    """Each frame is asked about the event it shows; a growing object has no size."""
    rows = np.array([factors.numbers(RISING)] * 2, np.int8)
    expected = {"shape": [4, 3], "colour": [0, 7], "size": [0, -1], "motion": [0, 4]}
    expected |= {"texture": [0, 0], "tone": [0, 0]}
    found = factors.answers(rows, np.array([0, 1]))
    assert expected == {name: values.tolist() for name, values in found.items()}


def test_held_out_scenes_are_not_trained_on(samples: sample.Samples) -> None:
    """Purple circles are an unseen pair wherever they stand; one scene in eight is an unseen triple or so."""
    purple = Scene((Event("circle", "purple", "large", "up"),), "plain", "gray")
    assert sample.is_pair(purple) and not sample.is_seen(purple)
    assert all(sample.is_seen(factors.scene(row)) for row in samples.factors)


def test_drawing_again_draws_the_same(samples: sample.Samples) -> None:
    """Equal arguments make equal samples to the last pixel, through the codecs too; clips come first."""
    again = sample.draw(9, 12, 4)
    for name, values in vars(samples).items():
        np.testing.assert_array_equal(values, vars(again)[name])
    assert [0] * 12 + [1] * 4 == samples.picture.tolist()
    assert not samples.area[12:, 1:].any()


@given(SCENES.filter(sample.is_seen), st.integers(0, 1000))
def test_a_wrong_caption_shows_something_else(scene: Scene, seed: int) -> None:
    """What is trained as wrong differs in what a frame shows, and shows nothing that is held out."""
    wrong = altered(scene, np.random.default_rng(seed))
    assert visible(scene) != visible(wrong)
    assert sample.is_seen(wrong)


class Fixed(np.random.Generator):
    """A generator of which every number is the same."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._value = value

    def random(self, *args: object, **kwargs: object) -> float:  # type: ignore[override]
        return self._value


def test_a_clip_in_a_mirror_and_backwards_says_so() -> None:
    """Its events change places; left becomes right and right left again, growing becomes shrinking."""
    frames = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    changed, row = turned(frames, np.array(factors.numbers(RISING), np.int8), Fixed(0.0), picture=False)
    expected = Scene(
        (Event("star", "white", None, "shrinks"), Event("ring", "red", "small", "left to right")),
        "plain",
        "gray",
    )
    assert expected == factors.scene(row)
    np.testing.assert_array_equal(frames[::-1, :, ::-1], changed)


def test_a_picture_is_never_played_backwards() -> None:
    """A mirror moves nothing in a still picture, so its facts stay."""
    still = np.array(
        factors.numbers(Scene((Event("star", "red", "small", "still"),), "plain", "gray")), np.int8
    )
    _, row = turned(np.zeros((2, 4, 4, 3), np.uint8), still, Fixed(0.0), picture=True)
    assert still.tolist() == row.tolist()


def test_what_was_drawn_is_taken_again(tmp_path: Path) -> None:
    """A part is drawn once; all parts are trained on, one after the other."""
    paths = [parts.drawn(part, tmp_path, 2, 1) for part in (1, 2)]
    written = [path.stat().st_mtime_ns for path in paths]
    assert paths == [parts.drawn(part, tmp_path, 2, 1) for part in (1, 2)]
    assert written == [path.stat().st_mtime_ns for path in paths]
    assert [0, 0, 1, 0, 0, 1] == parts.loaded(paths).picture.tolist()

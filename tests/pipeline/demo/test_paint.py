"""Painting: instances differ, moments differ, objects go where their caption says."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.demo.paint import COLOUR_RGB, Picture, contrast, random_instance, render
from pipeline.demo.scenes import SHAPES, TEXTURES, Event, Scene

SIZE = (160, 120)


def scene_of(motion: str = "still", *, shape: str = "circle", texture: str = "plain") -> Scene:
    return Scene((Event(shape, "white", "large", motion),), texture, "navy")


def centre(picture: Picture) -> tuple[float, float, int]:
    """Mean x and y, and count, of the pixels that are nearly white."""
    y, x = np.nonzero(picture.min(axis=2) > 180)
    return float(x.mean()), float(y.mean()), len(x)


def test_equal_arguments_give_equal_pixels_and_other_moments_other_grain() -> None:
    """A still scene is not a frozen one."""
    scene = scene_of()
    instance = random_instance(scene, np.random.default_rng(1))
    first, again, later = (render(scene, instance, moment, SIZE) for moment in (0.2, 0.2, 0.6))
    assert first.shape == (120, 160, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - later).mean() > 2


@pytest.mark.parametrize(
    ("motion", "axis", "sign"),
    [
        ("left to right", 0, 1),
        ("right to left", 0, -1),
        ("down", 1, 1),
        ("up", 1, -1),
        ("grows", 2, 1),
        ("shrinks", 2, -1),
    ],
)
def test_objects_move_as_their_caption_says(motion: str, axis: int, sign: int) -> None:
    """x grows to the right, y grows downwards, the count of pixels grows with the object."""
    scene = Scene((Event("circle", "white", None, motion),), "plain", "navy")
    instance = random_instance(scene, np.random.default_rng(2))
    before, after = (centre(render(scene, instance, moment, SIZE))[axis] for moment in (0.05, 0.95))
    assert sign * (after - before) > 40


def test_the_first_object_vanishes_when_the_second_appears() -> None:
    """One object at a time."""
    events = (Event("circle", "white", "large", "still"), Event("square", "red", "large", "still"))
    scene = Scene(events, "plain", "navy")
    instance = random_instance(scene, np.random.default_rng(3))
    early, late = (render(scene, instance, moment, SIZE) for moment in (0.4, 0.6))
    white = [int((picture.min(axis=2) > 180).sum()) for picture in (early, late)]
    red = [int(((picture[..., 0] > 180) & (picture[..., 2] < 90)).sum()) for picture in (early, late)]
    assert white[0] > 500 and white[1] == 0 and red[0] == 0 and red[1] > 500


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_cover_what_geometry_says(shape: str) -> None:
    """Areas in shares of the circle that holds them: hand arithmetic on polygons."""
    shares = {
        "circle": 1.0,
        "square": 2 / np.pi,
        "triangle": 3 * np.sqrt(3) / 4 / np.pi,
        "star": 10 * 0.5 * 0.42 * np.sin(np.pi / 5) / np.pi,
        "ring": 1 - 0.55**2,
        "cross": (8 * 0.32 - 4 * 0.32**2) / np.pi,
    }
    scene = scene_of(shape=shape)
    instance = random_instance(scene, np.random.default_rng(4))
    radius_px = instance.placements[0].radius * 240
    count = centre(render(scene, instance, 0.0, (320, 240)))[2]
    assert count / (np.pi * radius_px**2) == pytest.approx(shares[shape], abs=0.05)


@pytest.mark.parametrize("texture", TEXTURES)
def test_no_ground_is_one_flat_colour(texture: str) -> None:
    """Even a plain ground has its relief and its grain."""
    scene = scene_of(texture=texture)
    picture = render(scene, random_instance(scene, np.random.default_rng(5)), 0.5, SIZE)
    assert picture[:20, :20].std(axis=(0, 1)).min() > 2


def test_instances_of_one_scene_are_other_pictures() -> None:
    """Twins share the words only."""
    scene = scene_of(texture="striped")
    rng = np.random.default_rng(6)
    one, two = (render(scene, random_instance(scene, rng), 0.5, SIZE) for _ in range(2))
    assert np.abs(one.astype(int) - two).mean() > 10


def test_contrast_is_the_difference_of_lumas() -> None:
    """White (240 in all channels) on navy (38, 50, 120): 240 - (11.362 + 29.35 + 13.68)."""
    assert COLOUR_RGB["white"] == (240, 240, 240)
    assert contrast(scene_of()) == pytest.approx(185.608)

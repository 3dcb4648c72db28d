"""Films: which frame belongs to which shot, and what defects look like before they are encoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.demo.film import Boundary, Film, Picture, Shot, picture_of
from pipeline.demo.paint import random_instance
from pipeline.demo.scenes import Event, Scene

SIZE = (160, 120)


def shot(frames: int, defect: str | None = None, *, tone: str = "navy", seed: int = 1) -> Shot:
    scene = Scene((Event("star", "white", "large", "up"),), "striped", tone)
    return Shot(f"{tone}{seed}", scene, random_instance(scene, np.random.default_rng(seed)), frames, defect)


def film(*joints: str) -> Film:
    shots = tuple(shot(30, tone=("navy", "gray", "brown")[n % 3], seed=n) for n in range(len(joints) + 1))
    return Film(shots, joints, 10, SIZE)


def test_boundaries_of_every_kind() -> None:
    """Hard cuts lie between frames, a dissolve takes 12 and a fade 16 frames of both shots."""
    reel = film("hard", "dissolve", "fade")
    assert reel.frame_count == 30 * 4 - 12 - 16
    assert reel.boundaries == [
        Boundary(30, "hard", 30, 30),
        Boundary(54, "dissolve", 48, 59),
        Boundary(70, "fade", 62, 77),
    ]
    assert len(list(reel.pictures())) == reel.frame_count


def test_a_dissolve_mixes_in_equal_steps() -> None:
    """At step 6 of 12 the new shot has 7 of 13 parts."""
    reel = film("dissolve")
    mixed = list(reel.pictures())[18 + 6].astype(float)
    old, new = (picture_of(reel.shots[n], frame, SIZE).astype(float) for n, frame in ((0, 24), (1, 6)))
    assert np.abs(mixed - (old * 6 / 13 + new * 7 / 13)).max() <= 0.51


def test_a_fade_is_black_in_its_middle() -> None:
    """Six frames out, four black, six in."""
    black = [index for index, picture in enumerate(film("fade").pictures()) if picture.max() == 0]
    assert black == [20, 21, 22, 23]


def test_an_uneven_film_holds_its_second_half_twice_as_long() -> None:
    """30 frames at 10 a second: 15 in 1.5 s, 15 in 3 s."""
    reel = replace(film(), uneven=True)
    assert [reel.time_s(frame) for frame in (0, 15, 16, 30)] == pytest.approx([0, 1.5, 1.7, 4.5])


def sharpness(picture: Picture) -> float:
    """Mean absolute second difference along the rows."""
    grey = picture.astype(float).mean(axis=2)
    return float(np.abs(2 * grey[:, 1:-1] - grey[:, :-2] - grey[:, 2:]).mean())


def test_defects_are_what_they_are_called() -> None:
    """Black is black, flat is one colour that changes, frozen repeats exactly, blurred has no fine detail."""
    seen = {
        defect: [picture_of(shot(20, defect), frame, SIZE) for frame in (0, 1, 2, 9, 19)]
        for defect in (None, "black", "flat", "frozen", "blurred")
    }
    assert max(picture.max() for picture in seen["black"]) < 8
    assert {len(np.unique(picture.reshape(-1, 3), axis=0)) for picture in seen["flat"]} == {1}
    assert len({picture.tobytes() for picture in seen["flat"]}) > 2
    assert len({picture.tobytes() for picture in seen["frozen"]}) == 2
    assert len({picture.tobytes() for picture in seen[None]}) == 5
    assert sharpness(seen["blurred"][0]) < 0.1 * sharpness(seen[None][0])
    assert seen["blurred"][0].std() > 0.5 * seen[None][0].std()

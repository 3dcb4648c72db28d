"""Each measure on pictures whose value is known by hand."""

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.split.eyes import Glance
from stages.split.measures import FrameMeasures, blur, content_hash, held_share, is_black, spread
from stages.split.pictures import Candidates, Picture, Reel, chosen, shrunk, upright


def seen(level: int, change: float | None = None, black_share: float = 0.0) -> Glance:
    """A frame of luma `level`."""
    return Glance(np.zeros(0), np.zeros(0), level / 255, black_share, 0.0, change, bytes([level]))


def measured(*frames: Glance, first: int = 0) -> dict[str, Any]:
    numbers = FrameMeasures()
    for frame in frames:
        numbers.add(frame)
    return numbers.of_clip(first, len(frames), [40] * (len(frames) - first))


def test_luma_motion_freeze_and_black() -> None:
    """Frames of 0, 0, 51 and 102: mean 0.15, changes 0, 0.2 and 0.2, one pair of three frozen, two of four
    black."""
    found = measured(seen(0, None, 1.0), seen(0, 0.0, 0.98), seen(51, 0.2, 0.97), seen(102, 0.2))
    assert found["luma_mean"] == pytest.approx(153 / 4 / 255)
    assert found["motion"] == pytest.approx(0.4 / 3)
    assert found["freeze_share"] == pytest.approx(1 / 3)
    assert 0.5 == found["black_share"]


def test_frames_count_as_long_as_they_are_shown() -> None:
    """A black frame for 3 s and a white one for 1 s; of the clip's steps half are held, the other changes."""
    numbers = FrameMeasures()
    numbers.add(seen(0, None, 1.0))
    numbers.add(seen(255, 0.5))
    found = numbers.of_clip(0, 2, [3, 1], held=0.5)
    assert (0.25, 0.75) == (found["luma_mean"], found["black_share"])
    assert (0.25, 0.5) == (found["motion"], found["freeze_share"])


def test_held_share_by_hand() -> None:
    """Even frames hold nothing, nor do those of uneven times, of a clock that rounds, or the first of a pair
    with nearly the same time. Of 0, 1, 2, 5 to 8 five steps of seven lack a frame; a last one that stays
    counts."""
    assert 0.0 == held_share([0, 1, 2, 3, 4])
    assert 0.0 == held_share([0, 33, 83, 116, 150, 190])
    assert 0.0 == held_share([0, 42, 83, 125, 167])
    assert 0.0 == held_share([0, 1, 80, 81, 160, 161, 240], 4)
    assert held_share([0, 1, 2, 5, 8]) == pytest.approx(4 / 7)
    assert held_share([0, 1, 20]) == pytest.approx(18 / 19)


@given(st.lists(st.booleans(), min_size=4, max_size=200))
def test_held_share_of_dropped_repeats(drops: list[bool]) -> None:
    """Of frames of which some were dropped it is the share of these among all but the first, where every
    third at least is followed by a kept one."""
    kept = [0, *(n for n, drop in enumerate(drops, 1) if not drop or n % 3)]
    held = 1 - (len(kept) - 1) / len(drops)
    assert held_share([*kept, len(drops) + 1]) == pytest.approx(held)


def test_one_frame_has_no_motion() -> None:
    """What needs two frames is unknown, not nought."""
    found = measured(seen(80))
    assert (None, None) == (found["motion"], found["freeze_share"])


def test_a_clip_is_measured_without_its_neighbours() -> None:
    """The change from the frame before a clip is no motion of the clip."""
    assert 0.0 == measured(seen(0), seen(255, 1.0), seen(255, 0.0), first=1)["motion"]


def test_an_unknown_change_is_no_motion() -> None:
    """Where a stream changes its size the change is unknown and leaves the others as they are."""
    assert None is measured(seen(0), seen(0))["motion"]
    assert 0.5 == measured(seen(0), seen(0), seen(0, 0.5))["motion"]


@pytest.mark.parametrize(("black_pixels", "expected"), [(97, False), (98, True), (100, True)])
def test_black_is_98_percent_dark(black_pixels: int, expected: bool) -> None:
    """ffmpeg's blackdetect: 98 % of the pixels below a tenth of the range."""
    picture = np.full(100, 200, np.uint8)
    picture[:black_pixels] = 25
    assert expected == is_black(picture.reshape(10, 10))


def test_detail_of_a_chessboard() -> None:
    """Half the pixels 0 and half 255 in each channel: a deviation of half the range; one colour has none."""
    board = np.indices((8, 8)).sum(0) % 2 * 255
    assert 0.5 == spread(np.repeat(board[:, :, None], 3, 2).astype(np.uint8))
    assert 0.0 == spread(np.full((8, 8, 3), (10, 200, 30), np.uint8))


def test_blur_of_a_step_and_of_a_ramp() -> None:
    """By hand: a mean filter of 11 keeps 2/11 of what Sobel sees at an ideal step; of a long ramp it keeps
    all."""
    step = np.zeros((64, 128), np.uint8)
    step[:, 64:] = 200
    assert blur(step) == pytest.approx(2 / 11, abs=1e-3)
    ramp = np.tile(np.arange(0, 255, dtype=np.uint8), (64, 1))
    assert blur(ramp) == pytest.approx(1.0, abs=0.1)


def test_a_flat_picture_has_no_blur() -> None:
    """Without anything to see, sharpness is unknown."""
    assert None is blur(np.full((64, 64), 90, np.uint8))


@pytest.mark.parametrize(("shape", "known"), [((15, 64), False), ((64, 15), False), ((16, 16), True)])
def test_a_tiny_picture_has_no_blur(shape: tuple[int, int], known: bool) -> None:
    """Under 16 px on a side nothing is judged, as by the scores of stored frames."""
    noise = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    assert known == (blur(noise) is not None)


def test_blurring_raises_blur() -> None:
    """The wider the filter, the higher the value."""
    noise = np.random.default_rng(1).integers(0, 255, (120, 160), np.uint8)
    values = [blur(cv2.GaussianBlur(noise, (0, 0), sigma)) for sigma in (0.8, 2, 4)]
    assert values == sorted(value or math.nan for value in values)


def test_content_hash_tells_shape_count_and_pictures_apart() -> None:
    """Any of them makes another hash."""
    assert 4 == len(
        {
            content_hash(*of)
            for of in [("8x6", 2, b"ab"), ("6x8", 2, b"ab"), ("8x6", 1, b"ab"), ("8x6", 2, b"ac")]
        }
    )


def picture(n: int, of: int = 1) -> Picture:
    """The n-th picture, of every `of`-th frame."""
    return Picture(n * of, n, np.full((2, 2, 3), n % 256, np.uint8), np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize("frames", [1, 5, 8, 40, 1000, 100_000])
def test_pictures_lie_near_the_middles(frames: int) -> None:
    """Up to eight pictures, in order, each within a sixteenth of the span of its place, in bounded memory."""
    held, most = Candidates(0), 0
    for n in range(frames):
        held.add(picture(n), 1)
        most = max(most, len(held.held))
    assert most <= 16
    found = [p.frame for p in chosen(held.held, 0, frames, 8)]
    assert min(8, frames) == len(found)
    assert found == sorted(set(found))
    wanted = [frames * (k + 0.5) / 8 for k in range(8)]
    assert all(min(abs(n + 0.5 - w) for n in found) <= max(1, frames / 16) for w in wanted)


def test_a_shot_of_many_clips_keeps_more() -> None:
    """Sixteen for each clip that it will be divided into, and no more than 512 in all."""
    counts: list[int] = []
    for clips in (4, 1000):
        held = Candidates(0)
        for n in range(5000):
            held.add(picture(n), clips)
        counts.append(len(held.held))
    assert 32 <= counts[0] <= 64
    assert 256 <= counts[1] <= 512


def test_a_late_boundary_moves_the_pictures_of_the_new_shot() -> None:
    """A boundary that is told some frames late still gives each picture to its own shot, and those of a
    transition to none."""
    reel = Reel(late=8)
    for n in range(14):
        reel.add(picture(n, of=3), 1)
    reel.cut(24, 30)
    reel.add(picture(14, of=3), 1)
    assert list(range(0, 24, 3)) == [p.frame for p in reel.within(0, 24)]
    assert [] == [p.frame for p in reel.within(24, 30)]
    assert [30, 33, 36, 39, 42] == [p.frame for p in reel.within(30, 45)]
    reel.forget(24)
    reel.forget(30)
    assert [30, 33, 36, 39, 42] == [p.frame for p in reel.within(0, 45)]


def test_a_reel_is_bounded() -> None:
    """Recent pictures, and sixteen of those before: however long the shot is."""
    reel = Reel(late=20)
    for n in range(3000):
        reel.add(picture(n), 1)
        assert len(reel.within(0, 3000)) <= 21 + 16


def test_shrunk_and_upright() -> None:
    """The long side is bounded, nothing is enlarged; a quarter turn is clockwise."""
    assert (128, 256) == shrunk(np.zeros((360, 720, 3), np.uint8), 256).shape[:2]
    assert (20, 10) == shrunk(np.zeros((20, 10, 3), np.uint8), 256).shape[:2]
    corner = np.zeros((2, 3), np.uint8)
    corner[0, 0] = 1
    assert 1 == upright(corner, 90)[0, -1]

"""Each measure on pictures whose value is known by hand."""

import math

import cv2
import numpy as np
import pytest

from stages.split.measures import FrameMeasures, blur, content_hash, is_black, spread
from stages.split.pictures import Candidates, Picture, Reel, chosen, shrunk, upright


def measured(*levels: int) -> dict[str, object]:
    numbers, before = FrameMeasures(), None
    for level in levels:
        luma = np.full((10, 10), level, np.uint8)
        numbers.add(luma, before, np.full((10, 10, 3), level, np.uint8), bytes([level]))
        before = luma
    return numbers.of_clip(0, len(levels))


def test_luma_motion_freeze_and_black() -> None:
    """Frames of 0, 0, 51 and 102: mean 0.15, changes 0, 0.2 and 0.2, one pair of three frozen, two of four
    black."""
    found = measured(0, 0, 51, 102)
    assert found["luma_mean"] == pytest.approx(153 / 4 / 255)
    assert found["motion"] == pytest.approx(0.4 / 3)
    assert found["freeze_share"] == pytest.approx(1 / 3)
    assert (0.5, 0.0) == (found["black_share"], found["detail"])


def test_one_frame_has_no_motion() -> None:
    """What needs two frames is unknown, not nought."""
    found = measured(80)
    assert (None, None) == (found["motion"], found["freeze_share"])


def test_a_clip_is_measured_without_its_neighbours() -> None:
    """The change from the frame before a clip is no motion of the clip."""
    numbers, before = FrameMeasures(), None
    for level in (0, 255, 255):
        luma = np.full((4, 4), level, np.uint8)
        numbers.add(luma, before, np.zeros((4, 4, 3), np.uint8), b"")
        before = luma
    assert 0.0 == numbers.of_clip(1, 3)["motion"]


def test_a_changed_size_is_no_motion() -> None:
    """Where a stream changes its size the change is unknown and leaves the others as they are."""
    numbers = FrameMeasures()
    numbers.add(np.zeros((4, 4), np.uint8), None, np.zeros((4, 4, 3), np.uint8), b"")
    numbers.add(np.zeros((8, 8), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint8), b"")
    assert None is numbers.of_clip(0, 2)["motion"]


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


def picture(n: int) -> Picture:
    return Picture(n, np.full((2, 2, 3), n % 256, np.uint8), None)


@pytest.mark.parametrize("frames", [1, 5, 8, 40, 1000])
def test_pictures_lie_near_the_middles(frames: int) -> None:
    """Up to eight pictures, in order, each within a sixteenth of the span of its place, in bounded memory."""
    held = Candidates(0)
    for n in range(frames):
        if held.wants(n):
            held.add(picture(n), 1)
    assert len(held.held) <= 16
    found = [p.frame for p in chosen(held.held, 0, frames, 8)]
    assert min(8, frames) == len(found)
    assert found == sorted(set(found))
    wanted = [frames * (k + 0.5) / 8 for k in range(8)]
    assert all(min(abs(n + 0.5 - w) for n in found) <= max(1, frames / 16) for w in wanted)


def test_a_late_cut_moves_the_pictures_of_the_new_shot() -> None:
    """A cut that is reported some frames late still gives each frame to its own shot."""
    reel = Reel(late=8)
    for n in range(100):
        reel.add(picture(n), 1)
    reel.cut(95)
    assert all(p.frame < 95 for p in reel.pictures(0, 95))
    assert [95, 96, 97, 98, 99] == [p.frame for p in reel.pictures(95, 100)]


def test_shrunk_and_upright() -> None:
    """The long side is bounded, nothing is enlarged; a quarter turn is clockwise."""
    assert (128, 256) == shrunk(np.zeros((360, 720, 3), np.uint8), 256).shape[:2]
    assert (20, 10) == shrunk(np.zeros((20, 10, 3), np.uint8), 256).shape[:2]
    corner = np.zeros((2, 3), np.uint8)
    corner[0, 0] = 1
    assert 1 == upright(corner, 90)[0, -1]

"""Hard cuts among the steps of films drawn frame by frame, without encoding."""

import cv2
import numpy as np
import pytest

from benchmarks.split.compose import Film
from benchmarks.split.truth import Event
from stages.split.hard import LATE, is_cut
from stages.split.window import Window
from tests.stages.split.drawn import CUT, SIZE, Pixels, plan, window


def cuts(film: Film) -> list[int]:
    return cuts_of(window(film.frames(SIZE)))


def cuts_of(seen: Window) -> list[int]:
    return [n for n in range(seen.count) if is_cut(seen, n, seen.count)]


@pytest.mark.parametrize("seed", [11, 12])
def test_a_cut_is_found_at_its_frame(seed: int) -> None:
    """At the first frame of the new shot, whatever moves in both."""
    assert [30, 55] == cuts(plan([30, 25, 30], [CUT, CUT], seed=seed))


def test_very_short_shots_are_kept() -> None:
    """Cuts that are neighbours' neighbours do not hide each other."""
    assert [20, 25, 30, 35] == cuts(plan([20, 5, 5, 5, 20], [CUT] * 4))
    assert [20, 23, 26, 29] == cuts(plan([20, 3, 3, 3, 20], [CUT] * 4))


def test_a_cut_is_certain_three_frames_later() -> None:
    """What comes after that changes nothing."""
    whole = window(plan([30, 40], [CUT]).frames(SIZE))
    assert is_cut(whole, 30, 30 + 1 + LATE) and is_cut(whole, 30, whole.count)


def test_cuts_of_a_letterboxed_film() -> None:
    """Bars are in all shots; what lies between them counts."""
    assert [30, 60] == cuts(plan([30, 30, 30], [CUT, CUT], bars=0.13, seed=4))


@pytest.mark.parametrize(
    ("kind", "frames"), [("flash", 2), ("pan", 8), ("text", 30), ("light", 1), ("fast", 8), ("shake", 15)]
)
def test_what_happens_within_a_shot_is_no_cut(kind: str, frames: int) -> None:
    """Two bright frames, a whip pan, a text, a light that is switched, something that rushes past."""
    assert [] == cuts(plan([70], [], seed=21, events=[Event(kind, 30, 30 + frames)]))


def test_a_text_card_over_a_third_of_the_picture_is_no_cut() -> None:
    """The blocks around it stay as they were."""
    frames = list(plan([40], []).frames(SIZE))
    for frame in frames[20:]:
        cv2.rectangle(frame, (24, 36), (168, 78), (250, 250, 250), -1)
        cv2.putText(frame, "THE NEXT DAY", (30, 65), cv2.FONT_HERSHEY_DUPLEX, 0.6, (10, 10, 10), 1)
    assert [] == cuts_of(window(frames))


def test_a_dropped_frame_is_no_cut() -> None:
    """One frame or two of anything between frames of one shot are bridged."""
    frames, other = list(plan([40], []).frames(SIZE)), list(plan([40], [], seed=9).frames(SIZE))
    for count in (1, 2):
        assert [] == cuts_of(window([*frames[:20], *other[:count], *frames[20 + count :]]))


def test_noise_is_no_cut() -> None:
    """Grain on one dark picture, however it flickers."""
    rng = np.random.default_rng(5)

    def noisy(n: int) -> Pixels:
        return np.asarray(rng.integers(0, 12 + 8 * (n % 2), (180, 320, 3)), np.uint8)

    assert [] == cuts_of(window(noisy(n) for n in range(40)))


def test_the_first_frame_is_no_cut() -> None:
    """Nothing is before it."""
    assert [] == cuts(plan([1], []))
    assert [] == cuts(plan([2], []))

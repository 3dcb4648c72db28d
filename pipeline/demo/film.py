"""What a film is made of: shots, the joints between them, and every frame's picture and time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.demo.paint import Instance, Picture, Size, render
from pipeline.demo.scenes import Scene

OVERLAP_FRAMES = {"hard": 0, "dissolve": 12, "fade": 16}
DEFECTS = ("black", "frozen", "blurred", "flat")
FROZEN_FROM_FRAME = 1
BLUR_SHARE = 0.035
BLACK_GRAIN_LEVELS = 6
_FADE_FRAMES = 6
_FLAT_SWING = 0.25
_FLAT_CYCLES = 1.5


@dataclass(frozen=True)
class Shot:
    """A stretch of one scene; `content` names what it shows, equal only for copies and variants."""

    content: str
    scene: Scene
    instance: Instance
    frames: int
    defect: str | None = None


@dataclass(frozen=True)
class Boundary:
    """A joint in time: `frame` is the first of the new shot, the span all frames in which both take part."""

    frame: int
    kind: str
    first: int
    last: int


@dataclass(frozen=True)
class Film:
    """Shots joined by hard cuts, dissolves (12 frames) and fades through black (16, of which 4 are black).

    `uneven` holds each frame of the second half for two ticks, which makes the frame rate a variable one.
    """

    shots: tuple[Shot, ...]
    joints: tuple[str, ...]
    fps: int
    size: Size
    uneven: bool = False

    @property
    def frame_count(self) -> int:
        return sum(shot.frames for shot in self.shots) - sum(OVERLAP_FRAMES[joint] for joint in self.joints)

    @property
    def starts(self) -> list[int]:
        """The first frame in which each shot takes part."""
        starts = [0]
        for shot, joint in zip(self.shots, self.joints, strict=False):
            starts.append(starts[-1] + shot.frames - OVERLAP_FRAMES[joint])
        return starts

    @property
    def boundaries(self) -> list[Boundary]:
        found = []
        for start, joint in zip(self.starts[1:], self.joints, strict=True):
            overlap = OVERLAP_FRAMES[joint]
            found.append(Boundary(start + overlap // 2, joint, start, start + max(overlap - 1, 0)))
        return found

    @property
    def turn_frame(self) -> int:
        """The first frame that is held for two ticks."""
        return self.frame_count // 2 if self.uneven else self.frame_count

    def time_s(self, frame: int) -> float:
        """When a frame is shown first; `frame_count` gives the end of the film."""
        return (frame + max(frame - self.turn_frame, 0)) / self.fps

    def pictures(self) -> Iterator[Picture]:
        """Every frame in order."""
        spans = list(zip(self.shots, self.starts, strict=True))
        for frame in range(self.frame_count):
            seen = [index for index, (shot, start) in enumerate(spans) if 0 <= frame - start < shot.frames]
            last = picture_of(spans[seen[-1]][0], frame - spans[seen[-1]][1], self.size)
            if len(seen) == 1:
                yield last
                continue
            first = picture_of(spans[seen[0]][0], frame - spans[seen[0]][1], self.size)
            shares = _shares(self.joints[seen[0]], frame - spans[seen[-1]][1])
            yield np.asarray(cv2.addWeighted(first, shares[0], last, shares[1], 0), np.uint8)


def picture_of(shot: Shot, frame: int, size: Size) -> Picture:
    """One frame of a shot, with the shot's defect if it has one; counted from the shot's own start."""
    if shot.defect == "black":
        rng = np.random.default_rng([shot.instance.seed, frame])
        return np.repeat(rng.integers(0, BLACK_GRAIN_LEVELS, (size[1], size[0], 1), np.uint8), 3, axis=2)
    if shot.defect == "flat":
        wave = math.sin(2 * math.pi * (_FLAT_CYCLES * frame / shot.frames + shot.instance.phase[0]))
        level = np.array(shot.instance.placements[0].rgb) * (1 - _FLAT_SWING + _FLAT_SWING * wave)
        return np.full((size[1], size[0], 3), np.round(level).astype(np.uint8), np.uint8)
    if shot.defect == "frozen":
        frame = min(frame, FROZEN_FROM_FRAME)
    picture = render(shot.scene, shot.instance, frame / shot.frames, size)
    if shot.defect == "blurred":
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR_SHARE * min(size)), np.uint8)
    return picture


def _shares(joint: str, step: int) -> tuple[float, float]:
    """Weights of the old and the new shot at a frame of their overlap."""
    overlap = OVERLAP_FRAMES[joint]
    if joint == "dissolve":
        share = (step + 1) / (overlap + 1)
        return 1 - share, share
    return _faded(step + 1), _faded(overlap - step)


def _faded(frames: int) -> float:
    return max(0.0, 1 - frames / (_FADE_FRAMES + 1))

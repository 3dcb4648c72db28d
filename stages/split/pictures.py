"""Which frames of a shot are kept as pictures, decided in one pass and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, Any]
# Candidates for one clip; twice as many as are kept, so that some lie near each wanted position.
PER_CLIP = 16
# However long a shot is, no more candidates than these are held (about 130 MB at 512 px of luma).
MOST = 512


@dataclass(frozen=True)
class Picture:
    """One candidate: its frame's number, a small BGR picture, a larger luma to judge blur by (not of every
    frame)."""

    frame: int
    colour: Pixels
    luma: Pixels | None


@dataclass
class Candidates:
    """Candidates of the frames since `first`: every `step`-th, the step doubling when there are too many."""

    first: int
    step: int = 1
    held: list[Picture] = field(default_factory=list)

    def wants(self, frame: int) -> bool:
        return (frame - self.first) % self.step == 0

    def add(self, picture: Picture, clips: int) -> None:
        """Take a candidate; `clips` is how many clips the shot will be divided into, as far as is known."""
        self.held.append(picture)
        if len(self.held) > min(MOST, PER_CLIP * clips):
            self.step *= 2
            self.held = [p for p in self.held if (p.frame - self.first) % self.step == 0]


@dataclass
class Reel:
    """The pictures of a video on their way: recent frames whole, older ones thinned out, shot by shot."""

    late: int
    recent: deque[Picture] = field(default_factory=deque)
    shots: list[Candidates] = field(default_factory=lambda: [Candidates(0)])

    def wants(self, frame: int) -> bool:
        """Whether a frame is a candidate as far as is known; any recent one becomes one by a late cut."""
        return self.shots[-1].wants(frame)

    def add(self, picture: Picture, clips: int) -> None:
        """Take the next frame's picture; `clips` as for `Candidates.add`."""
        self.recent.append(picture)
        if len(self.recent) > self.late:
            self.recent.popleft()
        if self.shots[-1].wants(picture.frame):
            self.shots[-1].add(picture, clips)

    def cut(self, frame: int) -> None:
        """A shot begins at a frame that was added before: what belongs to it moves over."""
        old = self.shots[-1]
        fresh = Candidates(frame)
        known = {p.frame: p for p in (*old.held, *self.recent) if p.frame >= frame}
        fresh.held = [known[n] for n in sorted(known)]
        old.held = [p for p in old.held if p.frame < frame]
        self.shots.append(fresh)

    def pictures(self, first: int, end: int) -> list[Picture]:
        """All candidates within frames [first, end)."""
        return [p for shot in self.shots for p in shot.held if first <= p.frame < end]

    def forget(self, before: int) -> None:
        """Let go of shots that end before a frame."""
        while len(self.shots) > 1 and self.shots[1].first <= before:
            self.shots.pop(0)


def chosen(pictures: Sequence[Picture], first: int, end: int, count: int) -> list[Picture]:
    """Up to `count` pictures, nearest to the middles of `count` equal parts of the span; each once, in
    order."""
    wanted = [first + (end - first) * (n + 0.5) / count for n in range(count)]
    nearest = (
        {min(pictures, key=lambda p: (abs(p.frame + 0.5 - at), p.frame)).frame: None for at in wanted}
        if pictures
        else {}
    )
    return [p for p in pictures if p.frame in nearest]


def shrunk(image: Pixels, long_side: int) -> Pixels:
    """The image with its long side at most that many pixels, by area averaging."""
    height, width = image.shape[:2]
    share = long_side / max(height, width)
    if share >= 1:
        return image
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def upright(image: Pixels, rotation: int) -> Pixels:
    """The image turned clockwise by 0, 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(image, -(rotation // 90)))


def jpeg(image: Pixels, quality: int) -> bytes:
    """A BGR picture as JPEG."""
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(content.tobytes())

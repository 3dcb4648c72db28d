"""Which frames of a shot are kept as pictures, decided in one pass and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from stages.media import MIRRORED

Pixels = np.ndarray[Any, Any]
# Candidates for one clip; twice as many as are kept, so that some lie near each wanted position.
PER_CLIP = 16
# However long a shot is, no more candidates than these are held (about 130 MB at 512 px of luma).
MOST = 512


@dataclass(frozen=True)
class Picture:
    """One candidate: its frame's number as shown and as decoded, a small BGR picture and, of some, a larger
    luma to judge blur by."""

    frame: int
    decoded: int
    colour: Pixels
    luma: Pixels


@dataclass
class Candidates:
    """Candidates of one shot, from frame `first` on: of those taken every one, then every second, fourth, …
    where there are too many."""

    first: int
    held: list[Picture] = field(default_factory=list)
    _every: int = 1
    _skipped: int = 0

    def add(self, picture: Picture, clips: int) -> None:
        """Take a candidate; `clips` is how many clips the shot will be divided into, as far as is known."""
        self._skipped += 1
        if self._skipped < self._every:
            return
        self._skipped = 0
        self.held.append(picture)
        if len(self.held) > min(MOST, PER_CLIP * clips):
            self._every *= 2
            self.held = self.held[::2]


@dataclass
class Reel:
    """The pictures of a video on their way: recent ones all, older ones thinned out, shot by shot.

    A boundary may be told `late` decoded frames after its place; until then nobody knows to which shot a
    picture belongs.
    """

    late: int
    recent: deque[tuple[Picture, int]] = field(default_factory=deque)
    shots: list[Candidates] = field(default_factory=lambda: [Candidates(0)])

    def add(self, picture: Picture, clips: int) -> None:
        """Take the next picture; `clips` as for `Candidates.add`."""
        self.recent.append((picture, clips))
        while picture.decoded - self.recent[0][0].decoded > self.late:
            self.shots[-1].add(*self.recent.popleft())

    def cut(self, first: int, begun: int) -> None:
        """The last shot ends before frame `first`, a new one begins with frame `begun`."""
        while self.recent and self.recent[0][0].frame < begun:
            picture, clips = self.recent.popleft()
            if picture.frame < first:
                self.shots[-1].add(picture, clips)
        self.shots.append(Candidates(begun))

    def within(self, first: int, end: int) -> list[Picture]:
        """All candidates within frames [first, end), in order."""
        every = [*(p for shot in self.shots for p in shot.held), *(p for p, _ in self.recent)]
        return [p for p in every if first <= p.frame < end]

    def forget(self, before: int) -> None:
        """Let go of pictures before a frame."""
        while len(self.shots) > 1 and self.shots[1].first <= before:
            self.shots.pop(0)
        self.shots[0].held = [picture for picture in self.shots[0].held if picture.frame >= before]


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
    """The image turned clockwise by 0, 90, 180 or 270 degrees; from MIRRORED on it is mirrored left to right
    before."""
    image = image[:, ::-1] if rotation >= MIRRORED else image
    return np.ascontiguousarray(np.rot90(image, -(rotation // 90)))


def jpeg(image: Pixels, quality: int) -> bytes:
    """A BGR picture as JPEG."""
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(content.tobytes())

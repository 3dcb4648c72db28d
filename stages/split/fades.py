"""Fades: how the pictures before and after an empty one lose their contrast and gain it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from stages.split.alike import alike
from stages.split.window import Window

# A frame of less contrast than this, in levels, is empty: black, white or of one colour; what fades has so
# much more than an empty one.
EMPTY = 4.0
# A longer emptiness is a shot of its own, between two transitions.
MOST_EMPTY_S = 1.0
# Ramps of at most so many frames are followed; fewer than LEAST are the edge of a cut.
LONGEST, LEAST = 60, 3
# A picture that fades stays the picture it was.
SAME = 0.7
# A ramp ends where the contrast rises by less than so small a share of its mean pace.
_SLOW = 0.25


@dataclass
class Fades:
    """Finds fades in a window; `add` is told of each frame in turn."""

    window: Window
    _empty_from: int | None = None
    _left: bool = False
    _open: list[tuple[int, int]] = field(default_factory=list)

    def add(self, n: int) -> Iterator[tuple[int, int]]:
        """Yields the fades that are certain once frame n is known, as frames [first, end): from the first
        darkened one to the last, and what is empty between them unless that is a shot of its own."""
        if self.window.contrast(n) < EMPTY:
            self._empty_from = n if self._empty_from is None else self._empty_from
            if not self._left and self._long(self._empty_from, n):
                self._left = True
                if out := self._out(self._empty_from):
                    yield self._empty_from - out, self._empty_from
        elif self._empty_from is not None:
            self._open.append((self._empty_from, n))
            self._empty_from, self._left = None, False
        if self._open and n >= self._open[0][1] + LONGEST:
            yield from self._around(*self._open.pop(0), n)

    def rest(self, end: int) -> Iterator[tuple[int, int]]:
        """What is left when the film of `end` frames is over."""
        if self._empty_from is not None and not self._left:
            self._open.append((self._empty_from, end))
        while self._open:
            yield from self._around(*self._open.pop(0), end - 1)

    def _around(self, empty_from: int, empty_end: int, last: int) -> Iterator[tuple[int, int]]:
        """The fade about frames [empty_from, empty_end); of a long emptiness only the way out of it."""
        in_ = self._ramp(empty_end - 1, 1, min(last, empty_end + LONGEST))
        if self._long(empty_from, empty_end - 1):
            out, first = 0, empty_end
        else:
            out, first = self._out(empty_from), empty_from
        if in_ or out:
            yield first - out, empty_end + in_

    def _long(self, first: int, last: int) -> bool:
        return self.window.seconds(first, last) >= MOST_EMPTY_S

    def _out(self, empty_from: int) -> int:
        """How many frames fade towards an emptiness."""
        return self._ramp(empty_from, -1, max(self.window.oldest, empty_from - LONGEST))

    def _ramp(self, empty: int, way: int, limit: int) -> int:
        """How many frames beside the last empty one, in this direction, are on their way to it."""
        contrast = self.window.contrast
        n, base = empty + way, contrast(empty)
        if (limit - n) * way <= 0:
            return 0
        while n != limit:
            gained, frames = contrast(n + way) - base, abs(n + way - empty)
            if contrast(n + way) - contrast(n) < _SLOW * gained / frames:
                break
            n += way
        frames = abs(n - empty) - 1
        if frames < LEAST or contrast(n) - base < EMPTY:
            return 0
        same = alike(self.window.grid(n), self.window.grid(n - way * (frames // 2))) >= SAME
        return frames if same else 0

"""The one rule that turns boundaries into clips: minimum, maximum, trim, chunks; all in ticks and frames."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from stages.split.detect import Boundary


@dataclass(frozen=True)
class Span:
    """Frames [first, end) of one clip, and the kinds of its boundaries."""

    first: int
    end: int
    starts_with: str
    ends_with: str


@dataclass(frozen=True)
class Rules:
    """Lengths in ticks of the stream. `chunk` and `overlap` are frames; a chunk of 0 means whole shots."""

    least: Fraction
    most: Fraction
    trim: Fraction
    chunk: int = 0
    overlap: int = 0

    def far_enough(self, boundary: Boundary, before: int, pts: Sequence[int]) -> bool:
        """Whether the shot between the boundary before, which ends at `before`, and this one is long enough;
        if not, this one is dropped, and the shot is joined with what is behind it."""
        return boundary.first > before and pts[boundary.first] - pts[before] >= self.least

    def clips(self, first: int, end: int, kinds: tuple[str, str], pts: Sequence[int]) -> Iterator[Span]:
        """The clips of the shot of frames [first, end); `pts` holds the time at which it ends, too.

        A boundary that is moved or made here is of kind `limit`: where `trim` was cut away, where a shot
        longer than `most` is divided into the fewest equal parts, and between chunks of exactly `chunk`
        frames, each of which begins `overlap` frames before the one before it ends; frames that make no whole
        chunk, and a shot that trimming uses up, make no clip.
        """
        if self.trim:
            first, end, kinds = self._trimmed(first, end, kinds, pts)
        if end <= first:
            return
        if self.chunk:
            yield from _chunks(first, end, kinds, self.chunk, self.overlap)
            return
        parts = min(max(1, math.ceil((pts[end] - pts[first]) / self.most)), end - first)
        inner = [first + round((end - first) * n / parts) for n in range(parts + 1)]
        starts, stops = [kinds[0], *["limit"] * (parts - 1)], [*["limit"] * (parts - 1), kinds[1]]
        for span in zip(inner, inner[1:], starts, stops, strict=False):
            yield Span(*span)

    def _trimmed(
        self, first: int, end: int, kinds: tuple[str, str], pts: Sequence[int]
    ) -> tuple[int, int, tuple[str, str]]:
        """The first frame that is shown `trim` after the shot's begin, and the last that ends as long before
        its end."""
        inner = bisect_left(pts, pts[first] + self.trim, first, end)
        outer = bisect_left(pts, pts[end] - self.trim + Fraction(1, 2), inner, end + 1) - 1
        return inner, outer, ("limit" if inner > first else kinds[0], "limit" if outer < end else kinds[1])


def _chunks(first: int, end: int, kinds: tuple[str, str], chunk: int, overlap: int) -> Iterator[Span]:
    for start in range(first, end - chunk + 1, chunk - overlap):
        stop = start + chunk
        yield Span(start, stop, kinds[0] if start == first else "limit", kinds[1] if stop == end else "limit")

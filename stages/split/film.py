"""A film on its way through the pass: what is known of its frames, and its shots as clips once they end."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from stages.split import measures, pictures
from stages.split.detect import LATE_FRAMES, Boundary
from stages.split.effort import Frames
from stages.split.flashes import flash_rate
from stages.split.measures import FrameMeasures
from stages.split.moves import Moves
from stages.split.pictures import Picture, Reel
from stages.split.spans import Rules, Span

if TYPE_CHECKING:
    from stages.split.shots import SplitShots


# Chunks are made so many at a time.
_BATCH = 16
# Frames of a clip that blur is judged on.
BLUR_FRAMES = 4
# No screen shows a frame for less.
SHOWN_S = Fraction(1, 250)


@dataclass(frozen=True)
class Shot:
    """Frames [first, end), the kinds of the boundaries, the seconds that they take away at each end, and the
    frame from which on clips are still to be made."""

    first: int
    end: int
    kinds: tuple[str, str]
    taken_s: tuple[float | None, float | None]
    made: int = 0


@dataclass(frozen=True)
class Times(Sequence[int]):
    """When frames are shown, and when the last one ends."""

    frames: Frames

    def __len__(self) -> int:
        return len(self.frames.pts) + 1

    def __getitem__(self, n: Any) -> Any:
        pts = self.frames.pts
        return pts[n] if n < len(pts) else self.frames.end_pts


@dataclass
class Film:
    """What one pass gathers. Frames are numbered as they are shown; `at` says which of them were decoded, and
    `fetch` gets a picture of one anew."""

    chosen: SplitShots
    rules: Rules
    frames: Frames
    time_base: Fraction
    shape: str
    rotation: int
    fetch: Callable[[int], Picture | None]
    moves: Moves
    at: list[int] = field(default_factory=list)
    numbers: FrameMeasures = field(default_factory=FrameMeasures)
    reel: Reel = field(default_factory=lambda: Reel(LATE_FRAMES))
    clips: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0
    _made: int = 0
    _starts: tuple[str, float | None] = ("start", None)
    _waiting: Shot | None = None

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last."""
        pts = self.frames.pts
        return float((self.frames.end_pts - pts[0]) * self.time_base) if pts else 0.0

    def keep(self, picture: Picture) -> None:
        """Take a picture that may be stored."""
        pts, since = self.frames.pts, max(self.begun, self._made)
        if self.rules.chunk:
            clips = 1 + (picture.frame - since) // (self.rules.chunk - self.rules.overlap)
        else:
            clips = 1 + int((pts[picture.frame] - pts[self.begun]) / self.rules.most)
        self.reel.add(picture, clips)

    def advance(self) -> None:
        """Make the chunks of the open shot that no boundary can touch any more: it may be hours long."""
        chunk, late, times = self.rules.chunk, 1 + LATE_FRAMES, self._times()
        if not chunk or len(self.at) <= late or self.at[-late] - max(self.begun, self._made) < _BATCH * chunk:
            return
        if times[self.at[-late]] - times[self.begun] < self.rules.least:
            return
        if self._waiting:
            # What follows it is long enough to be a shot of its own.
            self._finish(self._waiting)
            self._waiting = None
        self._finish(
            Shot(self.begun, self.at[-late], (self._starts[0], ""), (self._starts[1], None), self._made)
        )

    def begin(self, boundary: Boundary | None, kind: str) -> None:
        """The first shot begins behind this boundary, or with the first frame, for this reason."""
        self._starts = (kind, None)
        if boundary is not None:
            self.begun, self._starts = boundary.end, (boundary.kind, self.taken(boundary))

    def cut(self, boundary: Boundary) -> None:
        """Take a boundary. Only the last one can still be dropped, so the shot before the last is done."""
        first, end, kind = boundary
        if first <= self.begun < end and self._waiting is None:
            # The film begins in a transition.
            self.begun, self._starts = end, (kind, self.taken(boundary))
        elif first > self.begun and self.rules.far_enough(boundary, self.begun, self.frames.pts):
            self._close(first, (kind, self.taken(boundary)))
            self.reel.cut(first, end)
            self.begun, self._starts = end, (kind, self.taken(boundary))

    def end(self, last: int, ends: tuple[str, float | None]) -> None:
        """The film, or the segment, ends before frame `last`: what is open becomes clips, a last shot that is
        too short as part of the one before."""
        times = self._times()
        if self.begun < last:
            before = self._waiting
            if before and times[last] - times[self.begun] < self.rules.least:
                self._waiting = None
                self.begun, self._starts = before.first, (before.kinds[0], before.taken_s[0])
                self._made = before.made
            self._close(last, ends)
        if self._waiting:
            self._finish(self._waiting)

    def _close(self, end: int, ends: tuple[str, float | None]) -> None:
        done, (starts, taken) = self._waiting, self._starts
        self._waiting = Shot(self.begun, end, (starts, ends[0]), (taken, ends[1]), self._made)
        self._made = 0
        if done:
            self._finish(done)

    def _finish(self, shot: Shot) -> None:
        """Make clips of a shot, of an open one those that end before it does."""
        times, closed = self._times(), bool(shot.kinds[1])
        for span in self.rules.clips(shot.first, shot.end, shot.kinds, times):
            if span.first >= shot.made and (closed or span.end < shot.end):
                self.clips.append({**self._place(span, shot, times), **self._measured(span)})
                self._made = self._made if closed else span.first + 1
        self.reel.forget(shot.end if closed else self._made)

    def _times(self) -> Times:
        return Times(self.frames)

    def taken(self, boundary: Boundary) -> float:
        """The seconds that lie between the two shots."""
        times = self._times()
        return float((times[boundary.end] - times[boundary.first]) * self.time_base)

    def _place(self, span: Span, shot: Shot, times: Times) -> dict[str, Any]:
        start, end = times[span.first], times[span.end]
        return {
            "start_pts": start,
            "end_pts": end,
            "start_s": float(start * self.time_base),
            "end_s": float(end * self.time_base),
            "starts_with": span.starts_with,
            "ends_with": span.ends_with,
            "before_s": shot.taken_s[0] if span.first == shot.first else None,
            "after_s": shot.taken_s[1] if span.end == shot.end else None,
            "frame_count": span.end - span.first,
            "duration_s": float((end - start) * self.time_base),
        }

    def _measured(self, span: Span) -> dict[str, Any]:
        """A clip's measures and stored frames."""
        first, end = (bisect.bisect_left(self.at, n) for n in (span.first, span.end))
        every = self.reel.within(span.first, span.end) or self._fetched(span)
        kept = pictures.chosen(every, span.first, span.end, self.chosen.frames_per_clip)
        sharp = pictures.chosen(every, span.first, span.end, BLUR_FRAMES)
        blurs = [measures.blur(picture.luma) for picture in sharp]
        known = [value for value in blurs if value is not None]
        details = [measures.spread(picture.colour) for picture in kept]
        return {
            **self._over_time(span, first, end),
            "detail": measures.mean(details),
            "blur": min(known) if known else None,
            "content_hash": self._content_hash(span, self.numbers.digests[first:end]),
            "frames": [self._stored(picture) for picture in kept],
        }

    def _over_time(self, span: Span, first: int, end: int) -> dict[str, float | None]:
        """Measures of a clip's decoded frames [first, end) that need their times; of key frames, which lie
        seconds apart, none of neighbours."""
        times, at = self._times(), self.at[first:end]
        ticks = [times[n] for n in range(span.first, span.end + 1)]
        lasting = [times[n + 1] - times[n] for n in at]
        held = measures.held_share(ticks, float(SHOWN_S / self.time_base)) if len(ticks) > 2 else 0.0
        whole = len(at) == span.end - span.first
        found = self.numbers.of_clip(first, end, lasting, held=held)
        found |= self.moves.of_clip(first, end, ticks[-1], whole=whole)
        if self.frames.effort == "keyframes" and not whole:
            found |= dict.fromkeys(("motion", "freeze_share", "codec_motion"))
        shown = [times[n] for n in at]
        flashes = flash_rate(self.numbers.luma[first:end], shown, self.time_base) if whole else None
        return {**found, "flash_rate": flashes}

    def _fetched(self, span: Span) -> list[Picture]:
        """A picture of the clip's middle by a second look, where none was taken on the way."""
        picture = self.fetch((span.first + span.end) // 2)
        return [] if picture is None else [picture]

    def _content_hash(self, span: Span, digests: list[bytes]) -> str:
        shape = f"{self.shape} turned {self.rotation}"
        if len(digests) < span.end - span.first:
            shape += f" {self.chosen.effort}"
        return measures.content_hash(shape, span.end - span.first, b"".join(digests))

    def _stored(self, picture: Picture) -> dict[str, Any]:
        pts = self.frames.pts[picture.frame]
        jpeg = pictures.jpeg(pictures.upright(picture.colour, self.rotation), self.chosen.frame_quality)
        return {"pts": pts, "time_s": float(pts * self.time_base), "jpeg": jpeg}

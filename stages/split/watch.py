"""One pass over a video or a segment of it: frames decoded once, looked at by detector and measures, let
go."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from manifests.errors import RowError
from stages import media
from stages.split.detect import LATE_FRAMES, Boundary, Detector, open_detector
from stages.split.effort import Frames, Unskippable, possible
from stages.split.eyes import Eyes, Glance
from stages.split.film import Film
from stages.split.moves import Moves
from stages.split.pictures import Picture
from stages.split.predict import cuts_of
from stages.split.spans import Rules

if TYPE_CHECKING:
    import av

    from stages.split.shots import SplitShots

T = TypeVar("T")
# Two copies of one stream in containers of other time bases differ by rounding to milliseconds at most.
_ROUNDING_S = Fraction(2, 1000)
# Pictures that may be stored are taken so often, and where so large a share of the range changes at once.
PICTURES_PER_S, JUMP = 5, 0.06
# So long behind a segment's end its last shot may go on; then it ends where the segment does.
SEAM_S = 30
# How far before a frame a second look begins, if need be: not every container can be sought exactly.
_MARGINS_S = (0.0, 4.0, 15.0)


def run_through(limits: media.Limits, asset: Mapping[str, Any], chosen: SplitShots) -> Film:
    """Look at every frame that the effort asks for. Raises RowError with a word of `media.REASONS`.

    `asset` has the columns that SplitShots reads; a segment of it is the part that belongs to the shots which
    begin in [segment_start_pts, segment_end_pts), whoever looks at the others (see `Watch`).
    """
    try:
        film = _through(limits, asset, chosen)
    except Unskippable:
        film = _through(limits, asset, chosen, whole=True)
    if not film.at:
        raise RowError("decode_error", "the video stream holds no frame that can be decoded")
    return film


def _through(
    limits: media.Limits, asset: Mapping[str, Any], chosen: SplitShots, *, whole: bool = False
) -> Film:
    with media.open_video(asset["location"], limits) as container:
        stream = media.video_stream(container)
        if chosen.codec_vectors:
            context = stream.codec_context
            context.options = {**context.options, "export_side_data": "mvs"}
        effort = "exact" if whole else possible(chosen.effort, container, stream)
        frames = Frames(container, stream, effort, asset["segment_start_pts"])
        second = SecondLook(asset["location"], limits, chosen, frames.pts)
        # Where frames are left out, or had to be decoded after all, two segments may not see the same ones.
        film, sews = _film(stream, asset, second, frames), effort == "exact" and not whole
        watch = Watch(film, second, asset, sews)
        for n, frame in frames:
            watch.look(n, frame)
            if watch.over:
                break
        watch.rest()
    return watch.film


def _film(
    stream: av.video.stream.VideoStream, asset: Mapping[str, Any], second: SecondLook, frames: Frames
) -> Film:
    base, context = Fraction(stream.time_base or Fraction(1, 1000)), stream.codec_context
    rotation = asset["rotation"] or 0
    size = (context.width, context.height) if rotation % 180 == 0 else (context.height, context.width)
    rules, shape = _rules(second.chosen, base), f"{size[0]}x{size[1]}"
    moves = Moves(base, asset["segment_start_pts"], second.chosen.codec_vectors)
    return Film(second.chosen, rules, frames, base, shape, rotation, second.picture, moves)


def _rules(chosen: SplitShots, base: Fraction) -> Rules:
    """The span rules in ticks, forgiving what a container's rounding takes."""
    return Rules(
        least=(_exactly(chosen.min_shot_s) - _ROUNDING_S) / base,
        most=_exactly(chosen.max_shot_s) / base,
        trim=_exactly(chosen.trim_s) / base,
        chunk=chosen.chunk_frames,
        overlap=chosen.chunk_overlap if chosen.chunk_frames else 0,
    )


def _exactly(seconds: float) -> Fraction:
    """As it was written: 0.4 is ten frames of 25 a second, its binary value a little more."""
    return Fraction(str(seconds))


@dataclass
class Watch:
    """A film and the detectors that watch it: its own and, behind a segment's end, the next segment's.

    Two segments agree on where one's last shot ends and the other's first begins because both ask a detector
    that saw nothing before the key frame between them: at the first boundary that it finds within SEAM_S,
    else at the key frame.
    """

    film: Film
    second: SecondLook
    asset: Mapping[str, Any]
    sews: bool
    eyes: Eyes = field(default_factory=Eyes)
    over: bool = False
    _sewn: list[Boundary] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._own = _Ahead(self.film, self.second, self._detector(), 0)
        self._given = _given(self.asset, self.film.chosen)
        self._seam: _Ahead | None = None
        self._open = self.asset["segment_start_pts"] is None
        self._late = 0
        self._beyond_end: list[Boundary] = []
        # Segments that see other frames are parted at the key frame.
        self._sews = self.sews and self._own.detector.finds
        if not self._open and not self._sews:
            self._open = True
            self.film.begin(None, "limit")
        self._due: Fraction | int | None = None

    def _detector(self) -> Detector:
        chosen = self.film.chosen
        context = self.film.frames.stream.codec_context
        aspect = context.width / max(1, context.height) or 1.0
        return open_detector(chosen.detector, chosen.used_threshold, self.film.frames.effort, aspect)

    def look(self, n: int, frame: av.VideoFrame) -> None:
        """Take the next decoded frame, the n-th that is shown. Raises RowError `too_many_pixels`."""
        glance, film = self.eyes.glance(media.admitted(frame, self.second.limits)), self.film
        film.at.append(n)
        film.numbers.add(glance)
        film.moves.look(len(film.at) - 1, n, film.frames.pts[n], frame)
        colour = self._pictured(frame, glance)
        told, end = [*self._own.add(glance, colour), *self._by_time(n)], self.asset["segment_end_pts"]
        # Behind the segment's end nobody knows yet whose a boundary is.
        self._beyond_end += [b for b in told if end is not None and film.frames.pts[b.first] >= end]
        self._take([b for b in told if b not in self._beyond_end])
        film.advance()
        if end is not None and film.frames.pts[n] >= end:
            self._beyond(n, end, glance, colour)

    def _pictured(self, frame: av.VideoFrame, glance: Glance) -> np.ndarray[Any, Any] | None:
        """Keep the frame's picture when it may be stored; the detector may want it in any case."""
        film, at = self.film, self.film.frames.pts[self.film.at[-1]]
        jumped = glance.change is not None and glance.change > JUMP
        keeps = jumped or self._due is None or at >= self._due
        if not keeps and not self._own.detector.needs_colour:
            return None
        colour = self.eyes.colour(frame, film.chosen.frame_px)
        if keeps:
            # By the clock of the container: wherever a segment begins, the same frames are taken.
            step = 1 / (PICTURES_PER_S * film.time_base)
            self._due = (at // step + 1) * step
            luma = self.eyes.sharp(frame, film.chosen.blur_px)
            film.keep(Picture(film.at[-1], len(film.at) - 1, colour, luma))
        return colour

    def _by_time(self, n: int) -> list[Boundary]:
        """Boundaries that a model found before this pass, once the frame behind them is there."""
        pts, told = self.film.frames.pts, list[Boundary]()
        while self._given and self._given[0][1] <= pts[n]:
            first, end, kind = self._given.pop(0)
            told.append(Boundary(bisect_left(pts, first), bisect_left(pts, end), kind))
        return told

    def _take(self, boundaries: list[Boundary]) -> None:
        for boundary in boundaries:
            if self._open:
                self.film.cut(boundary)
                continue
            self._open = True
            near = self._near(boundary, self.asset["segment_start_pts"])
            self.film.begin(boundary if near else None, "limit")
            if not near:
                self.film.cut(boundary)

    def _near(self, boundary: Boundary, key_pts: int) -> bool:
        return (self.film.frames.pts[boundary.first] - key_pts) * self.film.time_base <= SEAM_S

    def _beyond(self, n: int, end: int, glance: Glance, colour: np.ndarray[Any, Any] | None) -> None:
        """Behind the segment's end: ask the next one's detector where that begins."""
        if self._seam is None:
            at = len(self.film.at) - 1
            self._seam = _Ahead(self.film, self.second, self._detector(), at)
        self._sewn = self._seam.add(glance, colour)
        self._late += (self.film.frames.pts[n] - end) * self.film.time_base > SEAM_S
        self.over = bool(self._sewn) or self._late > LATE_FRAMES or not self._sews

    def rest(self) -> None:
        """The film, or the segment, is over: tell it what is left, and where it ends."""
        film, pts, end_pts = self.film, self.film.frames.pts, self.asset["segment_end_pts"]
        film.moves.rest(film.frames.end_pts)
        ends: tuple[int, tuple[str, float | None]] = (len(pts), ("end", None))
        if self._seam is not None:
            seam = [*self._sewn, *([] if self.over else self._seam.rest())] if self._sews else []
            ends = (bisect_left(pts, end_pts), ("limit", None))
            if seam and self._near(seam[0], end_pts):
                ends = (seam[0].first, (seam[0].kind, film.taken(seam[0])))
        given = [Boundary(bisect_left(pts, b[0]), bisect_left(pts, b[1]), b[2]) for b in self._given]
        for boundary in sorted([*self._beyond_end, *self._own.rest(), *given]):
            if boundary.first < ends[0] < boundary.end:
                ends = (boundary.first, (boundary.kind, film.taken(boundary)))
            elif boundary.end <= ends[0]:
                self._take([boundary])
        if not self._open:
            film.begin(None, "limit")
        film.end(*ends)


@dataclass
class _Ahead:
    """A detector that watches decoded frames from number `since` on, and tells of frames as they are
    shown."""

    film: Film
    second: SecondLook
    detector: Detector
    since: int

    def __post_init__(self) -> None:
        self._tick_s = float(self.film.time_base)

    def add(self, glance: Glance, colour: np.ndarray[Any, Any] | None) -> list[Boundary]:
        time_s = self.film.frames.pts[-1] * self._tick_s
        return [self._shown(b) for b in self.detector.add(glance, colour, time_s)]

    def rest(self) -> list[Boundary]:
        return [self._shown(b) for b in self.detector.rest()]

    def _shown(self, found: Boundary) -> Boundary:
        """Of a gradual boundary the frames between the last pure one and the first; of a cut between two
        decoded frames the very place, but where one frame was left out between them: it goes to neither shot,
        as to learn whose it is would cost a decode from the key frame before it on."""
        at, pts = self.film.at, self.film.frames.pts
        first, end = found.first + self.since, found.end + self.since
        before = at[first - 1] + 1 if first else 0
        after = at[end] if end < len(at) else len(pts)
        if found.kind == "hard" and before < after:
            if self.film.frames.effort == "keyframes":
                return Boundary(after, after, "hard")
            if after - before > 1:
                return self.second.cut(before, after)
        return Boundary(before, after, found.kind)


@dataclass(frozen=True)
class SecondLook:
    """At single frames of the film, decoded once more from the key frame before them on; `pts` are its times
    so far."""

    location: Mapping[str, Any]
    limits: media.Limits
    chosen: SplitShots
    pts: list[int]

    def cut(self, before: int, after: int) -> Boundary:
        """The cut between frames `before` - 1 and `after`, which were decoded, by those between. Where they
        cannot be decoded alone they are given away."""
        glances = self._frames(before - 1, after + 1, Eyes().glance)
        if not glances:
            return Boundary(before, after, "hard")
        cells = [glance.cells.astype(np.int16) for glance in glances]
        steps = [float(np.abs(b - a).mean()) for a, b in pairwise(cells)]
        at = before + int(np.argmax(steps))
        return Boundary(at, at, "hard")

    def picture(self, n: int) -> Picture | None:
        """Frame n as a picture; null where it cannot be found again."""
        chosen, eyes = self.chosen, Eyes()

        def take(frame: av.VideoFrame) -> Picture:
            colour, luma = eyes.colour(frame, chosen.frame_px), eyes.sharp(frame, chosen.blur_px)
            return Picture(n, 0, colour.copy(), luma.copy())

        return next(iter(self._frames(n, n + 1, take)), None)

    def _frames(self, first: int, end: int, take: Callable[[av.VideoFrame], T]) -> list[T]:
        """What is taken of frames [first, end); nothing where they cannot be found."""
        wanted = self.pts[first:end]
        for margin_s in _MARGINS_S:
            made: list[T] = []
            with media.open_video(self.location, self.limits) as container:
                frames = Frames(container, media.video_stream(container), "exact", wanted[0], margin_s)
                for _, frame in frames:
                    made.append(take(media.admitted(frame, self.limits)))
                    if len(made) == len(wanted):
                        break
            if frames.pts == wanted:
                return made
        return []


def _given(asset: Mapping[str, Any], chosen: SplitShots) -> list[tuple[int, int, str]]:
    """The boundaries of the model, in ticks; none where another detector watches the frames."""
    if chosen.detector != "transnet" or not asset["tiny_pts"]:
        return []
    times = asset["tiny_pts"]
    every = cuts_of(asset["shot_odds"], chosen.used_threshold or 0.0)
    return [(times[b.first], times[b.end], b.kind) for b in every if b.first and b.end < len(times)]

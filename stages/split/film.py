"""One pass over a video: every frame decoded once, looked at by the detector and the measures, and let go."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from manifests.errors import RowError
from stages import media
from stages.split import measures, pictures
from stages.split.detect import LATE_FRAMES, Detector, Span, divided, far_enough, open_detector, spans
from stages.split.measures import FrameMeasures
from stages.split.pictures import Picture, Reel

if TYPE_CHECKING:
    from stages.split.shots import SplitShots

Pixels = np.ndarray[Any, Any]
# Long side below which the luma that changes are measured on is not strided any further.
LUMA_PX = 256
# Pixel formats whose first plane is 8-bit luma that can be looked at in place.
_PLANAR = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray", "yuva420p"}
_CHROMA_PLANES = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuva420p"}
_FULL_RANGE = 2
# Colour matrices that libswscale converts; it refuses the others, which are rare or reserved (ITU-T H.273).
_MATRICES, _UNSPECIFIED = {0, 1, 2, 4, 5, 6, 7, 9}, 2
# Two copies of one stream in containers of other time bases differ by rounding to milliseconds at most.
_ROUNDING_S = Fraction(2, 1000)


@dataclass
class Film:
    """What one pass gathers; `spans` and `measured` tell of it once the pass is over."""

    chosen: SplitShots
    time_base: Fraction
    size: tuple[int, int]
    rotation: int
    # AVI has no presentation times: ffmpeg, which cuts the clips, shows its frames by decoding time.
    by_dts: bool = False
    pts: list[int] = field(default_factory=list)
    end_pts: int = 0
    cuts: list[int] = field(default_factory=lambda: [0])
    numbers: FrameMeasures = field(default_factory=FrameMeasures)
    reel: Reel = field(default_factory=lambda: Reel(LATE_FRAMES))
    finished: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return float((self.end_pts - self.pts[0]) * self.time_base) if self.pts else 0.0

    @property
    def least(self) -> Fraction:
        """The shortest clip in ticks, forgiving what a container's rounding takes."""
        return (Fraction(self.chosen.min_shot_s) - _ROUNDING_S) / self.time_base

    @property
    def most(self) -> Fraction:
        """The longest clip in ticks."""
        return Fraction(self.chosen.max_shot_s) / self.time_base

    def pts_of(self, frame: int) -> int:
        """When a frame is shown; the end of the last one for the number behind it."""
        return self.pts[frame] if frame < len(self.pts) else self.end_pts

    def spans(self) -> list[Span]:
        return spans(self.cuts, self.pts, self.end_pts, least=self.least, most=self.most)

    def measured(self, span: Span) -> dict[str, Any]:
        """A clip's measures and stored frames."""
        if (span.first, span.end) in self.finished:
            return self.finished.pop((span.first, span.end))
        kept = pictures.chosen(
            self.reel.pictures(span.first, span.end), span.first, span.end, self.chosen.frames_per_clip
        )
        blurs = [measures.blur(p.luma) for p in kept if p.luma is not None]
        known = [value for value in blurs if value is not None]
        return {
            **self.numbers.of_clip(span.first, span.end),
            "content_hash": self._content_hash(span),
            "blur": min(known) if known else None,
            "frames": [self._stored(picture) for picture in kept],
        }

    def _content_hash(self, span: Span) -> str:
        shape = f"{self.size[0]}x{self.size[1]} turned {self.rotation}"
        return measures.content_hash(
            shape, span.end - span.first, b"".join(self.numbers.digests[span.first : span.end])
        )

    def _stored(self, picture: Picture) -> dict[str, Any]:
        pts = self.pts[picture.frame]
        jpeg = pictures.jpeg(pictures.upright(picture.colour, self.rotation), self.chosen.frame_quality)
        return {"pts": pts, "time_s": float(pts * self.time_base), "jpeg": jpeg}

    def cut(self, frame: int) -> None:
        """Take a detector's cut. Only the last boundary can still be dropped, so what lies before the one
        before is done."""
        if not 0 < frame < len(self.pts) or not far_enough(frame, self.cuts[-1], self.pts, self.least):
            return
        self.reel.cut(frame)
        self.cuts.append(frame)
        if len(self.cuts) < 3:
            return
        first, end = self.cuts[-3], self.cuts[-2]
        for span in divided(first, end, ("", ""), self.pts, self.most):
            self.finished[(span.first, span.end)] = self.measured(span)
        self.reel.forget(end)


def run_through(limits: media.Limits, asset: Mapping[str, Any], chosen: SplitShots) -> Film:
    """Decode every frame of the video stream once. Raises RowError with a word of `media.REASONS`."""
    with media.open_video(asset["location"], limits) as container:
        stream = media.video_stream(container)
        film = _film(stream, asset, chosen)
        film.by_dts = container.format.name == "avi"
        eyes = _Eyes()
        detector = open_detector(chosen.detector, chosen.threshold)
        for frame in container.decode(stream):
            _look(film, frame, eyes, detector, limits)
        for cut in detector.rest(len(film.pts)):
            film.cut(cut)
    if not film.pts:
        raise RowError("decode_error", "the video stream holds no frame that can be decoded")
    return film


def _film(stream: av.video.stream.VideoStream, asset: Mapping[str, Any], chosen: SplitShots) -> Film:
    context, rotation = stream.codec_context, asset["rotation"] or 0
    size = (context.width, context.height) if rotation % 180 == 0 else (context.height, context.width)
    return Film(chosen, Fraction(stream.time_base or Fraction(1, 1000)), size, rotation)


def _look(film: Film, frame: av.VideoFrame, eyes: _Eyes, detector: Detector, limits: media.Limits) -> None:
    if frame.width * frame.height > limits.max_pixels:
        raise RowError(
            "too_many_pixels", f"{frame.width} x {frame.height} px, at most {limits.max_pixels} in all"
        )
    n = len(film.pts)
    usual = film.pts[-1] - film.pts[-2] if n > 1 else 1
    told = frame.dts if film.by_dts else frame.pts
    pts = film.end_pts if told is None else told
    film.pts.append(max(pts, film.pts[-1] + 1) if film.pts else pts)
    film.end_pts = film.pts[-1] + max(1, frame.duration or usual)
    luma, colour = eyes.luma(frame), eyes.colour(frame, film.chosen.frame_px)
    film.numbers.add(luma, eyes.before, colour, eyes.digest(frame, luma))
    eyes.before = luma
    sharp = eyes.sharp(frame, film.chosen.blur_px) if film.reel.wants(n) else None
    film.reel.add(Picture(n, colour, sharp), 1 + int((film.pts[-1] - film.pts[film.cuts[-1]]) / film.most))
    for cut in detector.cuts(n, colour):
        film.cut(cut)


class _Eyes:
    """How a decoded frame is looked at: luma in place where the format allows, colour by one reused
    scaler."""

    def __init__(self) -> None:
        self._colours, self._grays = VideoReformatter(), VideoReformatter()
        self._small: tuple[int, int] | None = None
        self.before: Pixels | None = None

    def luma(self, frame: av.VideoFrame) -> Pixels:
        """Every n-th pixel of the luma at full range, so that the long side has about LUMA_PX; grain is not
        averaged away."""
        plane = self._plane(frame)
        step = max(1, round(max(plane.shape) / LUMA_PX))
        return _full_range(np.ascontiguousarray(plane[::step, ::step]), frame)

    def sharp(self, frame: av.VideoFrame, long_side: int) -> Pixels:
        """The luma with at most `long_side` pixels along its long side."""
        return pictures.shrunk(self._plane(frame), long_side)

    def colour(self, frame: av.VideoFrame, long_side: int) -> Pixels:
        """A BGR picture with at most `long_side` pixels along its long side, as it is stored (not yet
        turned)."""
        if self._small is None:
            share = min(1.0, long_side / max(frame.width, frame.height))
            self._small = (max(1, round(frame.width * share)), max(1, round(frame.height * share)))
        if frame.colorspace not in _MATRICES:
            frame.colorspace = _UNSPECIFIED
        # Every picture has the size of the first, also when the stream changes its own in the middle.
        width, height = self._small
        return _array(
            self._colours.reformat(frame, width, height, "bgr24", interpolation="FAST_BILINEAR", threads=1), 3
        )

    def digest(self, frame: av.VideoFrame, luma: Pixels) -> bytes:
        """8 bytes of what the decoder gave: thinned luma and, where they are planes, thinned chroma."""
        found = hashlib.blake2b(luma.tobytes(), digest_size=8)
        if frame.format.name in _CHROMA_PLANES:
            for plane in frame.planes[1:3]:
                found.update(_lines(plane, plane.width)[: plane.height : 4, ::4].tobytes())
        return found.digest()

    def _plane(self, frame: av.VideoFrame) -> Pixels:
        if frame.format.name in _PLANAR:
            return _array(frame, 1)
        return _array(self._grays.reformat(frame, format="gray8", threads=1), 1)


def _array(frame: av.VideoFrame, channels: int) -> Pixels:
    """The first plane as (height, width) or (height, width, channels)."""
    lines = _lines(frame.planes[0], frame.width * channels)[: frame.height]
    return lines.reshape(frame.height, frame.width, channels) if channels > 1 else lines


def _lines(plane: av.video.plane.VideoPlane, used: int) -> Pixels:
    """A plane's lines, without the padding at their ends."""
    found: Pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, :used]
    return found


def _full_range(luma: Pixels, frame: av.VideoFrame) -> Pixels:
    """8-bit luma stretched from 16..235 to 0..255 unless the stream says that it is full already (ITU-R
    BT.709)."""
    if frame.color_range == _FULL_RANGE or frame.format.name.startswith(("yuvj", "gray")):
        return luma
    return _STRETCHED[luma]


_STRETCHED: Pixels = np.clip((np.arange(256) - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)

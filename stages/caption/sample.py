"""Which pictures of a clip a captioner sees: a sparse decode of only the groups of pictures it needs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from manifests.errors import RowError
from stages import child, media

if TYPE_CHECKING:
    import av
    import av.container
    import av.video.stream
    import numpy as np

    Pixels = np.ndarray[Any, Any]

Shape = Literal["square", "fit"]
# When a frame is on show, in ticks (null: not known), and the frame.
Told = tuple[int | None, "av.VideoFrame"]
# How far ahead of a wanted time its key frame is looked for, in turn: a seek goes by decoding times, and in a
# container without an index it lands anywhere.
SEEK_MARGINS_S = (0, Fraction(1, 2), 2, 8, 32)


def sampled(row: Mapping[str, Any], *, frames: int, frame_px: int, shape: Shape) -> Pixels:
    """The pictures of a row, uint8 of shape (n, height, width, 3), RGB, upright; made in the decode child.

    Of a video `frames`, each the one on show at (i + 0.5) / frames of the clip (a short clip repeats some);
    of an image one. "square" squashes to frame_px x frame_px; "fit" shrinks the long side to frame_px, and
    enlarges nothing. `row` holds location, kind, start_pts, end_pts, end_s and rotation. Raises RowError with
    a word of `media.REASONS`, and `unsupported_kind`.
    """
    import numpy

    decoder = child.decoder()
    # When a seek is led astray, all is decoded up to the clip's end.
    deadline_s = decoder.limits.deadline_for(row["end_s"])
    place = {name: row[name] for name in ("location", "kind", "start_pts", "end_pts", "rotation")}
    table = decoder.call(
        "sample", deadline_s=deadline_s, place=place, frames=frames, frame_px=frame_px, shape=shape
    )
    made = table.to_pylist()[0]
    pixels = numpy.frombuffer(made["pixels"], numpy.uint8)
    return pixels.reshape(-1, made["height_px"], made["width_px"], 3)


def sample_frames(
    limits: media.Limits, *, place: Mapping[str, Any], frames: int, frame_px: int, shape: Shape
) -> pa.Table:
    """One row (height_px, width_px, pixels, decoded); runs in the decode child. See `sampled`.

    `pixels` are the pictures one after the other; `decoded` is how many frames the decoder gave for them.
    """
    import numpy

    if place["kind"] not in ("video", "image"):
        raise RowError("unsupported_kind", f"captions are of video and image, this row is {place['kind']}")
    if place["kind"] == "image":
        pictures, decoded = [_image(limits, place["location"], frame_px, shape)], 1
    else:
        camera = _Camera(frame_px, shape, place["rotation"] or 0, limits)
        pictures = _video(limits, place, wanted(place["start_pts"], place["end_pts"], frames), camera)
        decoded = camera.decoded
    height, width = pictures[0].shape[:2]
    made = {"height_px": height, "width_px": width, "decoded": decoded}
    return pa.Table.from_pylist([{**made, "pixels": numpy.stack(pictures).tobytes()}])


def wanted(start_pts: int, end_pts: int, frames: int) -> list[Fraction]:
    """The middles of `frames` equal parts of a clip, in ticks."""
    return [start_pts + Fraction((2 * i + 1) * (end_pts - start_pts), 2 * frames) for i in range(frames)]


def _image(limits: media.Limits, location: Mapping[str, Any], frame_px: int, shape: Shape) -> Pixels:
    import numpy

    from stages.split import still

    small = _resized(still.load(limits, location), frame_px, shape)
    return numpy.ascontiguousarray(small[:, :, ::-1])


def _resized(image: Pixels, frame_px: int, shape: Shape) -> Pixels:
    import cv2
    import numpy

    from stages.split import pictures

    if shape == "fit":
        return pictures.shrunk(image, frame_px)
    return numpy.asarray(cv2.resize(image, (frame_px, frame_px), interpolation=cv2.INTER_AREA))


class _Camera:
    """How a decoded frame becomes a picture: by one converter; every picture has the size of the first."""

    def __init__(self, frame_px: int, shape: Shape, rotation: int, limits: media.Limits) -> None:
        from av.video.reformatter import VideoReformatter

        self._frame_px, self._shape, self._rotation = frame_px, shape, rotation
        self._limits = limits
        self._convert = VideoReformatter().reformat
        self._size: tuple[int, int] | None = None
        self.decoded = 0

    def seen(self, frame: av.VideoFrame) -> None:
        """Count a decoded frame and admit it; raises RowError `too_many_pixels`."""
        self.decoded += 1
        media.admitted(frame, self._limits)

    def picture(self, frame: av.VideoFrame) -> Pixels:
        import cv2

        from stages.split import pictures

        whole = self._convert(frame, format="rgb24", threads=1).to_ndarray()
        small = _resized(whole, self._frame_px, self._shape)
        self._size = self._size or (small.shape[1], small.shape[0])
        if (small.shape[1], small.shape[0]) != self._size:
            small = cv2.resize(whole, self._size, interpolation=cv2.INTER_AREA)
        return pictures.upright(small, self._rotation)


@dataclass(frozen=True)
class _Landing:
    """The key frame from which a wanted frame is decoded: its time, and a seek that leads to or before it."""

    key: int
    seek: int


@dataclass(frozen=True)
class _Reel:
    """An open video and its clock."""

    container: av.container.InputContainer
    stream: av.video.stream.VideoStream

    @property
    def seekable(self) -> bool:
        return self.container.format.name.split(",")[0] in media.SEEKABLE

    @property
    def by_dts(self) -> bool:
        """AVI has no presentation times; a clip's times are its decoding times there."""
        return self.container.format.name == "avi"

    def time(self, of: av.VideoFrame | av.Packet[Any]) -> int | None:
        return of.dts if self.by_dts else of.pts

    def landing(self, at: Fraction) -> _Landing | None:
        """The last key frame not after a wanted time; none where seeks do not lead to one."""
        base = Fraction(self.stream.time_base or Fraction(1, 1000))
        for margin_s in SEEK_MARGINS_S:
            seek = math.floor(at - margin_s / base)
            key = self._last_key(seek, at)
            if key is not None:
                return _Landing(key, seek)
        return None

    def _last_key(self, seek: int, at: Fraction) -> int | None:
        key = None
        for packet in self.packets(seek):
            time = self.time(packet)
            if packet.is_keyframe and time is not None and time <= at:
                key = time
            if packet.dts is None or packet.dts > at:
                return key
        return key

    def packets(self, seek: int) -> Iterator[av.Packet[Any]]:
        self.container.seek(seek, stream=self.stream)
        yield from (packet for packet in self.container.demux(self.stream) if not media.repeats(packet))

    def frames(self, landing: _Landing) -> Iterator[av.VideoFrame]:
        """Every frame from a key frame on; leading frames, which need pictures before it, are left out."""
        packets = itertools.dropwhile(
            lambda packet: not (packet.is_keyframe and self.time(packet) == landing.key),
            self.packets(landing.seek),
        )
        for packet in packets:
            for frame in self.stream.decode(packet):
                time = self.time(frame)
                if time is None or time >= landing.key:
                    yield frame


def _video(
    limits: media.Limits, place: Mapping[str, Any], times: Sequence[Fraction], camera: _Camera
) -> list[Pixels]:
    """The picture on show at each of the times, by seeks; from the beginning where seeks lead astray."""
    with media.open_video(place["location"], limits) as container:
        found = _by_key_frames(_Reel(container, media.video_stream(container)), times, camera)
    if found is not None:
        return found
    with media.open_video(place["location"], limits) as container:
        reel = _Reel(container, media.video_stream(container))
        found = _on_show(_from_the_beginning(reel, camera), times, camera)
    if found is None:
        raise RowError("decode_error", "the clip holds no frame that can be decoded")
    return found


def _by_key_frames(reel: _Reel, times: Sequence[Fraction], camera: _Camera) -> list[Pixels] | None:
    """Times that share a key frame are served by one pass from it. Null when anything does not fit."""
    import av

    found: list[Pixels] = []
    if not reel.seekable:
        return None
    try:
        landings = [landing for at in times if (landing := reel.landing(at))]
        if len(landings) < len(times):
            return None
        pairs = zip(landings, times, strict=True)
        for _, group in itertools.groupby(pairs, lambda pair: pair[0].key):
            together = list(group)
            frames = _trusted(reel, together[0][0], camera)
            some = _on_show(frames, [at for _, at in together], camera)
            if some is None:
                return None
            found += some
    except av.error.FFmpegError:
        # A container that cannot seek says so here; damage is met again, and told, from the beginning.
        return None
    return found


def _trusted(reel: _Reel, landing: _Landing, camera: _Camera) -> Iterator[Told]:
    """Frames with their own times; a frame that is damaged or lacks its time has none."""
    for frame in reel.frames(landing):
        camera.seen(frame)
        yield None if frame.is_corrupt else reel.time(frame), frame


def _from_the_beginning(reel: _Reel, camera: _Camera) -> Iterator[Told]:
    """All frames with the times that `split` gave them: rising, and guessed where the stream says none."""
    before: int | None = None
    usual, end = 1, 0
    for frame in media.frames(reel.container, reel.stream):
        camera.seen(frame)
        told = reel.time(frame)
        time = end if told is None else told
        time = time if before is None else max(time, before + 1)
        end = time + max(1, frame.duration or usual)
        usual = usual if before is None else time - before
        before = time
        yield time, frame


def _on_show(frames: Iterator[Told], times: Sequence[Fraction], camera: _Camera) -> list[Pixels] | None:
    """The picture of the last frame not after each of the times (which rise); null when there is a doubt."""
    found: list[Pixels] = []
    last: tuple[int, av.VideoFrame] | None = None
    for time, frame in frames:
        if time is None or (last and time <= last[0]) or (not last and time > times[0]):
            return None
        due = sum(at < time for at in times[len(found) :])
        found += [camera.picture(last[1])] * due if last and due else []
        if len(found) == len(times):
            return found
        last = time, frame
    return found + [camera.picture(last[1])] * (len(times) - len(found)) if last else None

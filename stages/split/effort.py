"""Which frames of a stream are decoded, and when every frame is shown, decoded or not."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from stages import media

if TYPE_CHECKING:
    import av

Effort = Literal["exact", "fast", "keyframes"]
# What the decoder may leave out: frames that no other frame needs; all but key frames.
_SKIP: dict[str, Literal["NONREF", "NONKEY"]] = {"fast": "NONREF", "keyframes": "NONKEY"}

# Decoders that leave nothing out, or cannot be told so frame by frame and save little.
_WHOLE = ("libdav1d", "libaom-av1", "av1", "vp8", "vp9")
# Containers whose packets do not say when their frames are shown.
_UNCLOCKED = ("avi", "mpeg")
# Codecs whose loop filter costs much and may be left out too: pictures of a fifth of the size then differ by
# 38 dB at worst (H.264 of 8 Mb/s, far behind a key frame), by 51 in the median.
_FILTERED = ("h264", "hevc")
# A packet so many times larger than is usual of the last ones like it may show a new scene.
_LARGE, _LAST = 1.5, 9
# No codec's decoder leaves out so many frames in a row: more of them are damaged ones.
_MOST_SKIPPED = 16


class Unskippable(Exception):
    """Frames cannot be left out here after all: a packet does not say when it is shown, or what should be
    decoded is not."""


def possible(
    effort: Effort, container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Effort:
    """The effort that a stream allows by its kind alone, so that all parts of it are treated alike."""
    if container.format.name in _UNCLOCKED:
        return "exact"
    context = stream.codec_context
    if effort == "fast" and (context.name in _WHOLE or not context.has_b_frames):
        return "exact"
    return effort


@dataclass
class _NearCuts:
    """Where frames that could be left out are looked at all the same: what is shown before a packet but
    stored behind it, when that is so large that it may be the first of a scene."""

    latest: int | None = None
    large: bool = False
    sizes: deque[int] = field(default_factory=lambda: deque(maxlen=_LAST))

    def cut(self, packet: av.Packet[Any]) -> bool:
        """Whether this packet, in order of storage, is large or is shown before a large one."""
        pts, size = packet.pts or 0, packet.size
        if self.latest is None or pts > self.latest:
            self.latest = pts
            self.large = bool(self.sizes) and size > _LARGE * median(self.sizes)
            self.sizes.append(size)
        return self.large


@dataclass
class Frames:
    """The frames of a stream from `begin` (ticks) on; `pts` holds the time of each, in order of showing.
    Seeking goes `margin_s` farther back than to `begin`, for containers whose index is a guess.

    `effort`: exact decodes all; fast leaves out what the codec lets a decoder leave out (in H.264 and H.265
    with B-frames about half, and the loop filter; in VP9 and without B-frames nothing); keyframes decodes
    these only. A frame without a time follows the one before; AVI has decoding times only.
    """

    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    effort: Effort = "exact"
    begin: int | None = None
    margin_s: float = 0.0
    pts: list[int] = field(default_factory=list)
    end_pts: int = 0
    decoded: int = 0
    filtered: bool = True
    _stays: int | None = None

    def __iter__(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decoded frames and their numbers: places in `pts`. Raises Unskippable, exact never."""
        if self.begin is not None:
            margin = int(self.margin_s / (self.stream.time_base or 1))
            self.container.seek(self.begin - margin, stream=self.stream)
        frames = self._every() if self.effort == "exact" else self._some()
        for n, frame in frames:
            self.decoded += 1
            yield n, frame
        if self._stays is not None:
            self.end_pts = max(self.end_pts, self._stays)

    @property
    def complete(self) -> bool:
        """Whether every frame was decoded after all, and whole."""
        return self.filtered and self.decoded == len(self.pts)

    def _every(self) -> Iterator[tuple[int, av.VideoFrame]]:
        # AVI has no presentation times: ffmpeg, which cuts the clips, shows its frames by decoding time.
        by_dts = self.container.format.name == "avi"
        for frame in (frame for packet in self._packets() for frame in packet.decode()):
            told = frame.dts if by_dts else frame.pts
            if self.begin is not None and told is not None and told < self.begin:
                continue
            self._add(told, frame.duration)
            yield len(self.pts) - 1, frame

    def _packets(self) -> Iterator[av.Packet[Any]]:
        """All but those that only say until when the last frame stays."""
        for packet in self.container.demux(self.stream):
            if not media.repeats(packet):
                yield packet
            elif packet.pts is not None:
                self._stays = packet.pts + (packet.duration or 0)

    def _add(self, told: int | None, duration: int | None) -> None:
        usual = self.pts[-1] - self.pts[-2] if len(self.pts) > 1 else 1
        at = self.end_pts if told is None else told
        self.pts.append(max(at, self.pts[-1] + 1) if self.pts else at)
        self.end_pts = self.pts[-1] + max(1, duration or usual)

    def _some(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Packets tell the times of the frames that are left out."""
        context = self.stream.codec_context
        context.skip_frame = _SKIP[self.effort]
        if context.name in _FILTERED:
            context.options = {**context.options, "skip_loop_filter": "all"}
            self.filtered = False
        waiting: list[tuple[int, int]] = []
        held: list[av.VideoFrame] = []
        near, keys = _NearCuts(), 0
        for packet in self._packets():
            if self.effort == "keyframes" and (packet.is_keyframe or not packet.size):
                # Packets that are shown before a key frame may follow it, up to the next one.
                yield from self._placed(waiting, held)
            if packet.size:
                if packet.pts is None:
                    raise Unskippable
                if not packet.is_discard and (self.begin is None or packet.pts >= self.begin):
                    heapq.heappush(waiting, (packet.pts, packet.duration or 0))
                if self.effort == "keyframes" and not packet.is_keyframe:
                    continue
            if self.effort == "fast" and packet.size:
                context.skip_frame = "DEFAULT" if near.cut(packet) else "NONREF"
            keys += packet.is_keyframe and packet.size > 0 and not packet.is_discard
            held += packet.decode()
            if self.effort == "fast":
                yield from self._placed(waiting, held)
        yield from self._placed(waiting, held)
        self._pass(waiting, None)
        if self.effort == "keyframes" and self.decoded < keys:
            raise Unskippable

    def _placed(
        self, waiting: list[tuple[int, int]], held: list[av.VideoFrame]
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """The frames held, with their numbers; they are taken from the list."""
        while held:
            frame = held.pop(0)
            if frame.pts is None or (self.pts and frame.pts <= self.pts[-1]):
                raise Unskippable
            if self.begin is None or frame.pts >= self.begin:
                self._pass(waiting, frame.pts)
                yield len(self.pts) - 1, frame

    def _pass(self, waiting: list[tuple[int, int]], upto: int | None) -> None:
        """Note the times of frames shown up to this one, or of all that wait."""
        if upto is not None and not self.pts:
            # Shown before the first picture that can be decoded: nobody will ever see them.
            while waiting and waiting[0][0] < upto:
                heapq.heappop(waiting)
        before = len(self.pts)
        while waiting and (upto is None or waiting[0][0] <= upto):
            self._add(*heapq.heappop(waiting))
        if self.effort == "fast" and len(self.pts) - before > _MOST_SKIPPED + 1:
            raise Unskippable

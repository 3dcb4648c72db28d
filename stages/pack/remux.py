"""Cutting without encoding: which packets of a video make a clip, and how they become an MP4.

Runs inside the guarded decode child: to take packets out of a container is to parse a stranger's file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import merge
from typing import TYPE_CHECKING, Any

import av
import pyarrow as pa

from stages import media
from stages.entries import is_entry
from stages.pack.seek import FAR_S, SEEK_MARGIN_S
from stages.pack.size import packed_size

if TYPE_CHECKING:
    import av.container
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

    Packet = av.Packet[Any]

Clip = Mapping[str, Any]
# What MP4 holds and its readers expect there.
VIDEO, AUDIO = {"h264", "hevc", "av1", "vp9"}, {"aac", "mp3", "opus"}
# Packets are read on for so many after the clip's end, because Matroska's decoding times are only guessed.
AHEAD_PACKETS = 32
# How far a sound may lie from its picture in a container.
LAG_S = Fraction(3)
# One answer holds at most this, or one larger clip; what does not fit is asked for again.
ANSWER_BYTES, CLIP_BYTES = 256 << 20, 700 << 20
ANSWER = pa.schema(
    [
        ("media", pa.binary()),
        ("why_not", pa.string()),
        ("frames", pa.int64()),
        ("first_pts", pa.int64()),
        ("end_pts", pa.int64()),
    ]
)


def remux(
    limits: media.Limits,
    *,
    location: Mapping[str, Any],
    clips: Sequence[Clip],
    keep_audio: bool,
    max_side_px: int | None,
) -> pa.Table:
    """One row (ANSWER) a clip: an MP4 of packets as they were, or a word why there is none; neither where the
    answer is full, and the clip is to be asked for again.

    `clips` hold time_base, start_pts, end_pts and frame_count, and rise. A clip begins at the first frame in
    its span from which a decoder can start, and ends where the last frame ends that needs no frame from
    beyond the span; so it shows no frame of a neighbour, and may lack some of its own. Words: `codec`,
    `audio_codec`, `picture_size` (too large, or an odd side), `times` (the container tells no presentation
    times), `frames` (packets are not as many as frames were), `no_key_frame`, `changed` (new parameters in
    the middle), `clip_size`. Raises RowError with a word of `media.REASONS`.
    """
    rows: list[dict[str, Any]] = []
    held_bytes = 0
    with media.open_video(location, limits) as container:
        reel = _reel(container, keep_audio)
        unfit = _unfit(reel, max_side_px)
        for clip in clips:
            row = _row(reel, clip, unfit) if held_bytes < ANSWER_BYTES else {}
            held_bytes += len(row.get("media", b""))
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=ANSWER)


@dataclass(frozen=True)
class Part:
    """The packets of a clip in the order of decoding; shown from `first` until `end`, in ticks."""

    packets: Sequence[Packet]
    first: int
    end: int


@dataclass
class Reel:
    """An open video that is read from front to back, and its packets that may still be needed."""

    container: av.container.InputContainer
    video: VideoStream
    audio: AudioStream | None
    pictures: list[Packet] = field(default_factory=list)
    sounds: list[Packet] = field(default_factory=list)
    source: Iterator[Packet] | None = None
    # Decoding time up to which all was read, in ticks.
    read: int = 0

    @property
    def tick(self) -> Fraction:
        return Fraction(self.video.time_base or 1)

    def turn_to(self, start: int) -> None:
        """Read on from where the reel stands or, when that is far, from a key frame ahead of the clip; hold
        nothing that is shown before it.

        With sound always from there: some containers tell other times of sounds after a seek.
        """
        start_s = start * self.tick
        far = self.source is None or self.audio or start_s - self.read * self.tick > FAR_S
        seek_s = start_s - (LAG_S if self.audio else SEEK_MARGIN_S)
        if far and seek_s > 0 and self.container.format.name.split(",")[0] in media.SEEKABLE:
            self.container.seek(int(seek_s / self.tick), stream=self.video)
            self.pictures, self.sounds, self.source = [], [], None
        if self.source is None:
            self.source = self.container.demux([self.video, self.audio] if self.audio else [self.video])
        self.pictures = [p for p in self.pictures if p.pts is None or p.pts >= start]
        self.sounds = [p for p in self.sounds if p.pts is None or p.pts * _tick(p) >= start_s - 1]

    def read_until(self, end: int) -> None:
        """Hold every packet that may be shown before `end`, and the sounds that go with them."""
        more = AHEAD_PACKETS
        for packet in self.source or ():
            if packet.size == 0:
                continue
            self._hold(packet)
            more -= packet.stream is self.video and self.read >= end
            if more <= 0 and self._heard(end * self.tick):
                return

    def _hold(self, packet: Packet) -> None:
        if packet.stream is not self.video:
            self.sounds.append(packet)
            return
        self.pictures.append(packet)
        if packet.dts is not None:
            self.read = packet.dts

    def _heard(self, end_s: Fraction) -> bool:
        if self.audio is None or self.read * self.tick >= end_s + LAG_S:
            return True
        last = self.sounds[-1].pts if self.sounds else None
        return last is not None and last * _tick(self.sounds[-1]) >= end_s


def _tick(of: Packet) -> Fraction:
    return Fraction(of.time_base)


def _reel(container: av.container.InputContainer, keep_audio: bool) -> Reel:
    audio = next(iter(container.streams.audio), None) if keep_audio else None
    return Reel(container, media.video_stream(container), audio)


def _codec(stream: VideoStream | AudioStream) -> str:
    """The name of the format, not of the decoder (dav1d is one of av1)."""
    return stream.codec_context.codec.canonical_name if stream.codec_context is not None else ""


def _unfit(reel: Reel, max_side_px: int | None) -> str:
    """Why no clip of this file can be copied; empty when it can be tried."""
    if _codec(reel.video) not in VIDEO:
        return "codec"
    if reel.audio is not None and _codec(reel.audio) not in AUDIO:
        return "audio_codec"
    size = reel.video.codec_context.width, reel.video.codec_context.height
    if packed_size("video", *size, max_side_px) != size:
        return "picture_size"
    return "times" if reel.container.format.name == "avi" else ""


def _row(reel: Reel, clip: Clip, unfit: str) -> dict[str, Any]:
    found = unfit or part(reel, clip)
    if isinstance(found, str):
        return {"why_not": found}
    content = _mp4(reel, found)
    if len(content) > CLIP_BYTES:
        return {"why_not": "clip_size"}
    return {"media": content, "frames": len(found.packets), "first_pts": found.first, "end_pts": found.end}


def part(reel: Reel, clip: Clip) -> Part | str:
    """The packets that make a clip, or a word why none do."""
    start, end = clip["start_pts"], clip["end_pts"]
    if Fraction(clip["time_base"]) != reel.tick:
        return "times"
    reel.turn_to(start)
    reel.read_until(end)
    if any(p.pts is None for p in reel.pictures):
        return "times"
    times = [p.pts or 0 for p in reel.pictures]
    shown = sum(start <= pts < end and not p.is_discard for pts, p in zip(times, reel.pictures, strict=True))
    if shown != clip["frame_count"]:
        return "frames"
    entry = _entry(reel, times, start, end)
    if entry is None:
        return "no_key_frame"
    # What follows the entry but is shown before it needs pictures from before it, and nothing needs those.
    chosen = [p for p in reel.pictures[entry:] if p.pts is not None and p.pts >= times[entry]]
    count, until = closed([pts for pts in times[entry:] if pts >= times[entry]], end)
    if any(p.is_discard or p.is_corrupt for p in chosen[:count]):
        return "frames"
    if any(p.has_sidedata("new_extradata") for p in chosen[:count]):
        return "changed"
    return Part(chosen[:count], times[entry], until)


def _entry(reel: Reel, times: Sequence[int], start: int, end: int) -> int | None:
    """Where the first packet of the span stands with which decoding can begin."""
    codec, extradata = _codec(reel.video), reel.video.codec_context.extradata or b""
    for at, (pts, packet) in enumerate(zip(times, reel.pictures, strict=True)):
        if not (packet.is_keyframe and start <= pts < end and is_entry(codec, extradata, bytes(packet))):
            continue
        if codec == "hevc" or all(later > pts for later in times[at + 1 :]):
            return at
    return None


def closed(pts: Sequence[int], end: int) -> tuple[int, int]:
    """How many packets, in the order of decoding, make the longest run of frames that is over by `end` and
    has no gap, and when its last frame ends.

    A frame needs only packets before its own, so a run is whole when all later ones are shown after it.
    """
    after = [end]
    for one in reversed(pts):
        after.append(min(after[-1], one))
    after.reverse()
    count, last = 0, pts[0]
    for n, one in enumerate(pts, 1):
        last = max(last, one)
        if last < after[n]:
            count = n
    return count, after[count]


def _mp4(reel: Reel, chosen: Part) -> bytes:
    """The packets as an MP4 that begins at zero, its index first."""
    made = io.BytesIO()
    options = {"movflags": "faststart", "fflags": "+bitexact", "max_interleave_delta": "0"}
    with av.open(
        made, "w", format="mp4", options=options, buffer_size=1 << 18, io_open=lambda *_: _View(made)
    ) as container:
        packets = _pictures(chosen, container.add_stream_from_template(reel.video, opaque=True))
        if reel.audio is not None:
            sounds = _sounds(reel, chosen, container.add_stream_from_template(reel.audio, opaque=True))
            packets = merge(packets, sounds, key=lambda packet: (packet.dts or 0) * _tick(packet))
        for packet in packets:
            container.mux(packet)
    return made.getvalue()


def _pictures(chosen: Part, stream: VideoStream) -> Iterator[Packet]:
    """Decoding times are made from those of presentation: what a container says depends on where reading
    began, and may be a guess."""
    rising = sorted(p.pts or 0 for p in chosen.packets)
    ends = dict(zip(rising, [*rising[1:], chosen.end], strict=True))
    ahead = max(at - (p.pts or 0) for at, p in zip(rising, chosen.packets, strict=True))
    for at, packet in zip(rising, chosen.packets, strict=True):
        pts = packet.pts or 0
        times = pts - chosen.first, at - ahead - chosen.first, ends[pts] - pts
        yield _copied(packet, stream, times, is_key=packet.is_keyframe)


def _sounds(reel: Reel, chosen: Part, stream: AudioStream) -> Iterator[Packet]:
    """All that sounds while the clip is shown; an edit list leaves out what its first packet has before."""
    first_s, end_s = chosen.first * reel.tick, chosen.end * reel.tick
    for packet in reel.sounds:
        if packet.pts is None:
            continue
        start_s, length = packet.pts * _tick(packet), packet.duration or 0
        if start_s < end_s and start_s + length * _tick(packet) > first_s:
            at = packet.pts - round(first_s / _tick(packet))
            yield _copied(packet, stream, (at, at, length), is_key=True)


def _copied(
    packet: Packet, stream: VideoStream | AudioStream, times: tuple[int, int, int], *, is_key: bool
) -> Packet:
    """A packet of the same content at other times (pts, dts, duration); clips may overlap and share one."""
    made: Packet = av.Packet(memoryview(packet))  # type: ignore[arg-type]  # it takes any buffer
    made.stream, made.time_base, made.is_keyframe = stream, packet.time_base, is_key
    made.pts, made.dts, made.duration = times
    return made


class _View:
    """The bytes that were written so far, to be read: what puts the index first reads the file again."""

    def __init__(self, made: io.BytesIO) -> None:
        self._made, self._at = made, 0

    def read(self, size: int) -> bytes:
        found = self._made.getbuffer()[self._at : self._at + size].tobytes()
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._made.getbuffer().nbytes}
        self._at = base[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

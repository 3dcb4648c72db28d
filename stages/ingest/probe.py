"""What an asset is: its kind by its content, its facts by its packets; only one frame is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from manifests import columns
from manifests.errors import RowError
from stages import child, media
from stages.base import Map, Row, Work, per_row
from stages.ingest.clock import Clock
from stages.ingest.content import HEAD_BYTES, sniff

if TYPE_CHECKING:
    import av.container
    import av.packet
    import av.video.stream

FACTS = (
    *("kind", "format", "codec", "audio", "width_px", "height_px", "rotation"),
    *("fps", "vfr", "frame_count", "duration_s", "aspect", "bits_per_pixel"),
)
VIDEO_NAMES = {
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts"),
    *(".mpg", ".mpeg", ".m2v", ".vob", ".flv", ".wmv", ".asf", ".ogv", ".ivf"),
}
IMAGE_NAMES = {
    *(".jpg", ".jpeg", ".jfif", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".tga", ".ico"),
}
# A stream that ends earlier than it declares by more than both of these was cut off.
MISSING_SHARE, MISSING_S = 0.1, 1.0
# Frame times are uneven when their steps differ by more than this share of the usual step and than rounding.
UNEVEN_SHARE, ROUNDING_TICKS = 0.1, 2
# Every packet is read, so a deadline must grow with the file. An assumption, not a measurement: no storage
# that holds a corpus gives one reader less than this (a tenth of one hard disk, 80 Mbit/s of a network).
SLOWEST_BYTES_PER_S = 10_000_000


class ProbeAsset(Map):
    """Kind and facts of an asset. Audio, text, documents and unknown content are told by kind, not failed.

    Fails rows whose content is not what the name says, is cut off, or is outside the limits (media.REASONS).
    The deadline of a row grows with its bytes, by SLOWEST_BYTES_PER_S.
    """

    reads = ("location", "source_uri")
    writes = FACTS
    version = 3

    def open(self) -> Work:
        def probe(row: Row) -> Iterator[Row]:
            decoder = child.decoder()
            deadline_s = decoder.limits.deadline_s + (row["location"]["size"] or 0) / SLOWEST_BYTES_PER_S
            arguments = {"location": row["location"], "source_uri": row["source_uri"]}
            yield from decoder.call("probe", deadline_s=deadline_s, **arguments).to_pylist()

        return per_row(probe, self.writes)


def probe_file(limits: media.Limits, *, location: Mapping[str, Any], source_uri: str) -> pa.Table:
    """One row of FACTS; runs in the decode child. Raises RowError with a word of `media.REASONS`.

    Of an animated image (GIF, WebP, APNG, AVIF) the first frame counts. A name decides nothing; but where the
    content is neither picture nor sound and the name promises a picture, the row fails.
    """
    head = media.read(location, HEAD_BYTES)
    if not head:
        raise RowError("empty_file", media.REASONS["empty_file"])
    kind, name = sniff(head), PurePosixPath(source_uri).suffix.lower()
    claimed = "video" if name in VIDEO_NAMES else "image" if name in IMAGE_NAMES else None
    if kind == "other" and claimed:
        kind = claimed
    if kind == "video":
        return _row(_video(location, limits, head))
    if kind == "image":
        return _row(_image(location, limits))
    if claimed and kind != "audio":
        raise RowError(
            "not_media", f"content is {kind}, but the name ends in {name}, which promises {claimed}"
        )
    return _row({"kind": kind})


def _row(facts: dict[str, Any]) -> pa.Table:
    return columns.table([facts], FACTS)


def _image(location: Mapping[str, Any], limits: media.Limits) -> dict[str, Any]:
    with media.open_image(location, limits) as image:
        image.load()
        # Whether a GIF moves nobody knows before its second picture, which may be damaged.
        alone = image.format != "GIF" and not getattr(image, "is_animated", False)
        width, height = media.upright(image).size
        form = (image.format or "").lower()
    shape = {"width_px": width, "height_px": height, "rotation": 0, "frame_count": 1}
    bits = 8 * location["size"] / (width * height) if alone and location["size"] else None
    more = {"aspect": width / height, "bits_per_pixel": bits}
    return {"kind": "image", "format": form, **shape, **more}


def _video(location: Mapping[str, Any], limits: media.Limits, head: bytes) -> dict[str, Any]:
    """Opened twice, for the packets and for one frame: not every container can be sought to its start."""
    try:
        with media.open_video(location, limits) as container:
            facts, bytes_ = _facts(container, limits)
    except RowError as error:
        if error.reason == "not_media" and head[4:8] == b"ftyp":
            raise RowError("truncated", "the file begins as MP4, but its index (moov) is missing") from error
        raise
    if facts["kind"] == "audio":
        return facts
    with media.open_video(location, limits) as container:
        facts |= _first_frame(container)
    pixels = facts["width_px"] * facts["height_px"] * facts["frame_count"]
    return {**facts, "bits_per_pixel": 8 * bytes_ / pixels if pixels else None}


def _facts(container: av.container.InputContainer, limits: media.Limits) -> tuple[dict[str, Any], int]:
    """Facts by the packets, and how many bytes those of the moving picture hold."""
    known = [stream for stream in container.streams if stream.codec_context]
    names = {stream.type: stream.codec_context.codec.canonical_name for stream in reversed(known)}
    container_format = container.format.name.split(",")[0]
    try:
        stream = media.video_stream(container)
    except RowError as error:
        if error.reason == "no_video_stream" and "audio" in names:
            return {"kind": "audio", "format": container_format, "audio": names["audio"]}, 0
        raise
    times = _scan(container, stream)
    _whole(container, stream, times)
    _not_too_long(times, limits)
    facts = {
        "kind": "video",
        "format": container_format,
        "codec": stream.codec_context.codec.canonical_name,
        "audio": names.get("audio"),
        "fps": len(times.pts) / times.seconds if times.seconds else None,
        "vfr": times.uneven,
        "frame_count": len(times.pts),
        "duration_s": times.seconds,
    }
    return facts, times.bytes


@dataclass
class Times:
    """When a video stream's packets are shown, in ticks of `base`; by `ends_s` every stream has ended."""

    base: Fraction
    pts: list[int] = field(default_factory=list)
    latest: int | None = None
    last_ticks: int = 0
    packets: int = 0
    bytes: int = 0
    ends_s: float = 0.0

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last."""
        if not self.pts:
            return 0.0
        return float((max(self.pts) + self._last() - min(self.pts)) * self.base)

    def _last(self) -> int:
        """How long the last frame is shown: as its packet says, else as long as frames usually are."""
        steps = self._steps()
        return self.last_ticks or (steps[len(steps) // 2] if steps else 0)

    def _steps(self) -> list[int]:
        ordered = sorted(self.pts)
        return sorted(b - a for a, b in pairwise(ordered))

    @property
    def uneven(self) -> bool:
        steps = self._steps()
        if len(steps) < 2:
            return False
        spread, usual = steps[-1] - steps[0], steps[len(steps) // 2]
        return spread > ROUNDING_TICKS and spread > UNEVEN_SHARE * usual


def _scan(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Times:
    """Every packet's time, without decoding; packets that an edit list discards are counted, not shown."""
    times, clock = Times(base=stream.time_base or Fraction(1, 1000)), Clock(container)
    for packet in container.demux():
        clock.read(packet)
        if packet.pts is None:
            times.packets += int(packet.stream_index == stream.index and packet.size > 0)
            continue
        _note(times, packet, stream)
    return times


def _note(times: Times, packet: av.packet.Packet[Any], stream: av.video.stream.VideoStream) -> None:
    assert packet.pts is not None
    base = packet.time_base or times.base
    times.ends_s = max(times.ends_s, float((packet.pts + (packet.duration or 0)) * base))
    if packet.stream_index != stream.index:
        return
    times.packets += 1
    if packet.is_discard:
        return
    if media.repeats(packet):
        until = packet.pts + (packet.duration or 0)
        times.last_ticks = max(times.last_ticks, until - (times.latest or 0))
        return
    if times.latest is None or packet.pts > times.latest:
        times.latest, times.last_ticks = packet.pts, packet.duration or 0
    times.pts.append(packet.pts)
    times.bytes += packet.size


def _whole(container: av.container.InputContainer, stream: av.video.stream.VideoStream, times: Times) -> None:
    """Raises RowError `truncated` when packets are missing at the end.

    Only MP4's table counts packets exactly; an AVI header counts frames that are repeated without a packet.
    """
    if container.format.name.startswith("mov") and times.packets < stream.frames:
        raise RowError("truncated", f"{times.packets} of {stream.frames} frames are there")
    if not times.packets:
        raise RowError("truncated", "the video stream holds no packets")
    declared_s = container.duration / 1_000_000 if container.duration else 0.0
    begin_s = container.start_time / 1_000_000 if container.start_time else 0.0
    missing_s = declared_s - (times.ends_s - begin_s)
    if missing_s > MISSING_S and missing_s > MISSING_SHARE * declared_s:
        raise RowError("truncated", f"data ends {missing_s:.1f} s before the declared {declared_s:.1f} s")


def _not_too_long(times: Times, limits: media.Limits) -> None:
    if times.seconds > limits.max_duration_s:
        raise RowError("too_long", f"{times.seconds:.0f} s, at most {limits.max_duration_s:.0f} s")


def _first_frame(container: av.container.InputContainer) -> dict[str, Any]:
    """Size as displayed, and the clockwise turn that leads there, to the nearest quarter."""
    stream = media.video_stream(container)
    for frame in media.frames(container, stream):
        rotation = _rotation(frame)
        sides = (frame.width, frame.height) if rotation % 180 == 0 else (frame.height, frame.width)
        aspect = float(frame.width / frame.height * (stream.sample_aspect_ratio or 1))
        shape = {"width_px": sides[0], "height_px": sides[1], "rotation": rotation}
        return {**shape, "aspect": aspect if rotation % 180 == 0 else 1 / aspect}
    raise RowError("decode_error", "no frame of the video stream can be decoded")


def _rotation(frame: av.VideoFrame) -> int:
    """What the display matrix does. FFmpeg tells where it leads the picture's upper edge; a mirror (a
    determinant below zero, see libavutil/display.h) reversed that edge before."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    a, b, _, c, d = struct.unpack_from("5i", matrix) if matrix else (1, 0, 0, 0, 1)
    if a * d >= b * c:
        return -90 * round(frame.rotation / 90) % 360
    return media.MIRRORED + (180 - 90 * round(frame.rotation / 90)) % 360

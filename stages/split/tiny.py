"""Tiny frames for the detectors that are networks: one decode of a video, every frame at 48 x 27 pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns
from manifests.errors import RowError
from stages import child, media
from stages.base import Map, Row, Work, per_row
from stages.models.transnet import FRAME
from stages.split.effort import Frames

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[Any, Any]

TRANSNET = "transnet"
# About 1 MB of pixels; what is compressed so far is all that is held besides.
CHUNK_FRAMES = 256
# Of zstd. On films of the media folder level 1 leaves 8 % (a talk) to 33 % (leaves in the wind) in 0.01 ms a
# frame, level 9 gains 5 % more in eight times that; without differences it is twice as much.
_LEVEL = 1


@dataclass(frozen=True)
class StoreTinyFrames(Map):
    """Every frame of a video, or of its segment, at 48 x 27 RGB pixels and upright, for TransNetV2.

    Scaled bicubically, as the ffmpeg command scaled what the network was trained on (`-s 48x27`); the picture
    is stretched to that shape. Rows of images are left out, and the stage with them unless the recipe's
    `detector` is "transnet". Fails rows with a word of `media.REASONS`.
    """

    reads = (
        "location",
        "kind",
        "asset_id",
        "duration_s",
        "rotation",
        "segment_start_pts",
        "segment_end_pts",
    )
    writes = ("tiny_frames", "tiny_pts")
    version = 2

    detector: str = ""

    @property
    def active(self) -> bool:
        return self.detector == TRANSNET

    def identity(self) -> dict[str, Any]:
        """The library whose arithmetic decides the result."""
        return {"av": metadata.version("av")}

    def applies(self, rows: pa.Table) -> pa.Array | None:
        return pc.equal(rows["kind"], "video")

    def open(self) -> Work:
        def store(row: Row) -> Iterator[Row]:
            decoder = child.decoder()
            deadline_s = decoder.limits.deadline_for(row["duration_s"])
            asset = {name: row[name] for name in self.reads}
            yield from decoder.call("tiny", deadline_s=deadline_s, asset=asset).to_pylist()

        return per_row(store, self.writes)


def store(limits: media.Limits, *, asset: Mapping[str, Any]) -> pa.Table:
    """One row (tiny_frames, tiny_pts); runs in the decode child. Raises RowError with a word of
    `media.REASONS`."""
    pts: list[int] = []
    content = packed(_tiny(limits, asset, pts))
    if not pts:
        raise RowError("decode_error", "the video stream holds no frame that can be decoded")
    return columns.table([{"tiny_frames": content, "tiny_pts": pts}], StoreTinyFrames.writes)


def packed(frames: Iterable[Pixels]) -> bytes:
    """Frames uint8 (27, 48, 3) as one after the other, each as its difference to the one before, modulo 256,
    by zstd."""
    import numpy

    every, before, made = iter(frames), numpy.zeros(FRAME, numpy.uint8), list[bytes]()
    codec = pa.Codec("zstd", compression_level=_LEVEL)
    while some := list(islice(every, CHUNK_FRAMES)):
        steps = numpy.diff(numpy.stack([before, *some]), axis=0)
        # Frames of zstd that follow each other are one stream.
        made.append(codec.compress(steps.tobytes(), asbytes=True))
        before = some[-1]
    return b"".join(made)


def unpacked(content: bytes | memoryview) -> Pixels:
    """Uint8 (frames, 27, 48, 3) of what `packed` made; raises RowError `bad_frame` when it is spoilt."""
    import numpy

    try:
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
            steps = numpy.frombuffer(stream.read(), numpy.uint8).reshape(-1, *FRAME)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RowError("bad_frame", f"tiny frames cannot be read: {error}; run split again") from error
    frames: Pixels = numpy.cumsum(steps, 0, numpy.uint8)
    return frames


def _tiny(limits: media.Limits, asset: Mapping[str, Any], pts: list[int]) -> Iterator[Pixels]:
    """The frames of the asset's segment, one after the other; their times are appended to `pts`."""
    from av.video.reformatter import VideoReformatter

    from stages.split.pictures import upright

    begin, end = asset["segment_start_pts"], asset["segment_end_pts"]
    rotation = asset["rotation"] or 0
    # Bicubic sums over all lines of the source: one scaler keeps its tables from frame to frame.
    height, width = FRAME[:2] if rotation % 180 == 0 else (FRAME[1], FRAME[0])
    scale = VideoReformatter().reformat
    with media.open_video(asset["location"], limits) as container:
        frames = Frames(container, media.video_stream(container), begin=begin)
        for n, frame in frames:
            if end is not None and frames.pts[n] >= end:
                return
            media.admitted(frame, limits)
            small = scale(frame, width, height, "rgb24", interpolation="BICUBIC", threads=1).to_ndarray()
            pts.append(frames.pts[n])
            yield upright(small, rotation)

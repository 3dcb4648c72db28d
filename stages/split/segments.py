"""Very long videos in segments, so that many workers share one: where each begins, at a key frame."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns
from manifests.errors import RowError
from manifests.ids import segment_id
from stages import child, media
from stages.base import Map, Row, Work, per_row, within
from stages.entries import is_entry

WRITES = ("id", "segment_start_pts", "segment_end_pts", "duration_s")


@dataclass(frozen=True)
class CutSegments(Map):
    """A video longer than two segments of `segment_s` becomes a row for each segment; all else stays.

    Segments begin at the first key frame `segment_s` or more after the one before; shots that begin in a
    segment belong to it, wherever they end. Only containers that can be sought exactly are cut.
    """

    reads = ("location", "kind", "asset_id", "format", "duration_s")
    writes = WRITES
    spreads = True

    segment_s: float = 600.0

    def identity(self) -> dict[str, Any]:
        """The library that says which packets are key frames."""
        return {"av": metadata.version("av")}

    def __post_init__(self) -> None:
        within(self, "split", segment_s=(60, math.inf))

    def applies(self, rows: pa.Table) -> pa.Array | None:
        long = pc.and_(pc.equal(rows["kind"], "video"), pc.greater(rows["duration_s"], 2 * self.segment_s))
        names = pc.fill_null(rows["format"], "")
        return pc.fill_null(pc.and_(long, pc.is_in(names, value_set=pa.array(media.INDEXED))), False)

    def open(self) -> Work:
        def cut(row: Row) -> Iterator[Row]:
            decoder = child.decoder()
            asset = {name: row[name] for name in self.reads}
            deadline_s = decoder.limits.deadline_for(row["duration_s"])
            found = decoder.call("segments", deadline_s=deadline_s, asset=asset, segment_s=self.segment_s)
            yield from found.to_pylist()

        return per_row(cut, self.writes)


def segments(limits: media.Limits, *, asset: Mapping[str, Any], segment_s: float) -> pa.Table:
    """The segments of an asset (columns WRITES), by its packets alone; runs in the decode child. Raises
    RowError with a word of `media.REASONS`."""
    with media.open_video(asset["location"], limits) as container:
        stream = media.video_stream(container)
        base, keys, end = stream.time_base or 1, list[int](), 0
        context = stream.codec_context
        codec, extradata = context.codec.canonical_name, bytes(context.extradata or b"")
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and not packet.is_discard:
                end = max(end, packet.pts + (packet.duration or 0))
                if packet.is_keyframe and is_entry(codec, extradata, bytes(packet)):
                    keys.append(packet.pts)
    starts = _starts(sorted(keys), end, segment_s / base)
    seconds = float((end - starts[0]) * base) if starts else asset["duration_s"]
    if seconds > limits.max_duration_s:
        raise RowError("too_long", f"{seconds:.0f} s, at most {limits.max_duration_s:.0f} s")
    if len(starts) < 2:
        return columns.table([{"id": asset["asset_id"], "duration_s": seconds}], WRITES)
    made: list[dict[str, object]] = []
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        first, last = start == starts[0], stop == end
        made.append(
            {
                "id": segment_id(asset["asset_id"], start),
                "segment_start_pts": None if first else start,
                "segment_end_pts": None if last else stop,
                "duration_s": float((stop - start) * base),
            }
        )
    return columns.table(made, WRITES)


def _starts(keys: list[int], end: int, least: Any) -> list[int]:
    """Key frames at least so many ticks apart, the last one so far from the end, too."""
    starts = keys[:1]
    for key in keys:
        if key - starts[-1] >= least and end - key >= least:
            starts.append(key)
    return starts

"""At which packet decoding can begin ahead of a clip, in a container that a seek enters anywhere; runs inside
the guarded decode child."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pyarrow as pa

from stages import media

# How far ahead of the clip a key frame is looked for, in turn.
MARGINS_S = (Fraction(1, 2), 2, 8, 32)
# The ffmpeg command seeks so much earlier than it is told where frames are reordered (its ffmpeg_demux.c).
FFMPEG_EARLY_S = Fraction(3, 23)


def find_landing(limits: media.Limits, *, location: Mapping[str, Any], start_pts: int) -> pa.Table:
    """One row (seek_s): what to tell the ffmpeg command, as a fraction of seconds, so that it begins with the
    last key frame that is shown half a second or more ahead of `start_pts`; null when none is found near.

    Raises RowError with a word of `media.REASONS`.
    """
    with media.open_video(location, limits) as container:
        stream = media.video_stream(container)
        tick = Fraction(stream.time_base or 1)
        latest = start_pts - MARGINS_S[0] / tick
        for margin_s in MARGINS_S:
            container.seek(int(start_pts - margin_s / tick), stream=stream)
            found: int | None = None
            for packet in container.demux(stream):
                if packet.dts is None or packet.dts > latest:
                    break
                if packet.is_keyframe and packet.pts is not None and packet.pts <= latest:
                    found = packet.dts
            if found is not None:
                reordered = stream.codec_context.has_b_frames
                return _table(str(found * tick + (FFMPEG_EARLY_S if reordered else 0)))
    return _table(None)


def _table(seek_s: str | None) -> pa.Table:
    return pa.table({"seek_s": pa.array([seek_s], pa.string())})

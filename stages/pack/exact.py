"""Cutting by encoding: every frame of each span at its own time, all clips of a run from one decode."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from manifests.errors import RowError
from stages import child, media
from stages.base import Row
from stages.pack import codecs
from stages.pack.guard import run_guarded
from stages.pack.seek import seek_s
from stages.pack.size import packed_size

if TYPE_CHECKING:
    from stages.pack.cut import CutMedia

# Encoders stay open until the last clip of a run is written: so many at most, and of large pictures as few as
# take this share of the memory limit.
MOST_OUTPUTS, ENCODERS_SHARE = 12, 0.25


def most_outputs(settings: CutMedia, rows: Sequence[Row]) -> int:
    """How many clips of one video may be written by one process."""
    px = 1
    for row in rows:
        sides = packed_size("video", row["width_px"] or 0, row["height_px"] or 0, settings.max_side_px)
        px = max(px, sides[0] * sides[1])
    allowed = ENCODERS_SHARE * child.decoder().limits.memory_bytes
    return max(1, min(MOST_OUTPUTS, int(allowed / (px * codecs.CODECS[settings.video_codec].bytes_per_px))))


def encoded(settings: CutMedia, rows: Sequence[Row], *, sought: bool = True) -> list[bytes]:
    """The clips of one video, which rise, as MP4 each; decoded once, from a key frame ahead of the first (or,
    not `sought`, from the beginning).

    A clip's bytes are those that it has when it is cut alone. Timestamps are the container's own from end to
    end, so that trimming by PTS is exact; sound is decoded for each clip by itself, because a sound decoder
    carries noise on from where it began. Raises RowError as `run_guarded` does, for all of them, and
    `decode_error` when the decoder complained: what it makes of damage, and of a start in the middle, depends
    on where it began. Only what a single clip is made of from the beginning on is taken as it comes.
    """
    media.unchanged(rows[0]["location"])
    limits, seek = child.decoder().limits, _landing(rows[0]) if sought else None
    child.decoder().counts["cut"] += 1
    span_s = max(row["end_s"] for row in rows) - float(seek or 0)
    media_s = max(0.0, span_s, sum(row["end_s"] - row["start_s"] for row in rows))
    with _memory_files(len(rows)) as files:
        _, complaint = run_guarded(
            _command(settings, rows, files, seek),
            outputs=files,
            deadline_s=limits.deadline_for(media_s),
            memory_bytes=limits.memory_bytes,
        )
        if complaint and (seek is not None or len(rows) > 1):
            raise RowError("decode_error", complaint)
        return [_content(file) for file in files]


@contextlib.contextmanager
def _memory_files(count: int) -> Iterator[list[int]]:
    """Outputs are files in memory: MP4 must be seekable, and a killed worker leaves nothing behind."""
    with contextlib.ExitStack() as stack:
        files = [os.memfd_create("clip") for _ in range(count)]
        for file in files:
            stack.callback(os.close, file)
        yield files


def _content(file: int) -> bytes:
    with os.fdopen(os.dup(file), "rb") as handle:
        handle.seek(0)
        return handle.read()


def _landing(row: Row) -> Fraction | None:
    """Where decoding begins. A transport stream has no index, and a seek by time alone leads to any frame."""
    seek = seek_s(row)
    if seek is None or row["format"] != "mpegts":
        return seek
    decoder = child.decoder()
    place = {"location": row["location"], "start_pts": row["start_pts"]}
    told = decoder.call("landing", deadline_s=decoder.limits.deadline_s, **place)["seek_s"][0].as_py()
    return None if told is None else Fraction(told)


def _command(
    settings: CutMedia, rows: Sequence[Row], files: Sequence[int], seek: Fraction | None
) -> list[str]:
    import ffmpeg

    video = _input(settings, rows[0], seek)["V:0"].filter_multi_output("split", len(rows))
    outputs = []
    for n, (row, file) in enumerate(zip(rows, files, strict=True)):
        streams = [_shown(settings, row, video[n])]
        if settings.audio == "keep":
            # Never that of the pictures: packets would come from another place than when it is not.
            streams.append(_input(settings, row, seek_s(row), vn=None)["a:0?"])
        outputs.append(ffmpeg.output(*streams, f"/proc/self/fd/{file}", **_output_options(settings, row)))
    quiet = ("-hide_banner", "-nostdin", "-y", "-loglevel", "error", "-nostats")
    threads = ("-filter_threads", "1", "-filter_complex_threads", "1")
    command = ffmpeg.merge_outputs(*outputs).global_args(*quiet, *threads).compile(cmd=codecs.ffmpeg())
    return [str(word) for word in command]


def _input(settings: CutMedia, row: Row, seek: Fraction | None, **more: None) -> Any:
    """The source from `seek` on; equal inputs are one."""
    import ffmpeg

    options: dict[str, Any] = {
        **media.input_options(child.decoder().limits),
        "threads": settings.video_threads,
        **more,
    }
    options |= {"copyts": None, "noaccurate_seek": None, "seek_timestamp": 1}
    if seek is not None:
        options["ss"] = f"{math.ceil(seek * 1_000_000) / 1_000_000:.6f}"
    return ffmpeg.input(media.url(row["location"]), **options)


def _shown(settings: CutMedia, row: Row, video: Any) -> Any:
    """The pictures of a clip: its span, from zero, of even sides, 8 bits 4:2:0.

    The sides are those of `size.packed_size`; only ffmpeg knows what a stream turns out to be.
    """
    start, end = row["start_pts"], row["end_pts"]
    span = video.filter("settb", row["time_base"]).filter("trim", start_pts=start, end_pts=end)
    span = span.filter("setpts", f"PTS-({start})")
    if settings.max_side_px is None:
        span, sides = span.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2"), {}
    else:
        factor = f"min(1,{settings.max_side_px}/max(iw,ih))"
        # Without max(2, …) a side of 0, which the filter takes for the side as it was.
        sides = {side: f"max(2,2*trunc(i{side}*{factor}/2))" for side in ("w", "h")}
    return span.filter("scale", **sides, flags="bicubic+accurate_rnd+bitexact").filter("format", "yuv420p")


def _output_options(settings: CutMedia, row: Row) -> dict[str, Any]:
    options: dict[str, Any] = {
        "f": "mp4",
        **settings.encoder(),
        "g": max(1, round(settings.gop_s * (row["fps"] or 25.0))),
        "fps_mode": "passthrough",
        "enc_time_base": "filter",
        "flags:v": "+bitexact",
        "fflags": "+bitexact",
        "map_metadata": -1,
        "map_chapters": -1,
        "movflags": "+faststart",
    }
    if settings.audio == "drop":
        return options
    span = f"atrim=start={row['start_s']!r}:end={row['end_s']!r},asetpts=PTS-({row['start_s']!r})/TB"
    # Of sound and picture whichever is due is written first, however late it comes.
    sound = {"af": span, "c:a": "aac", "b:a": "128k", "threads:a": 1, "flags:a": "+bitexact"}
    return {**options, **sound, "max_interleave_delta": 0}

"""How a row becomes the media of a sample: clips cut and encoded by ffmpeg, images copied or encoded."""

from __future__ import annotations

import hashlib
import math
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from manifests.errors import RecipeError, RowError
from stages import child, confine, media
from stages.base import Map, Row, Work, per_row, within

# Decoding starts at the last key frame before this time ahead of the clip; what comes too early is dropped.
SEEK_MARGIN = Fraction(1, 2)
COMPLAINT_CHARACTERS = 300


@dataclass(frozen=True)
class CutMedia(Map):
    """The bytes of a sample: a clip as MP4 from its first to its last frame, an image as JPEG.

    Clips: every frame whose time lies in [start_pts, end_pts), at its own time (a variable rate stays
    variable), turned upright, 8 bits 4:2:0, even sizes, index first, a key frame at least every `gop_s`
    seconds. Encoder threads and versions decide the bytes, so they stand in the fingerprint. Images: see
    `stages.pack.encode`. `max_side_px` bounds the longer side of both. Fails rows with `deadline`,
    `out_of_memory`, `encode_failed`, and `cut_mismatch` when the clip has not `frame_count` frames.
    """

    reads = (
        *("location", "kind", "time_base", "start_pts", "end_pts", "start_s", "end_s"),
        *("fps", "frame_count"),
    )
    writes = ("media_ext", "media_bytes", "media_sha256", "media_how", "media")

    video_codec: str = "libx264"
    crf: int = 20
    preset: str = "veryfast"
    video_threads: int = 1
    gop_s: float = 2.0
    audio: Literal["drop", "keep"] = "drop"
    image_quality: int = 95
    max_side_px: int | None = None

    def __post_init__(self) -> None:
        within(
            self, "pack", crf=(0, 63), gop_s=(0.01, math.inf), image_quality=(1, 100), video_threads=(1, 64)
        )
        if self.max_side_px is not None and self.max_side_px < 2:
            raise RecipeError(f"pack.max_side_px is {self.max_side_px}, expected 2 or more, or leave it out")

    def identity(self) -> dict[str, Any]:
        import PIL

        return {"ffmpeg": Path(_ffmpeg()).name, "pillow": PIL.__version__}

    def open(self) -> Work:
        def cut(row: Row) -> Iterable[Row]:
            made = _clip(self, row) if row["kind"] == "video" else _image(self, row)
            content = made["media"]
            yield {
                **made,
                "media_bytes": len(content),
                "media_sha256": hashlib.sha256(content).hexdigest(),
            }

        return per_row(cut, self.writes)


def _image(settings: CutMedia, row: Row) -> dict[str, Any]:
    if row["kind"] != "image":
        raise RowError("encode_failed", f"pack writes video and image, this row is {row['kind']}")
    decoder = child.decoder()
    table = decoder.call(
        "image",
        deadline_s=decoder.limits.deadline_s,
        location=row["location"],
        quality=settings.image_quality,
        max_side_px=settings.max_side_px,
    )
    made: dict[str, Any] = table.to_pylist()[0]
    return made


def _clip(settings: CutMedia, row: Row) -> dict[str, Any]:
    """Cut with a seek first; where the container leads the seek astray, decode from the beginning."""
    seek = Fraction(row["time_base"]) * row["start_pts"] - SEEK_MARGIN
    content, frames = _encoded(settings, row, seek if seek > 0 else None)
    if frames != row["frame_count"] and seek > 0:
        content, frames = _encoded(settings, row, None)
    if frames != row["frame_count"]:
        raise RowError("cut_mismatch", f"the clip was cut to {frames} frames, expected {row['frame_count']}")
    return {"media_ext": "mp4", "media_how": "encoded", "media": content}


def _encoded(settings: CutMedia, row: Row, seek: Fraction | None) -> tuple[bytes, int]:
    """One clip and its number of frames.

    The output is a file in memory: MP4 must be seekable, and a killed worker leaves nothing behind.
    """
    limits = child.decoder().limits
    deadline_s = limits.deadline_for(max(0.0, row["end_s"] - float(seek or 0)))
    media.unchanged(row["location"])
    child.decoder().counts["cut"] += 1
    output = os.memfd_create("clip")
    try:
        command = _command(settings, row, seek, f"/proc/self/fd/{output}")
        progress = run_guarded(
            command, output=output, deadline_s=deadline_s, memory_bytes=limits.memory_bytes
        )
        content = os.pread(output, os.fstat(output).st_size, 0)
    finally:
        os.close(output)
    counts = [line for line in progress.split() if line.startswith("frame=")]
    return content, int(counts[-1].removeprefix("frame=")) if counts else 0


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _command(settings: CutMedia, row: Row, seek: Fraction | None, output: str) -> list[str]:
    """The command line.

    Timestamps are the container's own from end to end (`copyts`), so that trimming by PTS is exact.
    """
    import ffmpeg

    options: dict[str, Any] = {
        **media.input_options(child.decoder().limits),
        "threads": settings.video_threads,
    }
    options |= {"copyts": None, "noaccurate_seek": None, "seek_timestamp": 1}
    if seek is not None:
        options["ss"] = f"{float(seek):.6f}"
    source = ffmpeg.input(media.url(row["location"]), **options)
    streams = [source["V:0"]]
    if settings.audio == "keep":
        streams.append(source["a:0?"])
    made = ffmpeg.output(*streams, output, **_output_options(settings, row))
    quiet = ("-hide_banner", "-nostdin", "-y", "-loglevel", "error", "-nostats", "-filter_threads", "1")
    command = made.global_args(*quiet, "-progress", "pipe:1").compile(cmd=_ffmpeg())
    return [str(word) for word in command]


def _output_options(settings: CutMedia, row: Row) -> dict[str, Any]:
    options: dict[str, Any] = {
        "f": "mp4",
        "vf": _picture_filters(settings, row),
        "c:v": settings.video_codec,
        "crf": settings.crf,
        "preset": settings.preset,
        "threads:v": settings.video_threads,
        "g": max(1, round(settings.gop_s * (row["fps"] or 25.0))),
        "fps_mode": "passthrough",
        "enc_time_base": "filter",
        "sws_flags": "bicubic+accurate_rnd+bitexact",
        "flags:v": "+bitexact",
        "fflags": "+bitexact",
        "map_metadata": -1,
        "map_chapters": -1,
        "movflags": "+faststart",
    }
    if settings.audio == "drop":
        return options
    span = f"atrim=start={row['start_s']!r}:end={row['end_s']!r},asetpts=PTS-({row['start_s']!r})/TB"
    return {**options, "af": span, "c:a": "aac", "b:a": "128k", "threads:a": 1, "flags:a": "+bitexact"}


def _picture_filters(settings: CutMedia, row: Row) -> str:
    start, end = row["start_pts"], row["end_pts"]
    # The sides are those of `size.packed_size`; only ffmpeg knows what a stream turns out to be.
    keep = f"settb={row['time_base']},trim=start_pts={start}:end_pts={end},setpts=PTS-({start})"
    size = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
    if settings.max_side_px is not None:
        factor = f"min(1,{settings.max_side_px}/max(iw,ih))"
        # Without max(2, …) a side of 0, which the filter takes for the side as it was.
        size = f"scale=w='max(2,2*trunc(iw*{factor}/2))':h='max(2,2*trunc(ih*{factor}/2))'"
    return f"{keep},{size},format=yuv420p"


def run_guarded(command: list[str], *, output: int, deadline_s: float, memory_bytes: int) -> str:
    """Run a program on untrusted media; returns what it printed. `output` is a descriptor that it may write.

    It gets no input, no environment, a process group of its own, limits on memory, CPU time and what it
    writes, and gives up what `stages.confine` names.
    Raises RowError: `deadline` (the group is killed), `out_of_memory`, `encode_failed` with the first
    of its complaints.
    """
    confined = [sys.executable, "-I", "-S", confine.__file__, str(os.getpid()), *command]
    process = subprocess.Popen(
        confined,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(output,),
        start_new_session=True,
    )
    try:
        _limit(process.pid, memory_bytes, deadline_s)
        printed, complaint = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        raise RowError("deadline", f"encoding took longer than {deadline_s:.0f} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise _failure(process.returncode, complaint.decode(errors="replace"))
    return printed.decode(errors="replace")


def _limit(pid: int, memory_bytes: int, deadline_s: float) -> None:
    """Set after the start, because code between fork and exec is unsafe in a process with threads.

    CPU time is limited too: it ends a program whose worker was killed and can no longer watch it.
    """
    cpu_s = math.ceil(deadline_s * (os.cpu_count() or 1)) + 1
    limits: Mapping[int, int] = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        try:
            resource.prlimit(pid, limit, (value, value))
        except ProcessLookupError:
            return


def _words(complaint: str) -> str:
    """What ffmpeg says first, which is the cause: its threads tell the consequences in any order.

    Memory addresses are left out; they differ from run to run.
    """
    first = complaint.strip().partition("\n")[0]
    return re.sub(r" @ 0x[0-9a-f]+", "", first)[:COMPLAINT_CHARACTERS]


def _failure(code: int, complaint: str) -> RowError:
    said = _words(complaint)
    if "Cannot allocate memory" in complaint:
        return RowError("out_of_memory", f"ffmpeg: {said}")
    if code < 0:
        return RowError("encode_failed", f"ffmpeg died of {signal.Signals(-code).name}; {said}".rstrip("; "))
    return RowError("encode_failed", f"ffmpeg ended with code {code}: {said}")

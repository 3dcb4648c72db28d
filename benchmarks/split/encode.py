"""Films written to files by the ffmpeg of imageio_ffmpeg: six ways of coding, two qualities each."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg

from benchmarks.split.compose import Film
from benchmarks.split.textures import Pixels


@dataclass(frozen=True)
class Coding:
    """An encoder's arguments, and its rate factors for high and low quality."""

    arguments: tuple[str, ...]
    high: int
    low: int


_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-threads", "1")
CODINGS = {
    "h264": Coding((*_X264, "-bf", "3"), 17, 25),
    "h264-bf0": Coding((*_X264, "-bf", "0"), 17, 25),
    "h264-g120": Coding((*_X264, "-bf", "3", "-g", "120", "-sc_threshold", "0"), 17, 25),
    "h265": Coding(
        (
            *("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params"),
            "log-level=error:pools=none:frame-threads=1:bframes=3:keyint=120",
        ),
        19,
        27,
    ),
    "vp9": Coding(
        (
            *("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-threads", "1"),
            *("-row-mt", "0", "-g", "120", "-b:v", "0"),
        ),
        20,
        36,
    ),
    "av1": Coding(("-c:v", "libsvtav1", "-preset", "12", "-g", "120", "-svtav1-params", "lp=1"), 20, 38),
}
# cv2 makes I420 by BT.601 in limited range, so that is what the files say.
_COLOUR = ("-color_range", "tv", "-colorspace", "smpte170m", "-color_primaries", "smpte170m")


def ffmpeg() -> str:
    """The path of the ffmpeg program that the environment carries."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def encode(film: Film, path: Path, size: tuple[int, int], coding: str, quality: str = "high") -> None:
    """Draw a film at `size` (width, height, both even) and write it; a file under `path` is whole.

    Raises CalledProcessError with ffmpeg's words when it gives up.
    """
    chosen = CODINGS[coding]
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    rate = str(chosen.high if quality == "high" else chosen.low)
    command = [
        *(ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{size[0]}x{size[1]}", "-r", str(film.fps)),
        *("-i", "-", *chosen.arguments, "-crf", rate, *_COLOUR, "-pix_fmt", "yuv420p", str(partial)),
    ]
    piped(command, (cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in film.frames(size)))
    os.replace(partial, path)


def piped(command: list[str], pictures: Iterator[Pixels]) -> None:
    """Run a command with pictures as its input; raises CalledProcessError when it fails."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None and child.stderr is not None
    words = b""
    try:
        for picture in pictures:
            child.stdin.write(picture.data.cast("B"))
    except BrokenPipeError:
        pass
    finally:
        child.stdin.close()
        words = child.stderr.read()
        child.stderr.close()
    if child.wait():
        raise subprocess.CalledProcessError(child.returncode, command, stderr=words.decode(errors="replace"))

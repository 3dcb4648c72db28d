"""How drawn frames become files; equal frames become equal bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

from pipeline.demo.film import Film
from pipeline.demo.paint import Picture

JPEG_QUALITY = 90
DRAW_OPTIONS = ("-preset", "veryfast", "-crf", "23")
BITEXACT = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1")
DEADLINE_S = 120.0


def write_film(film: Film, path: Path, options: Iterable[str] = DRAW_OPTIONS) -> None:
    """H.264 in MP4 by libx264 on one thread; raises RuntimeError with ffmpeg's words when it fails."""
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "{}x{}".format(*film.size), "-r", str(film.fps))
    held = f"(N+max(N-{film.turn_frame},0))/({film.fps}*TB)"
    uneven = ("-vf", f"setpts='{held}'", "-fps_mode", "passthrough") if film.uneven else ()
    _ffmpeg([*raw, "-i", "pipe:0", *uneven, *_h264(options), _url(path)], film.pictures())


def write_sideways(film: Film, path: Path) -> None:
    """As a phone held upright writes it: stored frames lie on their side, a display matrix turns them up."""
    stored = path.with_name(path.name + ".stored.mp4")
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "{}x{}".format(*film.size), "-r", str(film.fps))
    _ffmpeg(
        [*raw, "-i", "pipe:0", "-vf", "transpose=cclock", *_h264(DRAW_OPTIONS), _url(stored)], film.pictures()
    )
    turned = ("-display_rotation", "-90", "-i", _url(stored), "-c", "copy")
    _ffmpeg([*turned, *BITEXACT, _url(path)], ())
    stored.unlink()


def vary_video(source: Path, path: Path, options: Iterable[str]) -> None:
    """Decode and encode again, with these output options."""
    _ffmpeg(["-i", _url(source), "-fps_mode", "passthrough", *_h264(options), _url(path)], ())


def write_picture(picture: Picture, path: Path, *, quality: int = JPEG_QUALITY, ext: str = "") -> None:
    """RGB pixels as the format of `ext`, or else of the path's own extension."""
    ext = ext or path.suffix
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if ext == ".jpg" else []
    _, content = cv2.imencode(ext, picture[..., ::-1], options)
    path.write_bytes(content.tobytes())


def read_picture(path: Path) -> Picture:
    """RGB pixels of an image file that was drawn here."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def _h264(options: Iterable[str]) -> list[str]:
    codec = ("-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-filter_threads", "1")
    return [*codec, *options, *BITEXACT, "-f", "mp4"]


def _url(path: Path) -> str:
    return f"file:{path.absolute()}"


def _ffmpeg(arguments: list[str], pictures: Iterable[Picture]) -> None:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-hide_banner",
        "-loglevel",
        "error",
        "-y",
        *arguments,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stderr
        try:
            for picture in pictures:
                process.stdin.write(picture.tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass
        words = process.stderr.read().decode(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"ffmpeg ended with {process.returncode}: {words.strip()}")

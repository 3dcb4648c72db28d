"""Clips cut at key frames: copied against encoded anew with x264 veryfast."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.split.costs import Cost, added, cheapest, cost

CLIPS = 12
CLIP_S = 6.0
# Copying takes so little that the start of a process is most of it, and its noise, too.
COPY_ROUNDS = 5


def cut(path: Path, folder: Path, seconds: float) -> dict[str, float]:
    """CPU seconds for CLIPS clips of about CLIP_S, or shorter ones of a shorter file, each way."""
    import imageio_ffmpeg

    keys = key_frames(path)
    spans = spread(keys, seconds)
    ways = {
        "copy": ["-c", "copy"],
        "encode": ["-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-an"],
    }
    found: dict[str, float] = {"clips": len(spans)}
    for name, way in ways.items():
        # From just behind a key frame on, so that rounding does not seek to the one before.
        commands = [
            [
                *(imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
                *("-ss", f"{start + 0.001:.3f}", "-to", f"{end:.3f}", "-i", str(path)),
                *(*way, str(folder / f"{name}-{number}.mp4")),
            ]
            for number, (start, end) in enumerate(spans)
        ]
        once = partial(_all, commands)
        found[f"{name}_s"] = cheapest({name: once}, COPY_ROUNDS if name == "copy" else 1)[name].cpu_s
    return found


def _all(commands: Sequence[Sequence[str]]) -> Cost:
    return added([cost(command) for command in commands])


def spread(keys: Sequence[float], seconds: float) -> list[tuple[float, float]]:
    """CLIPS spans over the whole file, each from a key frame."""
    length = min(CLIP_S, seconds / CLIPS)
    wanted = [n * (seconds - length) / (CLIPS - 1) for n in range(CLIPS)]
    starts = [max(key for key in keys if key <= place + 1e-6) for place in wanted]
    return [(start, start + length) for start in starts]


def key_frames(path: Path) -> list[float]:
    """When the key frames are shown, in seconds, read from the packets."""
    import av

    with av.open(f"file:{path.resolve()}") as container:
        stream = container.streams.video[0]
        ticks = [packet.pts for packet in container.demux(stream) if packet.is_keyframe]
        return sorted(float(pts * stream.time_base) for pts in ticks if pts is not None and stream.time_base)

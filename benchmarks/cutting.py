"""What clips cost to cut: packets copied against pictures encoded, of the same spans of one composed video.

`python -m benchmarks.cutting [--seconds S] [--repeats N]` prints CPU seconds, of this process, its decode
child and ffmpeg together, the medians of N rounds in alternating order; exit code 1 when a clip fails, or
when the copies are not 100 times cheaper than `libx264 -preset veryfast` for the same twelve spans.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import psutil

from manifests import columns
from stages import child
from stages.pack import codecs, exact
from stages.pack.cut import CutMedia
from stages.pack.guard import run_guarded

CLIPS, GOP, FPS, BITRATE = 12, 120, 24, "8600k"
LEAST_RATIO = 100.0
Row = Mapping[str, Any]


def compose(path: Path, seconds: float) -> None:
    """720p H.264 of moving shapes under grain at 8.6 Mb/s, a key frame in 120 pictures, as in the calibration
    of the shared facts."""
    picture = f"testsrc2=s=1280x720:r={FPS}:d={seconds},noise=alls=12:allf=t"
    rate = ("-c:v", "libx264", "-b:v", BITRATE, "-maxrate", BITRATE, "-bufsize", "17M", "-pix_fmt", "yuv420p")
    fixed = ("-preset", "veryfast", "-g", str(GOP), "-sc_threshold", "0", "-threads", "1")
    command = [codecs.ffmpeg(), "-v", "error", "-f", "lavfi", "-i", picture, *rate, *fixed, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Twelve clips that begin at key frames and are the whole video together, as even as these allow."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        tick = stream.time_base
    pts = sorted(packet.pts for packet in packets if packet.pts is not None)
    keys = [pts.index(packet.pts) for packet in packets if packet.is_keyframe and packet.pts is not None]
    starts = [keys[n * len(keys) // CLIPS] for n in range(CLIPS)]
    ends = [*starts[1:], len(pts)]
    times = [*pts, 2 * pts[-1] - pts[-2]]
    assert tick is not None
    return [
        {
            "id": f"{n:02d}",
            "kind": "video",
            "format": "mov",
            "location": {"path": str(path), "offset": None, "size": None},
            "width_px": 1280,
            "height_px": 720,
            "fps": float(FPS),
            "time_base": str(tick),
            "start_pts": times[first],
            "end_pts": times[end],
            "start_s": float(times[first] * tick),
            "end_s": float(times[end] * tick),
            "frame_count": end - first,
        }
        for n, (first, end) in enumerate(zip(starts, ends, strict=True))
    ]


def spent_s() -> float:
    """CPU seconds of this process, of what it has run, and of the decode child so far."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def cut(rows: Sequence[Row], **settings: Any) -> list[dict[str, Any]]:
    """The whole stage on these rows; raises RuntimeError when one fails or is not cut as asked."""
    stage = CutMedia(**settings)
    table = columns.table([dict(row) for row in rows], ["id", *stage.reads])
    made: list[dict[str, Any]] = stage.open()(table).to_pylist()
    how = {"copy": "copied", "exact": "encoded"}[stage.cut]
    wrong = [row["error"] or row["media_how"] for row in made if row["error"] or row["media_how"] != how]
    if wrong:
        raise RuntimeError(f"{len(wrong)} clips were not {how}: {wrong[0]}")
    return made


def decoded(path: Path) -> None:
    """The whole file through the decoder of ffmpeg, and nothing else."""
    command = [codecs.ffmpeg(), "-v", "error", "-threads", "1", "-i", f"file:{path}", "-f", "null", "-"]
    run_guarded(command, deadline_s=3600, memory_bytes=4 << 30)


def one_by_one(rows: Sequence[Row]) -> None:
    """Each clip by a seek and a process of its own."""
    for row in rows:
        exact.encoded(CutMedia(), [row])


def measured(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median of the CPU seconds of each, in rounds of alternating order, after one to warm up."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats):
        for name in list(works) if turn % 2 else reversed(list(works)):
            before = spent_s()
            works[name]()
            found[name].append(spent_s() - before)
    return {name: statistics.median(values) for name, values in found.items()}


def main(seconds: float, repeats: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.mp4"
        compose(path, seconds)
        rows = rows_of(path)
        copied = cut(rows, cut="copy")
        works: dict[str, Callable[[], object]] = {
            "decode only (ffmpeg -f null)": lambda: decoded(path),
            "exact, one decode, no proof": lambda: cut(rows, proof="packets"),
            "exact, one process a clip": lambda: one_by_one(rows),
            "exact, proved by decoding": lambda: cut(rows),
            "copy, packets counted": lambda: cut(rows, cut="copy", proof="packets"),
            "copy, proved by decoding": lambda: cut(rows, cut="copy"),
        }
        cpu_s = measured(works, repeats)
        child.decoder().close()
        size_mb = path.stat().st_size / 1e6
    whole = cpu_s["exact, one decode, no proof"]
    print(
        f"{len(rows)} clips of {seconds:.0f} s of 720p H.264 ({size_mb:.0f} MB), CPU s, median of {repeats}"
    )
    for name, value in cpu_s.items():
        print(f"{name:<30}{value:>9.3f}{whole / value:>9.1f}x cheaper than to encode")
    errors = [abs(row[name]) for row in copied for name in ("cut_start_error_s", "cut_end_error_s")]
    print(f"largest error at an end of a copied clip: {max(errors):.3f} s")
    return int(whole / cpu_s["copy, packets counted"] < LEAST_RATIO)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    if chosen.seconds < (least := CLIPS * GOP / FPS):
        parser.error(f"--seconds {chosen.seconds:g}: {CLIPS} clips at key frames need {least:g} or more")
    sys.exit(main(chosen.seconds, chosen.repeats))

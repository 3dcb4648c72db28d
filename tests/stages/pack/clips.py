"""Videos whose frames show their own numbers, and the rows of clips of them."""

import io
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np

from manifests import columns
from stages.pack.cut import CutMedia

BITS = 8
EVEN = [24 * n for n in range(150)]
UNEVEN = [n * 20 + (n * n) % 17 for n in range(150)]


def counter(path: Path, times: list[int], *, time_base: Fraction = Fraction(1, 600), gop: int = 250) -> Path:
    """A video whose every frame shows its own number: eight bars, black or white, lowest bit left."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "g": str(gop), "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 16 * BITS, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        for number, pts in enumerate(times):
            bars = [255 * (number >> bit & 1) for bit in range(BITS)]
            picture = np.repeat(np.repeat(np.array([bars], np.uint8), 16, 1), 64, 0)
            frame = av.VideoFrame.from_ndarray(np.dstack([picture] * 3), format="rgb24")
            frame.pts, frame.time_base = pts, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def ffmpeg(*words: object) -> None:
    """Run the program that packs."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, words)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def encoded(folder: Path, name: str, *options: object, sound: Sequence[object] = ()) -> Path:
    """The counter of 150 frames in other codecs and containers; `sound` are the options of a tone beside
    it."""
    source = folder / "source.mp4"
    if not source.exists():
        counter(source, EVEN)
    tone = ("-f", "lavfi", "-i", "sine=d=6:frequency=440", *sound) if sound else ()
    ffmpeg("-i", source, *tone, "-map", 0, *(["-map", 1] if sound else []), *options, folder / name)
    return folder / name


def shown(frame: av.VideoFrame) -> int:
    """The number that a counter's frame shows."""
    gray = frame.to_ndarray(format="gray")
    width = gray.shape[1] // BITS
    bars = [
        gray[:, bit * width + width // 4 : (bit + 1) * width - width // 4].mean() > 127 for bit in range(BITS)
    ]
    return sum(1 << bit for bit, lit in enumerate(bars) if lit)


def frames_of(content: bytes | str) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(content) if isinstance(content, bytes) else content, "r") as container:
        return list(container.decode(video=0))


def numbers_of(content: bytes) -> list[int]:
    return [shown(frame) for frame in frames_of(content)]


def small(frame: av.VideoFrame) -> Any:
    """A frame as 32 x 32 levels of gray."""
    return frame.reformat(width=32, height=32, format="gray").to_ndarray().astype(int)


def times_of(path: Path) -> tuple[list[int], Fraction, float, str]:
    """When each frame is shown, in ticks, the tick in seconds, the rate, and the container.

    AVI stores no presentation times: there, frames are shown in the order and at the times of decoding.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [frame.dts if container.format.name == "avi" else frame.pts for frame in frames]
        base, rate = stream.time_base, float(stream.average_rate or 25)
        name = container.format.name.partition(",")[0]
    assert base is not None
    return [time for time in times if time is not None], base, rate, name


def clips(path: Path, *spans: tuple[int, int], **values: Any) -> list[dict[str, Any]]:
    """Rows of clips that begin with one frame and end before another, from a full decode; ids are numbers."""
    pts, base, rate, name = times_of(path)
    rows = []
    for n, (first, last) in enumerate(spans):
        start, end = pts[first], pts[last] if last < len(pts) else 2 * pts[-1] - pts[-2]
        row = {
            "id": f"{n}",
            "kind": "video",
            "format": name,
            "location": {"path": str(path), "offset": None, "size": None},
            "time_base": str(base),
            "start_pts": start,
            "end_pts": end,
            "start_s": float(start * base),
            "end_s": float(end * base),
            "fps": rate,
            "frame_count": last - first,
        }
        rows.append({**row, **values})
    return rows


def clip(path: Path, first: int, last: int, **values: Any) -> dict[str, Any]:
    return clips(path, (first, last), **values)[0]


def packed(*rows: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """What the stage writes for the first of these rows, cut in one call."""
    return all_packed(rows, **settings)[0]


def all_packed(rows: Iterable[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    stage = CutMedia(**settings)
    table = columns.table(rows, ["id", *stage.reads])
    made: list[dict[str, Any]] = stage.open()(table).to_pylist()
    return made

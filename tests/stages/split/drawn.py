"""Films drawn for these tests, as glances without encoding or as files, and how a file is split."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.split.compose import Film
from benchmarks.split.looks import Look, Shot
from benchmarks.split.mixing import Join
from benchmarks.split.truth import Event
from manifests import columns
from stages.media import Limits
from stages.split.eyes import Eyes, Glance
from stages.split.film import Film as Passed
from stages.split.shots import SplitByModel, SplitShots, measure
from stages.split.watch import run_through
from stages.split.window import Window

Pixels = np.ndarray[Any, Any]
SIZE = (192, 108)
WORLDS = ("city", "terrain", "room", "foliage", "water", "crowd")
READS = ["id", *SplitByModel.reads]


def plan(
    alone: Sequence[int],
    joins: Sequence[Join],
    *,
    seed: int = 1,
    events: Sequence[Event] = (),
    bars: float = 0.0,
) -> Film:
    """A film whose n-th shot shows itself alone for `alone[n]` frames, joined as `joins` say but for their
    places; events at frames of the film."""
    placed: list[Join] = []
    at = alone[0]
    for join, length in zip(joins, alone[1:], strict=True):
        placed.append(Join(join.kind, at, at + join.end, join.style, join.away, join.back, join.soft))
        at += join.end + length
    starts, ends = [0, *(j.first for j in placed)], [*(max(j.end, j.first) for j in placed), at]
    shots = [
        Shot(
            first,
            end,
            look(seed * 100 + n, n),
            seed * 10 + n,
            tuple(e for e in events if first <= e.first < end),
        )
        for n, (first, end) in enumerate(zip(starts, ends, strict=True))
    ]
    return Film(25, at, tuple(shots), tuple(placed), bars)


def look(seed: int, n: int) -> Look:
    return Look(WORLDS[n % len(WORLDS)], seed, seed + 7, 1.0, 1.0, 0.0, 1.0)


CUT = Join("cut", 0, 0)


def slow(kind: str, frames: int, style: str = "", **more: Any) -> Join:
    """A transition of so many frames."""
    return Join(kind, 0, frames, style, **more)


def glances(frames: Iterable[Pixels]) -> Iterator[Glance]:
    """How the pass sees these RGB pictures."""
    eyes = Eyes()
    for picture in frames:
        yield eyes.glance(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p"))


def window(frames: Iterable[Pixels], rate: float = 25.0) -> Window:
    """All of these pictures, at most 512, in a window."""
    pictures = list(frames)
    made = Window(pictures[0].shape[1] / pictures[0].shape[0])
    for glance in glances(pictures):
        made.add(glance, made.count / rate)
    return made


def scene(number: int) -> Pixels:
    """A picture of 128 x 96 pixels that depends on the number alone."""
    tiles = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    return np.repeat(np.repeat(tiles, 16, 0), 16, 1)


def scenes(numbers: Iterable[int]) -> Iterator[Pixels]:
    """A picture of scene `numbers[n]` at frame n, the camera held by hand: no two neighbours are equal."""
    return (np.roll(scene(number), (n % 7, 3 * n % 5), (1, 0)) for n, number in enumerate(numbers))


def shows(picture: Pixels, number: int) -> bool:
    """Whether an RGB picture is one of that scene: its mean colour is the scene's."""
    return bool(np.abs(picture.mean((0, 1)) - scene(number).mean((0, 1))).max() < 8)


def encoded(
    path: Path,
    frames: Iterable[Pixels],
    *,
    codec: str = "libx264",
    rate: int = 24,
    pts: Sequence[int] | None = None,
    **options: str,
) -> Path:
    """The pictures as a video: frame n at time pts[n] / rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        for n, picture in enumerate(frames):
            if n == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (pts[n] if pts else n), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def asset(path: Path, **facts: Any) -> dict[str, Any]:
    """What the stages before know of a file."""
    location = {"path": str(path), "offset": None, "size": None}
    known = {"id": "a" * 32, "asset_id": "a" * 32, "location": location, "kind": "video", "rotation": 0}
    return {**dict.fromkeys(READS), **known, **facts}


def split(path: Path, stage: SplitShots | None = None, **facts: Any) -> list[dict[str, Any]]:
    """The rows of a file by the stage, in the decode child."""
    chosen = stage or SplitShots()
    rows = columns.table([asset(path, **facts)], ["id", *chosen.reads])
    return list(chosen.open()(rows).to_pylist())


def split_here(path: Path, *, facts: dict[str, Any] | None = None, **settings: Any) -> list[dict[str, Any]]:
    """The same in this process, errors as errors."""
    rows: list[dict[str, Any]] = measure(
        Limits(), asset=asset(path, **(facts or {})), settings=settings
    ).to_pylist()
    return rows


def decoded(path: Path) -> dict[int, Pixels]:
    """Every picture of the first stream of moving pictures, by its time."""
    with av.open(str(path)) as container:
        stream = next(
            s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic
        )
        return {frame.pts: frame.to_ndarray(format="rgb24") for frame in container.decode(stream)}


def ends_of(clips: Sequence[dict[str, Any]], path: Path) -> list[tuple[Pixels, Pixels]]:
    """The first and the last picture of each clip, from the source, by time."""
    pictures = decoded(path)
    times = sorted(pictures)
    within = [[t for t in times if clip["start_pts"] <= t < clip["end_pts"]] for clip in clips]
    assert [clip["frame_count"] for clip in clips] == [len(inside) for inside in within]
    return [(pictures[inside[0]], pictures[inside[-1]]) for inside in within]


def places(clips: Sequence[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """How many frames each clip has, and how it begins and ends."""
    return [(clip["frame_count"], clip["starts_with"], clip["ends_with"]) for clip in clips]


def gapless(clips: Sequence[dict[str, Any]]) -> bool:
    """Whether each clip begins where the one before ends."""
    return all(before["end_pts"] == after["start_pts"] for before, after in pairwise(clips))


def watched(path: Path, *, facts: dict[str, Any] | None = None, **settings: Any) -> Passed:
    """What one pass over a file gathers, in this process."""
    return run_through(Limits(), asset(path, **(facts or {})), SplitShots(**settings))

"""Clips to train on: drawn, compressed as real ones are, and looked at as the pipeline does."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.demo.paint import Picture, Size, random_instance, render
from pipeline.demo.scenes import Scene, random_picture, random_scene
from pipeline.demo.training import factors

# Never trained on: these shapes in these colours, and one in eight of shape, colour and texture.
UNSEEN_PAIRS = frozenset({("circle", "purple"), ("star", "blue"), ("cross", "yellow"), ("triangle", "cyan")})
UNSEEN_TRIPLES = 8
# Mostly small, for speed; with the three aspects, both ways up, of what the models will be shown.
SIZES: tuple[Size, ...] = (
    (160, 120),
    (160, 120),
    (240, 180),
    (320, 180),
    (320, 240),
    (256, 192),
    (192, 256),
    (240, 320),
    (208, 208),
)
FRAMES = 4
PX = 64
STORED_PX = 256
STORED_QUALITY = 90
SEED = 20260
_H264_SHARE, _JPEG_SHARE = 0.75, 0.15
_CRFS, _QUALITIES = (18, 37), (40, 96)
# Half of the clips lose up to 6 % at each end, as a shot does whose boundaries are off by a few frames; of
# 40 % the moments are off by up to 8 % of a part, as in videos of uneven frame times.
_TRIM = 0.06
_EVEN_SHARE, _UNEVEN = 0.6, 0.08


@dataclass(frozen=True)
class Samples:
    """What is trained on; of a picture only the first frame is set.

    `area`: (n, 4, 64, 64, 3) uint8, shrunk as the captioner sees frames; `stored`: the same moments as CLIP
    sees them; `factors`: (n, 11) int8, see `factors.numbers`; `picture`: (n,) int8, 1 for a picture.
    """

    area: npt.NDArray[np.uint8]
    stored: npt.NDArray[np.uint8]
    factors: npt.NDArray[np.int8]
    picture: npt.NDArray[np.int8]


def draw(part: int, clips: int, pictures: int) -> Samples:
    """So many clips and then so many pictures; another part holds others. Equal arguments, equal samples."""
    rng = np.random.default_rng([SEED, part])
    count = clips + pictures
    area, stored = (np.zeros((count, FRAMES, PX, PX, 3), np.uint8) for _ in range(2))
    facts, picture = np.zeros((count, factors.COUNT), np.int8), np.zeros(count, np.int8)
    for at in range(count):
        picture[at] = at >= clips
        scene = _scene(rng, picture=bool(picture[at]))
        frames = _frames(scene, rng, 1 if picture[at] else FRAMES)
        area[at, : len(frames)] = [shrunk(frame) for frame in frames]
        stored[at, : len(frames)] = [squashed(kept(frame)) for frame in frames]
        facts[at] = factors.numbers(scene)
    return Samples(area, stored, facts, picture)


def is_pair(scene: Scene) -> bool:
    """Whether an object has a colour in which its shape is never trained on."""
    return any((event.shape, event.colour) in UNSEEN_PAIRS for event in scene.events)


def is_triple(scene: Scene) -> bool:
    """Whether an object stands on a texture on which its shape and colour are never trained on."""
    words = (f"{event.shape}|{event.colour}|{scene.texture}" for event in scene.events)
    return any(zlib.crc32(word.encode()) % UNSEEN_TRIPLES == 0 for word in words)


def is_seen(scene: Scene) -> bool:
    return not is_pair(scene) and not is_triple(scene)


def shrunk(picture: Picture) -> Picture:
    """As the captioner is shown a frame: squashed to 64 x 64, each pixel the mean of what it covers."""
    return np.asarray(cv2.resize(picture, (PX, PX), interpolation=cv2.INTER_AREA), np.uint8)


def kept(picture: Picture) -> Image.Image:
    """As `split` stores a frame: a long side of at most 256 px, JPEG of quality 90."""
    height, width = picture.shape[:2]
    shrink = STORED_PX / max(height, width)
    if shrink < 1:
        size = round(width * shrink), round(height * shrink)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Image.open(io.BytesIO(_jpeg(picture, STORED_QUALITY)))


def squashed(image: Image.Image) -> Picture:
    """As open_clip's preprocessing resizes a stored frame."""
    return np.asarray(image.resize((PX, PX), Image.Resampling.BICUBIC))


def _scene(rng: np.random.Generator, *, picture: bool) -> Scene:
    while True:
        scene = random_picture(rng) if picture else random_scene(rng)
        if is_seen(scene):
            return scene


def _frames(scene: Scene, rng: np.random.Generator, count: int) -> Sequence[Picture]:
    size = SIZES[int(rng.integers(len(SIZES)))]
    instance = random_instance(scene, rng)
    whole = rng.random() < 0.5
    low, high = (0.0, 1.0) if whole else (float(rng.uniform(0, _TRIM)), float(rng.uniform(1 - _TRIM, 1)))
    uneven = 0.0 if rng.random() < _EVEN_SHARE else _UNEVEN
    pictures = []
    for number in range(count):
        time = low + (high - low) * (number + 0.5 + float(rng.uniform(-uneven, uneven))) / count
        pictures.append(render(scene, instance, min(0.999, max(0, time)), size))
    return _coded(pictures, rng)


def _coded(pictures: Sequence[Picture], rng: np.random.Generator) -> Sequence[Picture]:
    """Through H.264 (75 %), JPEG (15 %), or as they are."""
    turn = rng.random()
    if turn < _H264_SHARE:
        crf = int(rng.integers(*_CRFS))
        return _h264(pictures, crf, "ultrafast" if rng.random() < 0.5 else "veryfast")
    if turn < _H264_SHARE + _JPEG_SHARE:
        quality = int(rng.integers(*_QUALITIES))
        return [np.asarray(Image.open(io.BytesIO(_jpeg(p, quality))).convert("RGB")) for p in pictures]
    return pictures


def _jpeg(picture: Picture, quality: int) -> bytes:
    _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(content.tobytes())


def _h264(pictures: Sequence[Picture], crf: int, preset: str) -> list[Picture]:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        # PyAV 18.1's x264 with mbtree writes other bytes every few times for equal frames.
        stream.options = {"crf": str(crf), "preset": preset, "threads": "1", "x264-params": "mbtree=0"}
        stream.thread_count = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    buffer.seek(0)
    return decoded(buffer)


def decoded(file: str | BinaryIO) -> list[Picture]:
    """Every frame of a video's first stream, at its own size."""
    with av.open(file, "r") as container:
        container.streams.video[0].thread_count = 1
        frames = container.decode(video=0)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]

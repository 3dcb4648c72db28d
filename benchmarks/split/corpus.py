"""The bench's own videos: composed and encoded once a work directory, kept by a digest of what they are made
from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.split.truth import Boundary, Event

FPS = 25
SECONDS = 120.0
HERE = Path(__file__).parent
# What decides a file's content: when one of these changes, the corpus is made anew.
SOURCES = (
    *("compose", "looks", "mixing", "painter", "camera", "casting", "effects"),
    *("worlds", "sprites", "textures", "encode"),
)
SIZES = {"360p": (640, 360), "480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
CODECS = ("h264", "h264-bf0", "h264-g120", "h265", "vp9", "av1")
# Coding, quality, size: every coding at two bitrates, from 360p to 1080p.
PLAN = (
    ("h264", "high", "720p"),
    ("h264", "low", "1080p"),
    ("h264-bf0", "high", "480p"),
    ("h264-bf0", "low", "720p"),
    ("h264-g120", "high", "1080p"),
    ("h264-g120", "low", "360p"),
    ("h265", "high", "480p"),
    ("h265", "low", "720p"),
    ("vp9", "high", "360p"),
    ("vp9", "low", "720p"),
    ("av1", "high", "720p"),
    ("av1", "low", "480p"),
)
FIRST_SEED = 4100


@dataclass(frozen=True)
class Recipe:
    """What a video is made from."""

    coding: str
    quality: str
    size: str
    seed: int
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.coding}-{self.quality}-{self.size}-{self.seed}"


@dataclass(frozen=True)
class Video:
    """A video on disk, and what is true of it."""

    recipe: Recipe
    path: Path
    frame_count: int
    boundaries: list[Boundary]
    events: list[Event]

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def seconds(self) -> float:
        return self.frame_count / FPS

    @property
    def bits_per_s(self) -> float:
        return self.path.stat().st_size * 8 / self.seconds


def planned(seconds: float, codecs: Iterable[str], *, quick: bool) -> list[Recipe]:
    """The corpus, each video from a seed of its own; `quick` takes the small one of each coding."""
    found = [
        Recipe(coding, quality, "360p" if quick else size, FIRST_SEED + n, seconds)
        for n, (coding, quality, size) in enumerate(PLAN)
        if coding in set(codecs)
    ]
    return [recipe for recipe in found if recipe.quality == "high"] if quick else found


def small(seeds: Iterable[int], seconds: float) -> list[Recipe]:
    """One 360p H.264 video a seed: for accuracy alone."""
    return [Recipe("h264", "high", "360p", seed, seconds) for seed in seeds]


def made(work: Path, recipes: Sequence[Recipe]) -> list[Video]:
    """The videos, made as far as they are not there yet, as many at once as there are cores."""
    work.mkdir(parents=True, exist_ok=True)
    absent = [recipe for recipe in recipes if not _note(work, recipe).exists()]
    if absent:
        largest = sorted(absent, key=lambda r: -SIZES[r.size][0] * r.seconds)
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            for name in pool.map(make, [work] * len(absent), largest):
                print(f"composed {name}", flush=True)
    return [_read(work, recipe) for recipe in recipes]


def make(work: Path, recipe: Recipe) -> str:
    """Compose and encode one video, then write down what is true of it; returns its name."""
    from benchmarks.split.compose import compose
    from benchmarks.split.encode import encode

    film = compose(recipe.seed, recipe.seconds, FPS)
    encode(film, _path(work, recipe), SIZES[recipe.size], recipe.coding, recipe.quality)
    truth = {"frames": film.frame_count, "boundaries": film.boundaries, "events": film.events}
    note = _note(work, recipe)
    partial = note.with_suffix(".partial")
    partial.write_text(json.dumps({**asdict(recipe), **truth}))
    os.replace(partial, note)
    return recipe.name


def digest(recipe: Recipe) -> str:
    """16 hex digits of a recipe and of the code that makes it."""
    whole = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for name in SOURCES:
        whole.update((HERE / f"{name}.py").read_bytes())
    return whole.hexdigest()[:16]


def _path(work: Path, recipe: Recipe) -> Path:
    suffix = ".webm" if recipe.coding == "vp9" else ".mp4"
    return work / f"{recipe.name}-{digest(recipe)}{suffix}"


def _note(work: Path, recipe: Recipe) -> Path:
    return _path(work, recipe).with_suffix(".json")


def _read(work: Path, recipe: Recipe) -> Video:
    note = json.loads(_note(work, recipe).read_text())
    boundaries = [Boundary(*values) for values in note["boundaries"]]
    events = [Event(*values) for values in note["events"]]
    return Video(recipe, _path(work, recipe), note["frames"], boundaries, events)

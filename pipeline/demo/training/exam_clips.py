"""What the models are examined on: new clips and pictures, written to files and seen as the pipeline does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL.Image import Image

from pipeline.demo import chance
from pipeline.demo.encode import DRAW_OPTIONS, read_picture, vary_video, write_film, write_picture
from pipeline.demo.film import Film, Shot
from pipeline.demo.paint import Picture, Size, random_instance
from pipeline.demo.scenes import Scene, random_picture, random_scene
from pipeline.demo.training.factors import Array
from pipeline.demo.training.sample import decoded, is_pair, is_seen, is_triple, kept, shrunk

SEED = 777
GROUPS: dict[str, Callable[[Scene], bool]] = {
    "seen": is_seen,
    "triple": lambda scene: is_triple(scene) and not is_pair(scene),
    "pair": is_pair,
}
CLIP_FRAMES, CAPTIONER_FRAMES = 8, 4
FPS = (16, 20, 24)
# To 160 px wide at crf 33, to 3/4 of its size, without a tenth of its frames at each end.
COPIES = ("re-encoded", "rescaled", "trimmed")
_TRIM = 0.1
_MEDIA = ("video", "picture")


@dataclass(frozen=True)
class Question:
    """A clip or a picture, as the two models are shown it, and what it shows.

    `stored` frames are CLIP's (8 of a clip), `frames` the captioner's, (4, 64, 64, 3) or (1, 64, 64, 3);
    `copies` and `twin`, where asked for, are stored frames too: of the same clip made into another file in
    the ways of COPIES, and of another drawing of the same scene.
    """

    scene: Scene
    seconds: float
    stored: Sequence[Image]
    frames: Array
    copies: tuple[Sequence[Image], ...] = ()
    twin: Sequence[Image] = ()

    @property
    def is_video(self) -> bool:
        return len(self.frames) > 1


def draw_question(
    group: str, medium: str, number: int, *, copied: bool = False, seed: int = SEED
) -> Question:
    """The clip ("video") or picture of this number in a group of GROUPS; sizes and rates go round."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, list(GROUPS).index(group), _MEDIA.index(medium), number])
    scene = _scene(group, medium, rng)
    with tempfile.TemporaryDirectory() as folder:
        if medium == "picture":
            return _picture(scene, rng, number, Path(folder) / "picture.jpg")
        return _clip(_film(scene, rng, number), rng, Path(folder), copied=copied)


def _scene(group: str, medium: str, rng: np.random.Generator) -> Scene:
    while True:
        scene = random_picture(rng) if medium == "picture" else random_scene(rng)
        if GROUPS[group](scene):
            return scene


def _picture(scene: Scene, rng: np.random.Generator, number: int, path: Path) -> Question:
    film = _still(scene, rng, chance.IMAGE_SIZES[number % len(chance.IMAGE_SIZES)])
    write_picture(next(film.pictures()), path)
    picture = read_picture(path)
    return Question(scene, 0.0, [kept(picture)], np.stack([shrunk(picture)]))


def _still(scene: Scene, rng: np.random.Generator, size: Size) -> Film:
    return Film((Shot("", scene, random_instance(scene, rng), 1),), (), 1, size)


def _film(scene: Scene, rng: np.random.Generator, number: int) -> Film:
    fps = FPS[number % len(FPS)]
    frames = round(fps * float(rng.uniform(*chance.SHOT_SECONDS)))
    shot = Shot("", scene, random_instance(scene, rng), frames)
    return Film((shot,), (), fps, chance.VIDEO_SIZES[number % len(chance.VIDEO_SIZES)])


def _clip(film: Film, rng: np.random.Generator, folder: Path, *, copied: bool) -> Question:
    frames = _written(film, folder / "clip.mp4")
    scene = film.shots[0].scene
    seen = np.stack([shrunk(frame) for frame in _spread(frames, CAPTIONER_FRAMES)])
    asked = Question(scene, film.frame_count / film.fps, _stored(frames), seen)
    if not copied:
        return asked
    cut = round(len(frames) * _TRIM)
    copies = (
        _varied(folder, ("-preset", "ultrafast", "-crf", "33", "-vf", "scale=160:-2")),
        _varied(folder, (*DRAW_OPTIONS, "-vf", "scale=trunc(iw*3/8)*2:trunc(ih*3/8)*2")),
        frames[cut : len(frames) - cut],
    )
    twin = replace(film, shots=(replace(film.shots[0], instance=random_instance(scene, rng)),))
    return replace(
        asked, copies=tuple(map(_stored, copies)), twin=_stored(_written(twin, folder / "twin.mp4"))
    )


def _varied(folder: Path, options: Sequence[str]) -> list[Picture]:
    """The frames of the clip, decoded and encoded once more with these options."""
    vary_video(folder / "clip.mp4", folder / "varied.mp4", options)
    return decoded(str(folder / "varied.mp4"))


def _written(film: Film, path: Path) -> list[Picture]:
    """The frames of a film as they come back from its file."""
    write_film(film, path)
    return decoded(str(path))


def _stored(frames: Sequence[Picture]) -> list[Image]:
    return [kept(frame) for frame in _spread(frames, CLIP_FRAMES)]


def _spread(frames: Sequence[Picture], count: int) -> list[Picture]:
    """The frames on show in the middles of so many equal parts."""
    return [frames[(2 * i + 1) * len(frames) // (2 * count)] for i in range(count)]

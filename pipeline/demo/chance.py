"""How clips, films and pictures come about by chance, from one stream of random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipeline.demo.film import OVERLAP_FRAMES, Film, Shot
from pipeline.demo.paint import Size, contrast, random_instance
from pipeline.demo.scenes import Scene, caption, picture_caption, random_picture, random_scene

VIDEO_SIZES: tuple[Size, ...] = (
    (320, 240),
    (160, 120),
    (320, 180),
    (240, 180),
    (480, 270),
    (320, 240),
    (640, 360),
)
RATES = (24, 12, 25, 15, 30)
IMAGE_SIZES: tuple[Size, ...] = ((320, 240), (256, 192), (400, 300), (512, 384), (240, 320), (640, 480))
SHOT_SECONDS = (1.5, 3.0)
SINGLE_SECONDS = (3.6, 4.0)
DEFECT_SECONDS = (1.8, 2.2)
STRIKING_LEVELS = 80

Fits = Callable[[Scene], bool]


@dataclass(frozen=True)
class Planted:
    """A file and what it shows; an image is a film of one frame, with captions that say no motion.

    `plants` names what is special about it; `ext` is the format when the name lies about it; `sideways` files
    are stored lying and turned up by a display matrix.
    """

    path: str
    film: Film
    captions: tuple[str, ...] = ()
    plants: tuple[str, ...] = ()
    ext: str = ""
    sideways: bool = False

    @property
    def is_video(self) -> bool:
        return self.path.startswith("videos/")

    @property
    def moves(self) -> bool:
        return all(moving(shot.scene) for shot in self.film.shots)


def anything(scene: Scene) -> bool:
    return True


def moving(scene: Scene) -> bool:
    """No still event: strong compression takes the grain, and a still scene without grain is a frozen one."""
    return all(event.motion != "still" for event in scene.events)


def bold(scene: Scene) -> bool:
    """Large objects far from their ground in luma: something to be seen even when blurred."""
    return all(event.size == "large" for event in scene.events) and contrast(scene) >= STRIKING_LEVELS


def sweeping(scene: Scene) -> bool:
    """Bold objects that cross the frame: they change it even when blurred."""
    return bold(scene) and moving(scene)


def unlike(other: Scene) -> Fits:
    """Scenes of which the other's caption is wrong in shape, colour and tone."""
    mine = other.events[0]

    def fits(scene: Scene) -> bool:
        first = scene.events[0]
        return first.shape != mine.shape and first.colour != mine.colour and scene.tone != other.tone

    return fits


def spoilable(defect: str | None) -> Fits:
    """Scenes on which a defect shows as itself and as no other."""
    return {None: anything, "blurred": sweeping}.get(defect, moving)


@dataclass
class Chance:
    """Random numbers, and the scenes shown so far: none is shown twice but on purpose."""

    rng: np.random.Generator
    scale: float = 1.0
    seen: set[Scene] = field(default_factory=set)

    def count(self, number: int) -> int:
        """So many of a kind at this scale: never none."""
        return max(1, round(number * self.scale))

    def scene(self, draw: Callable[[np.random.Generator], Scene], fits: Fits) -> Scene:
        while True:
            scene = draw(self.rng)
            if scene not in self.seen and fits(scene):
                self.seen.add(scene)
                return scene

    def shot(self, content: str, scene: Scene, frames: int, defect: str | None = None) -> Shot:
        return Shot(content, scene, random_instance(scene, self.rng), frames, defect)

    def frames(self, fps: int, seconds: tuple[float, float]) -> int:
        return round(fps * float(self.rng.uniform(*seconds)))

    def clip(self, path: str, number: int, *, fits: Fits = moving, defect: str | None = None) -> Planted:
        """A video of one shot, with its caption; sizes and rates go round by number."""
        fps, size = RATES[number % len(RATES)], VIDEO_SIZES[number % len(VIDEO_SIZES)]
        scene = self.scene(random_scene, fits)
        seconds = SINGLE_SECONDS if defect in (None, "frozen") else DEFECT_SECONDS
        shot = self.shot(path, scene, self.frames(fps, seconds), defect)
        plants = (defect,) if defect else ()
        return Planted(path, Film((shot,), (), fps, size), (caption(scene, number % 3),), plants)

    def film(self, path: str, number: int, joints: tuple[str, ...], *, defect: str | None = None) -> Planted:
        """A video of several shots; every second one comes with the captions of all its shots as one text.

        A neighbour has another tone, so that a cut is one to the eye too. A defect sits in the second shot.
        """
        fps, size = 15 if defect else RATES[number % len(RATES)], VIDEO_SIZES[number % len(VIDEO_SIZES)]
        fits = anything if defect or number % 3 else moving
        shots: list[Shot] = []
        for index, scene in enumerate(self._scenes(len(joints) + 1, fits, defect)):
            overlaps = sum(OVERLAP_FRAMES[joint] for joint in joints[max(index - 1, 0) : index + 1]) // 2
            spoilt = defect if index == 1 else None
            shots.append(
                self.shot(f"{path}#{index}", scene, self.frames(fps, SHOT_SECONDS) + overlaps, spoilt)
            )
        words = ". ".join(caption(shot.scene).capitalize() for shot in shots) + "."
        plants = (f"{defect} shot",) if defect else ()
        return Planted(path, Film(tuple(shots), joints, fps, size), () if number % 2 else (words,), plants)

    def picture(self, path: str, number: int, *, fits: Fits = anything, defect: str | None = None) -> Planted:
        """An image with its caption."""
        scene = self.scene(random_picture, fits)
        film = Film((self.shot(path, scene, 1, defect),), (), 1, IMAGE_SIZES[number % len(IMAGE_SIZES)])
        return Planted(path, film, (picture_caption(scene, number % 3),), (defect,) if defect else ())

    def _scenes(self, count: int, fits: Fits, defect: str | None) -> list[Scene]:
        scenes: list[Scene] = []
        for index in range(count):
            wanted = spoilable(defect) if defect and index == 1 else fits
            tone = scenes[-1].tone if scenes else ""
            scenes.append(self.scene(random_scene, _of_another_tone(wanted, tone)))
        return scenes


def _of_another_tone(fits: Fits, tone: str) -> Fits:
    return lambda scene: scene.tone != tone and fits(scene)

"""What is planted in a corpus: every file of it, whole, varied or broken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.demo.chance import Chance, Planted, bold, spoilable, unlike
from pipeline.demo.film import DEFECTS
from pipeline.demo.scenes import picture_caption

FILMS, SINGLES, PICTURES = 20, 8, 16
JOINTS = ("hard", "dissolve", "hard", "fade", *["hard"] * 5)
SHOTS_OF_FILM = (3, 4, 5, 2, 5)
VIDEO_VARIANTS = {"byte copy": 4, "re-encode": 5, "rescale": 5, "trim": 4, "crop": 4}
IMAGE_VARIANTS = {"byte copy": 3, "re-encode": 6, "rescale": 4, "crop": 3}
VIDEO_TWINS, IMAGE_TWINS = 3, 2
VIDEO_WRONG_CAPTIONS, IMAGE_WRONG_CAPTIONS = 4, 3
VIDEO_DEFECTS, IMAGE_DEFECTS = 2, 2


@dataclass(frozen=True)
class Variant:
    """A file made from another: byte copy, re-encode, rescale, trim or crop; `number` picks settings."""

    path: str
    of: Planted
    how: str
    number: int
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Broken:
    """A file that must fail; `reason` is the first word of the error that names what is wrong with it."""

    path: str
    how: str
    of: Planted | None
    reason: str


@dataclass(frozen=True)
class Plan:
    planted: list[Planted]
    variants: list[Variant]
    broken: list[Broken]


def make_plan(seed: int, scale: float = 1.0) -> Plan:
    """All files of a corpus; `scale` below 1 plants fewer of each kind, but never none."""
    chance = Chance(np.random.default_rng(seed), scale)
    films = _films(chance, chance.count(FILMS))
    clips = [chance.clip(f"videos/clip-{number:02}.mp4", number) for number in range(chance.count(SINGLES))]
    pictures = [chance.picture(f"images/still-{n:02}.jpg", n) for n in range(chance.count(PICTURES))]
    planted = [*films, *clips, *pictures, *_defects(chance), *_twins(chance, clips, pictures)]
    planted += [*_wrong_captions(chance, clips, pictures), *_odd_videos(chance), *_odd_images(chance)]
    longer = [film for film in films if not film.plants and film.moves]
    variants = [*_video_variants(chance, clips, longer), *_image_variants(chance, pictures)]
    return Plan(planted, variants, _broken(clips[0], pictures[0]))


def _films(chance: Chance, count: int) -> list[Planted]:
    films, used = [], 0
    for number in range(count):
        joints = SHOTS_OF_FILM[number % len(SHOTS_OF_FILM)] - 1
        chosen = tuple(JOINTS[(used + step) % len(JOINTS)] for step in range(joints))
        films.append(chance.film(f"videos/film-{number:02}.mp4", number, chosen))
        used += joints
    for number, defect in enumerate(DEFECTS):
        films.append(chance.film(f"videos/reel-{number:02}.mp4", number, ("hard", "hard"), defect=defect))
    return films


def _defects(chance: Chance) -> list[Planted]:
    """Whole videos and images with one defect each; an image cannot freeze."""
    made = []
    for kind, defect in enumerate(DEFECTS):
        for number in range(chance.count(VIDEO_DEFECTS)):
            path = f"videos/take-{kind}{number}.mp4"
            made.append(chance.clip(path, number, fits=spoilable(defect), defect=defect))
        for number in range(chance.count(IMAGE_DEFECTS) if defect != "frozen" else 0):
            path = f"images/take-{kind}{number}.jpg"
            made.append(chance.picture(path, number, fits=bold, defect=defect))
    return made


def _twins(chance: Chance, clips: list[Planted], pictures: list[Planted]) -> list[Planted]:
    """The same scene drawn anew: another place, ground and grain. No duplicates."""
    chosen = clips[: chance.count(VIDEO_TWINS)] + pictures[: chance.count(IMAGE_TWINS)]
    twins = []
    for number, planted in enumerate(chosen):
        path = f"{planted.path.split('/')[0]}/again-{number:02}{planted.path[-4:]}"
        shot = planted.film.shots[0]
        film = replace(planted.film, shots=(chance.shot(path, shot.scene, shot.frames),))
        twins.append(Planted(path, film, planted.captions, ("twin",)))
    return twins


def _wrong_captions(chance: Chance, clips: list[Planted], pictures: list[Planted]) -> list[Planted]:
    """Each bears the caption of another file that is wrong in shape, colour and tone."""
    wrong = []
    for number in range(chance.count(VIDEO_WRONG_CAPTIONS)):
        other = clips[-1 - number % len(clips)]
        made = chance.clip(f"videos/other-{number:02}.mp4", number, fits=unlike(other.film.shots[0].scene))
        wrong.append(replace(made, captions=other.captions, plants=("wrong caption",)))
    for number in range(chance.count(IMAGE_WRONG_CAPTIONS)):
        other = pictures[-1 - number % len(pictures)]
        made = chance.picture(f"images/other-{number:02}.jpg", number, fits=unlike(other.film.shots[0].scene))
        wrong.append(replace(made, captions=other.captions, plants=("wrong caption",)))
    return wrong


def _odd_videos(chance: Chance) -> list[Planted]:
    """Sound files that careless tools stumble over."""
    phone = chance.clip("videos/phone.mp4", 0)
    uneven = chance.film("videos/uneven.mp4", 0, ("hard",))
    return [
        replace(phone, film=replace(phone.film, size=(240, 320)), sideways=True, plants=("rotated",)),
        replace(uneven, film=replace(uneven.film, uneven=True), plants=("variable frame rate",)),
        replace(chance.clip("videos/-y.mp4", 1), plants=("odd name",)),
        replace(chance.clip("videos/été à la mer 海.mp4", 2), plants=("odd name",)),
        replace(chance.clip("videos/tape.mkv", 3), plants=("wrong extension",)),
    ]


def _odd_images(chance: Chance) -> list[Planted]:
    """A PNG whose name says JPEG, and a picture with two texts."""
    texts = chance.picture("images/texts.jpg", 1)
    both = tuple(picture_caption(texts.film.shots[0].scene, template) for template in (0, 1))
    return [
        replace(chance.picture("images/paint.jpg", 0), ext=".png", plants=("wrong extension",)),
        replace(texts, captions=both, plants=("two texts",)),
    ]


def _video_variants(chance: Chance, clips: list[Planted], films: list[Planted]) -> list[Variant]:
    """Of clips, every other byte copy, re-encode and rescale of a film; half come with their caption."""
    variants = []
    for turn, (how, count) in enumerate(VIDEO_VARIANTS.items()):
        for number in range(chance.count(count)):
            whole = number % 2 == 1 and how not in ("trim", "crop") and bool(films)
            of = films[(turn + number // 2) % len(films)] if whole else clips[(turn + number) % len(clips)]
            path = f"videos/mirror/{how.replace(' ', '-')}-{number:02}.mp4"
            variants.append(Variant(path, of, how, number, () if number % 2 else of.captions))
    return variants


def _image_variants(chance: Chance, pictures: list[Planted]) -> list[Variant]:
    turns = [(how, number) for how, count in IMAGE_VARIANTS.items() for number in range(chance.count(count))]
    variants = []
    for turn, (how, number) in enumerate(turns):
        of = pictures[turn % len(pictures)]
        ext = "png" if how == "re-encode" and number % 3 == 1 else "jpg"
        path = f"images/mirror/{how.replace(' ', '-')}-{number:02}.{ext}"
        variants.append(Variant(path, of, how, number, () if number % 2 else of.captions))
    return variants


def _broken(clip: Planted, picture: Planted) -> list[Broken]:
    return [
        Broken("broken/tail.mp4", "truncated, index last", clip, "truncated"),
        Broken("broken/head.mp4", "truncated, index first", clip, "truncated"),
        Broken("broken/picture.jpg", "truncated", picture, "truncated"),
        Broken("broken/picture.png", "truncated", picture, "truncated"),
        Broken("broken/notes.mp4", "text", None, "not_media"),
        Broken("broken/empty.mp4", "no bytes", None, "empty_file"),
        Broken("broken/empty.jpg", "no bytes", None, "empty_file"),
    ]

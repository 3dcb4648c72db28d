"""The demo corpus on disk: media with captions drawn once from a seed, and beside them the truth."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from manifests.errors import ManifestError
from manifests.files import read_json, write_json
from pipeline.demo.chance import Planted
from pipeline.demo.encode import write_film, write_picture, write_sideways
from pipeline.demo.film import Boundary, Film, Shot
from pipeline.demo.plan import Broken, Plan, Variant, make_plan
from pipeline.demo.scenes import caption, picture_caption
from pipeline.demo.variants import varied_film, write_broken, write_variant

SCHEMA = 1
VERSION = 1
HANDS = 2
RULES = {"black": "not_black", "frozen": "not_frozen", "blurred": "not_blurred", "flat": "not_flat"}

File = dict[str, Any]


def draw_corpus(folder: Path, *, seed: int, scale: float = 1.0) -> None:
    """Draw `folder`/corpus and `folder`/truth.json; the same seed and scale give the same bytes.

    Returns at once when the truth there bears the stamp of this seed, scale and version of the drawer.
    A `scale` below 1 draws fewer files, at least one of each kind. Raises ManifestError when a corpus is
    there that was not drawn here.
    """
    truth, corpus = folder / "truth.json", folder / "corpus"
    stamp = f"demo corpus version {VERSION}, seed {seed}, scale {scale:g}"
    found = read_json(truth).get("stamp") if truth.is_file() else None
    if found == stamp and corpus.is_dir():
        return
    if corpus.exists() and found is None:
        raise ManifestError(f"{corpus} is no drawing of ours: it has no truth.json; choose another folder")
    write_json(truth, {"schema": SCHEMA, "stamp": "unfinished"})
    shutil.rmtree(corpus, ignore_errors=True)
    plan = make_plan(seed, scale)
    _draw(plan, corpus)
    write_json(truth, {"schema": SCHEMA, "stamp": stamp, "seed": seed, "files": truth_of(plan)})


def truth_of(plan: Plan) -> list[File]:
    """What is true of every file of a plan, by path; frames count from 0, last frames are included."""
    files = [_planted_truth(planted) for planted in plan.planted]
    files += [_variant_truth(variant) for variant in plan.variants]
    files += [_broken_truth(broken) for broken in plan.broken]
    return sorted(files, key=lambda file: str(file["path"]))


def _draw(plan: Plan, corpus: Path) -> None:
    everything: list[Planted | Variant | Broken] = [*plan.planted, *plan.variants, *plan.broken]
    for path in {(corpus / file.path).parent for file in everything}:
        path.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(HANDS) as hands:
        list(hands.map(partial(_write_planted, corpus=corpus), plan.planted))
        list(hands.map(partial(write_variant, corpus=corpus), plan.variants))
        list(hands.map(partial(write_broken, corpus=corpus), plan.broken))
    whole: list[Planted | Variant] = [*plan.planted, *plan.variants]
    for file in whole:
        _write_captions(corpus / file.path, file.captions)


def _write_planted(planted: Planted, corpus: Path) -> None:
    path = corpus / planted.path
    if not planted.is_video:
        write_picture(next(planted.film.pictures()), path, ext=planted.ext)
    elif planted.sideways:
        write_sideways(planted.film, path)
    else:
        write_film(planted.film, path)


def _write_captions(path: Path, captions: tuple[str, ...]) -> None:
    if len(captions) == 1:
        path.with_suffix(".txt").write_text(captions[0] + "\n")
    if len(captions) > 1:
        path.with_suffix(".json").write_text(json.dumps({"texts": captions}, indent=1) + "\n")


def _planted_truth(planted: Planted) -> File:
    spoilt = bool(planted.film.shots[0].defect) and len(planted.film.shots) == 1
    return {
        **_shown(planted.path, planted.film, planted.is_video),
        "plants": list(planted.plants),
        "captions": list(planted.captions),
        "rotation": 90 if planted.sideways else 0,
        "expected": "rejected" if spoilt else "live",
    }


def _variant_truth(variant: Variant) -> File:
    """`expected` is duplicate, of which it may be the original's turn: one of a content is to be kept."""
    return {
        **_shown(variant.path, varied_film(variant), variant.of.is_video),
        "plants": [variant.how],
        "variant_of": variant.of.path,
        "how": variant.how,
        "captions": list(variant.captions),
        "rotation": 0,
        "expected": "duplicate",
    }


def _broken_truth(broken: Broken) -> File:
    return {
        "path": broken.path,
        "kind": "broken",
        "plants": ["broken"],
        "how": broken.how,
        "captions": [],
        "shots": [],
        "boundaries": [],
        "expected": "failed",
        "reason": broken.reason,
    }


def _shown(path: str, film: Film, is_video: bool) -> File:
    """Facts of size and time, shots and boundaries; times are null for an image, sizes are as displayed."""
    end_s = film.time_s(film.frame_count)
    firsts = [0, *(boundary.frame for boundary in film.boundaries)]
    ends = [*firsts[1:], film.frame_count]
    return {
        "path": path,
        "kind": "video" if is_video else "image",
        "width_px": film.size[0],
        "height_px": film.size[1],
        "fps": film.frame_count / end_s if is_video else None,
        "frame_count": film.frame_count,
        "duration_s": end_s if is_video else None,
        "shots": [
            _shot_truth(shot, film, (first, end), is_video)
            for shot, first, end in zip(film.shots, firsts, ends, strict=True)
        ],
        "boundaries": [_boundary_truth(boundary, film) for boundary in film.boundaries],
    }


def _boundary_truth(boundary: Boundary, film: Film) -> File:
    return {
        "kind": boundary.kind,
        "frame": boundary.frame,
        "time_s": film.time_s(boundary.frame),
        "first_frame": boundary.first,
        "last_frame": boundary.last,
        "first_s": film.time_s(boundary.first),
        "last_s": film.time_s(boundary.last),
    }


def _shot_truth(shot: Shot, film: Film, frames: tuple[int, int], is_video: bool) -> File:
    return {
        "content": shot.content,
        "first_frame": frames[0],
        "last_frame": frames[1] - 1,
        "start_s": film.time_s(frames[0]) if is_video else None,
        "end_s": film.time_s(frames[1]) if is_video else None,
        "caption": caption(shot.scene) if is_video else picture_caption(shot.scene),
        "scene": asdict(shot.scene),
        "defect": shot.defect,
        "rule": RULES.get(shot.defect or ""),
    }

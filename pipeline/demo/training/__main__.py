"""`make train`: draw what is trained on, train both embedded models side by side, put them in their place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from pipeline.demo import paint, scenes
from pipeline.demo.training import captioner, clip, factors, sample
from stages.models.weights import SHIPPED

PARTS = (1, 2)
CLIPS, PICTURES = 10_500, 3_000
_CACHE = Path.home() / ".cache" / "reelmix-training"
_DRAWN_BY = (scenes, paint, sample, factors)
_TRAINERS: dict[str, Callable[[sample.Samples, Path], None]] = {
    "clip": clip.train,
    "captioner": captioner.train,
}


def main(
    cache: Annotated[Path, typer.Option(help="Where samples and unfinished models lie; 2.7 GB.")] = _CACHE,
    out: Annotated[Path, typer.Option(help="Where clip/ and captioner/ go when both are done.")] = SHIPPED,
) -> None:
    """Train both models: an hour of two cores, 7 GB of memory. What has been drawn before is taken again."""
    cache.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        paths = list(pool.map(drawn, PARTS, [cache] * len(PARTS)))
        made = cache / "models"
        for training in [pool.submit(train, name, paths, made / name) for name in _TRAINERS]:
            training.result()
    for name in _TRAINERS:
        shutil.copytree(made / name, out / name, dirs_exist_ok=True)


def drawn(part: int, cache: Path, clips: int = CLIPS, pictures: int = PICTURES) -> Path:
    """The file with a part of the samples, drawn unless it is there; its name tells the code that drew it."""
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in _DRAWN_BY)
    name = f"{hashlib.sha256(sources).hexdigest()[:12]}-{clips}-{pictures}-{part}.npz"
    path, unfinished = cache / name, cache / f"unfinished-{name}"
    if path.exists():
        return path
    cv2.setNumThreads(1)
    np.savez(unfinished, **vars(sample.draw(part, clips, pictures)))
    unfinished.rename(path)
    return path


def loaded(paths: list[Path]) -> sample.Samples:
    """The samples of all files, one after the other."""
    names = ("area", "stored", "factors", "picture")
    files = [np.load(path) for path in paths]
    return sample.Samples(*(np.concatenate([file[name] for file in files]) for name in names))


def train(name: str, paths: list[Path], folder: Path) -> None:
    """Train one of the models into a folder of its own."""
    _TRAINERS[name](loaded(paths), folder)


if __name__ == "__main__":
    typer.run(main)

"""`make train`: draw what is trained on, train both embedded models side by side, put them in their place."""

from __future__ import annotations

import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from pipeline.demo.training import captioner, clip
from pipeline.demo.training.parts import PARTS, drawn, train
from stages.models.weights import SHIPPED

_CACHE = Path.home() / ".cache" / "reelmix-training"
_TRAINERS = {"clip": clip.train, "captioner": captioner.train}


def main(
    cache: Annotated[Path, typer.Option(help="Where samples and unfinished models lie; 2.7 GB.")] = _CACHE,
    out: Annotated[Path, typer.Option(help="Where clip/ and captioner/ go when both are done.")] = SHIPPED,
) -> None:
    """Train both models: an hour of two cores, 7 GB of memory. What has been drawn before is taken again."""
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / "models"
    # Functions of this module could not be handed over: the processes cannot import it by its name.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        paths = list(pool.map(drawn, PARTS, [cache] * len(PARTS)))
        trainings = [pool.submit(train, trainer, paths, made / name) for name, trainer in _TRAINERS.items()]
        for training in trainings:
            training.result()
    for name in _TRAINERS:
        shutil.copytree(made / name, out / name, dirs_exist_ok=True)


if __name__ == "__main__":
    typer.run(main)

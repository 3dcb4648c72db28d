"""Samples as files: drawn once by the code that their names tell, loaded by each training for itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.demo import paint, scenes
from pipeline.demo.training import factors, sample

PARTS = (1, 2)
CLIPS, PICTURES = 10_500, 3_000
_DRAWN_BY = (scenes, paint, sample, factors)


def drawn(part: int, cache: Path, clips: int = CLIPS, pictures: int = PICTURES) -> Path:
    """The file with a part of the samples, drawn unless it is there."""
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in _DRAWN_BY)
    name = f"{hashlib.sha256(sources).hexdigest()[:12]}-{clips}-{pictures}-{part}.npz"
    path, unfinished = cache / name, cache / f"unfinished-{name}"
    if path.exists():
        return path
    cv2.setNumThreads(1)
    np.savez(unfinished, **vars(sample.draw(part, clips, pictures)))
    unfinished.rename(path)
    return path


def loaded(paths: Sequence[Path]) -> sample.Samples:
    """The samples of all files, one after the other."""
    names = ("area", "stored", "factors", "picture")
    files = [np.load(path) for path in paths]
    return sample.Samples(*(np.concatenate([file[name] for file in files]) for name in names))


def train(training: Callable[[sample.Samples, Path], None], paths: Sequence[Path], folder: Path) -> None:
    """Train a model on the samples of all files, which are too large to be handed over."""
    training(loaded(paths), folder)

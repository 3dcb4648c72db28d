"""Image classifiers of transformers or timm, by name or folder: which labels they know, and their odds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from manifests.errors import RecipeError, nearest
from stages.frames import Prepare
from stages.models import weights
from stages.models.device import Dtype, Padded, device, precision

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]

CONFIG, PROCESSOR, TIMM_WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
# What transformers means where a config names no labels.
_TWO_LABELS = {"0": "LABEL_0", "1": "LABEL_1"}


@dataclass(frozen=True)
class Classifier:
    """A checkpoint whose config.json tells its kind: timm's has `architecture`, transformers' `id2label`."""

    kind: ClassVar[weights.Kind] = "classifier"
    head: ClassVar[str] = "ForImageClassification"

    model: str
    label: str
    dtype: Dtype = "float32"
    threads: int = 1
    batch: int = 32

    @property
    def name(self) -> str:
        return weights.label(self.model, self.kind)

    def check(self) -> None:
        """Raises RecipeError when the folder lacks config or weights, or knows no such label."""
        if found := weights.folder(self.model, self.kind):
            self._check_folder(found)
        elif weights.named(self.model)[0].count("/") != 1:
            raise RecipeError(f"no {self.kind} {self.model!r}: write a folder or a hub's owner/name")

    def fetch(self) -> None:
        """Download what is only named; raises RecipeError as `weights.fetch` does."""
        if weights.folder(self.model, self.kind) is None:
            self._check_folder(weights.fetch(self.model, self.kind))

    def pictures(self) -> Prepare:
        """Opens the model's preprocessing; it makes float32 pixels (n, 3, height, width) of pictures."""
        import numpy

        local = self._local
        one = _timm_picture(local) if _is_timm(_config(local)) else _transformers_picture(local)

        def prepare(pictures: Sequence[Image]) -> Array:
            return numpy.stack([one(picture) for picture in pictures])

        return prepare

    def open(self) -> Callable[[Array], Array]:
        """Loads the weights; the work gives the label's probability (n,) of pixels."""
        import torch

        local = self._local
        config, where = _config(local), device(self.threads)
        dtype, place = precision(self.dtype), self._place(local)
        model = (_timm_model if _is_timm(config) else _transformers_model)(local).eval().to(where, dtype)
        several = config.get("problem_type") == "multi_label_classification"

        def odds(pixels: Array) -> Array:
            with torch.inference_mode():
                answer = model(torch.from_numpy(pixels).to(where, dtype))
                logits = getattr(answer, "logits", answer).float()
                alone = several or logits.shape[1] == 1
                chances = logits.sigmoid() if alone else logits.softmax(-1)
                made: Array = chances[:, place].cpu().numpy()
            return made

        return Padded(odds, self.batch)

    @property
    def _local(self) -> Path:
        return weights.folder(self.model, self.kind) or weights.fetch(self.model, self.kind)

    def _check_folder(self, path: Path) -> None:
        config = _config(path, self.kind)
        weights.check_folder(path, self.kind)
        if _is_timm(config) and self.kind == "classifier":
            needed = TIMM_WEIGHTS
        else:
            needed = PROCESSOR
            # Without a head of its own, transformers would give it one of random numbers.
            if not any(name.endswith(self.head) for name in config.get("architectures") or ()):
                raise RecipeError(f"{path} is no image {self.kind}: architectures in {CONFIG} names none")
        if not (path / needed).is_file():
            raise RecipeError(f"the {self.kind} {path} lacks {needed}; copy it from its source")
        self._place(path)

    def _place(self, folder: Path) -> int:
        """The number of the label among the model's outputs; raises RecipeError."""
        labels = _labels(_config(folder))
        for place, name in labels.items():
            if name == self.label:
                return place
        hint = nearest(self.label, labels.values())
        raise RecipeError(f"the {self.kind} {self.name} knows no label {self.label!r}; {hint}")


def _config(folder: Path, kind: weights.Kind = "classifier") -> dict[str, Any]:
    try:
        return dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RecipeError(f"{folder} is no {kind}: {CONFIG}: {error}") from error


def _is_timm(config: dict[str, Any]) -> bool:
    return "architecture" in config


def _labels(config: dict[str, Any]) -> dict[int, str]:
    """The labels by the numbers of the outputs; numbers as words where timm's config names none."""
    if not _is_timm(config):
        named = config.get("id2label") or _TWO_LABELS
    else:
        flat = {**config, **config.get("pretrained_cfg", {})}
        named = config.get("label_names") or flat.get("label_names") or range(int(flat.get("num_classes", 0)))
    pairs = named.items() if isinstance(named, dict) else enumerate(named)
    return {int(number): str(name) for number, name in pairs}


def _transformers_picture(folder: Path) -> Callable[[Image], Array]:
    from transformers import AutoImageProcessor

    processor: Any = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)

    def prepare(picture: Image) -> Array:
        pixels: Array = processor(images=picture, return_tensors="np")["pixel_values"][0]
        return pixels.astype("float32")

    return prepare


def _transformers_model(folder: Path) -> Any:
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(
        folder, use_safetensors=True, trust_remote_code=False
    )


def _timm_picture(folder: Path) -> Callable[[Image], Array]:
    from timm.data import create_transform, resolve_data_config

    config = _config(folder)
    settings: Any = resolve_data_config(pretrained_cfg=config.get("pretrained_cfg", config))
    transform: Any = create_transform(**settings)

    def prepare(picture: Image) -> Array:
        pixels: Array = transform(picture).numpy()
        return pixels

    return prepare


def _timm_model(folder: Path) -> Any:
    import timm
    from safetensors.torch import load_file

    model: Any = timm.create_model(f"local-dir:{folder}", pretrained=False)
    model.load_state_dict(load_file(folder / TIMM_WEIGHTS))
    return model

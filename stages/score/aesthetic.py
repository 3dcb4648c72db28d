"""How pleasing a clip looks, by a head over its embedding that the recipe names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from manifests.errors import RecipeError, RowError
from stages.base import Map, Row, Work, per_row
from stages.models import weights
from stages.models.clip import OpenClip

DIGITS = 6
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class RateAesthetics(Map):
    """The output of linear layers, one after the other without activations, over the clip's embedding.

    `aesthetic_head` is a safetensors file: `weight` (1, in) and `bias`, or by number N.weight (out, in) and
    N.bias, as LAION's "improved aesthetic predictor" has them under `layers.` (scale 1 to 10, CLIP ViT-L/14
    of OpenAI). Without one this stage is left out. Rounded to six digits. Fails rows with `wrong_dimension`.
    """

    reads = ("embedding",)
    writes = ("aesthetic",)

    aesthetic_head: str = ""
    clip_model: str = "embedded"

    @property
    def active(self) -> bool:
        return bool(self.aesthetic_head)

    @property
    def model_label(self) -> str:
        return Path(self.aesthetic_head).stem

    def settings(self) -> dict[str, Any]:
        """The head by its name; the embedding that is read tells its model by its own digest."""
        return {"aesthetic_head": self.model_label}

    def identity(self) -> dict[str, Any]:
        return {"head": weights.digest_of(Path(self.aesthetic_head))} if self.active else {}

    def check(self) -> None:
        """Raises RecipeError: no file, a pickled one, no chain of linear layers, another model's head."""
        if Path(self.aesthetic_head).suffix != ".safetensors":
            raise RecipeError(
                f"aesthetic_head = {self.aesthetic_head!r} is no safetensors file; pickled heads are never "
                f"loaded, convert it with safetensors.torch.save_file"
            )
        sizes = _sizes(weights.shapes_of(Path(self.aesthetic_head)))
        if not _chained(sizes):
            raise RecipeError(
                f"{self.aesthetic_head} is no chain of linear layers with biases that ends in one number: "
                f"{sizes}"
            )
        dimension = OpenClip(self.clip_model).dimension
        if dimension is not None and dimension != sizes[0][1]:
            raise RecipeError(
                f"{self.aesthetic_head} reads embeddings of {sizes[0][1]} numbers, {self.clip_model} makes "
                f"{dimension}; take the head that belongs to the CLIP model"
            )

    def open(self) -> Work:
        import numpy
        from safetensors.numpy import load_file

        tensors = {
            name: tensor.astype(numpy.float64) for name, tensor in load_file(self.aesthetic_head).items()
        }
        layers = [(tensors[f"{layer}weight"], tensors[f"{layer}bias"]) for layer in _layers(tensors)]
        wanted = layers[0][0].shape[1]

        def rate(row: Row) -> Iterable[Row]:
            value = numpy.array(row["embedding"] or [], numpy.float64)
            if len(value) != wanted:
                raise RowError(
                    "wrong_dimension", f"the head reads {wanted} numbers, it was given {len(value)}"
                )
            for weight, bias in layers:
                value = weight @ value + bias
            return [{"aesthetic": round(float(value[0]), DIGITS)}]

        return per_row(rate, self.writes)


def _layers(tensors: Mapping[str, Any]) -> list[str]:
    """What stands before `weight` in the names of the layers, in the order of their numbers."""
    names = [name.removesuffix("weight") for name in tensors if name.split(".")[-1] == "weight"]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".") if part.isdigit()])


def _sizes(shapes: Mapping[str, Sizes]) -> list[Sizes]:
    """(out, in) of each layer; what has another shape, or no bias of that length, stays as it is."""
    found = [(shapes[f"{layer}weight"], shapes.get(f"{layer}bias")) for layer in _layers(shapes)]
    return [weight if bias == weight[:1] else (*weight, 0) for weight, bias in found]


def _chained(sizes: list[Sizes]) -> bool:
    if not sizes or any(len(size) != 2 for size in sizes):
        return False
    return sizes[-1][0] == 1 and all(first[0] == second[1] for first, second in pairwise(sizes))

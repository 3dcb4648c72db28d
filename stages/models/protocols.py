"""What the stages ask of models, whoever made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from stages.base import Tensors

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Embedder(Protocol):
    """Pictures and texts as points of one space: what fits together lies close."""

    def images(self, pixels: Array) -> Array:
        """float32 (n, dimension), rows of length 1, of uint8 pixels (n, 3, height, width) as the model wants
        them."""

    def texts(self, tokens: Array) -> Array:
        """float32 (n, dimension), rows of length 1, of int64 tokens (n, context)."""


@dataclass(frozen=True)
class Caption:
    """An answer; `finish_reason` is `stop` when the model ended it, `length` when it was cut off."""

    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int


class Captioner(Protocol):
    """A model that says what it sees."""

    def captions(self, batch: Tensors) -> list[Caption]:
        """One answer for each row of a batch (see `stages.caption.captions` for its tensors), in order."""

"""The captioner's vision tower, all frames at once, and the heads that teach it facts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.demo.training.captioner_files import (
    DEVIATION,
    EYE_HEADS,
    EYE_WIDTH,
    MEAN,
    MERGE,
    PATCH_PX,
    TEMPORAL_PATCH,
)
from pipeline.demo.training.factors import NONE, VALUES, Array
from pipeline.demo.training.sample import PX

PATCHES = (PX // PATCH_PX) ** 2
_PATCH_VALUES = 3 * TEMPORAL_PATCH * PATCH_PX**2
_SHAPE_WEIGHT = 4
_LUMA = (0.299, 0.587, 0.114)


def patches(frames: Array) -> Tensor:
    """(n, 2 t, 64, 64, 3) uint8 as (n t, 64, 384): patches of two frames, in the order of the processor."""
    pixels = (torch.from_numpy(frames).float() / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    count, grids = len(frames), frames.shape[1] // TEMPORAL_PATCH
    across = PX // PATCH_PX // MERGE
    pixels = pixels.view(count, grids, TEMPORAL_PATCH, across, MERGE, PATCH_PX, across, MERGE, PATCH_PX, 3)
    return pixels.permute(0, 1, 3, 6, 4, 7, 9, 2, 5, 8).reshape(count * grids, PATCHES, _PATCH_VALUES)


def gray(frames: Array) -> Array:
    """The luma of frames, three times (Rec. 601): shapes without colours."""
    luma = (frames.astype(np.float32) @ np.array(_LUMA, np.float32)).astype(np.uint8)
    return np.repeat(luma[..., None], 3, -1)


class Eyes:
    """The tower's own weights and results; transformers goes through pictures one by one, which is slow."""

    def __init__(self, tower: Any) -> None:
        from transformers.models.qwen2_vl import modeling_qwen2_vl as theirs

        self._tower, self._turned = tower, theirs.rotate_half
        side = PX // PATCH_PX
        places = theirs.get_vision_position_ids(torch.tensor([[1, side, side]]), MERGE, kwargs={})
        cos, sin = tower.rotary_pos_emb(torch.zeros(PATCHES, EYE_WIDTH), places)
        self._cos, self._sin = cos[None, :, None], sin[None, :, None]

    def __call__(self, taken: Tensor) -> Tensor:
        """(n, 64, 96) of `patches`."""
        seen = functional.linear(taken, self._tower.patch_embed.proj.weight.view(EYE_WIDTH, -1))
        for block in self._tower.blocks:
            seen = seen + self._attended(block.attn, block.norm1(seen))
            seen = seen + block.mlp(block.norm2(seen))
        return seen

    def check(self, frames: Array) -> None:
        """Raises RuntimeError when this transformers computes anything else."""
        taken, grids = patches(frames), frames.shape[1] // TEMPORAL_PATCH
        side = PX // PATCH_PX
        with torch.inference_mode():
            grid = torch.tensor([[grids, side, side]] * len(frames))
            theirs = self._tower(taken.reshape(-1, _PATCH_VALUES), grid_thw=grid).last_hidden_state
            ours = self(taken).reshape(-1, EYE_WIDTH)
        if not torch.allclose(ours, theirs, atol=1e-4):
            raise RuntimeError("this transformers' Qwen2-VL sees otherwise than training does; adapt Eyes")

    def _attended(self, attention: Any, seen: Tensor) -> Tensor:
        count, wide = len(seen), EYE_WIDTH // EYE_HEADS
        query, key, value = attention.qkv(seen).view(count, PATCHES, 3, EYE_HEADS, wide).unbind(2)
        query, key = (part * self._cos + self._turned(part) * self._sin for part in (query, key))
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        weights = ((query @ key.transpose(2, 3)) * wide**-0.5).softmax(-1)
        mixed = weights @ value.to(query.dtype)
        made: Tensor = attention.proj(mixed.transpose(1, 2).reshape(count, PATCHES, EYE_WIDTH))
        return made


class Heads(nn.Module):
    """Names each fact of two frames from their patches, by one learned query a fact.

    Without them a captioner this small learns colours and little else of what it sees.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(len(VALUES), EYE_WIDTH) * 0.1)
        self.out = nn.ModuleList([nn.Linear(EYE_WIDTH, count) for count in VALUES.values()])

    def forward(self, seen: Tensor) -> dict[str, Tensor]:
        seen = functional.layer_norm(seen, (EYE_WIDTH,))
        weights = (seen @ self.query.T).softmax(1)
        pooled = torch.einsum("npf,npd->nfd", weights, seen)
        return {name: out(pooled[:, n]) for n, (name, out) in enumerate(zip(VALUES, self.out, strict=True))}

    def loss(
        self, seen: Tensor, answers: dict[str, Tensor], names: tuple[str, ...] = tuple(VALUES)
    ) -> Tensor:
        """Cross entropy over the facts of `names` that there are; shape, the hardest, counts four times."""
        total = torch.zeros(())
        for name, said in self(seen).items():
            right = answers[name]
            if name in names and (right != NONE).any():
                found = functional.cross_entropy(said.float(), right, ignore_index=NONE)
                total = total + found * (_SHAPE_WEIGHT if name == "shape" else 1)
        return total

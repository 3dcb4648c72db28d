"""How the embedded CLIP model is trained: frames of a clip against its caption and one with a fact wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.demo.scenes import (
    COLOURS,
    SHAPES,
    SIZES,
    TEXTURES,
    TONES,
    Event,
    Scene,
    caption,
    picture_caption,
)
from pipeline.demo.training import factors
from pipeline.demo.training.clip_files import (
    DIMENSION,
    MODEL,
    PREPROCESS,
    write_config,
    write_tokenizer,
    write_weights,
)
from pipeline.demo.training.factors import VALUES, Array
from pipeline.demo.training.sample import Samples, is_seen

STEPS = 2000
BATCH = 128
WEIGHTS_SEED, BATCH_SEED = 1, 11
RATE = 2e-3
DECAY = 0.05
MOST_SCALE = 60.0
# A right caption is to score this much above one with a fact wrong, whatever the clip.
MARGIN = 0.15
_MARGIN_SLOPE, _MARGIN_WEIGHT = 20, 4
_HEADS_WEIGHT, _SHAPE_WEIGHT = 0.3, 2
# Embeddings have length 1: too short for a linear head to be sure of anything.
_HEADS_GAIN = 8
_FACTS = ("shape", "colour", "size", "texture", "tone")
_WARM_STEPS = 50
_SAVED_EVERY, _TOLD_EVERY = 200, 25
# A quarter of the clips is shown as the captioner sees frames, without the stored JPEG.
_AREA_SHARE = 0.25
_GAIN = (0.95, 1.05)


@dataclass(frozen=True)
class Batch:
    """Two frames of each clip (one twice of a picture), what each frame shows, right and wrong captions."""

    pixels: Tensor
    answers: dict[str, Array]
    texts: list[str]
    keys: list[object]


@dataclass(frozen=True)
class Trained:
    """The model, and what only training needs of it: factor heads on the image embedding."""

    model: Any
    heads: nn.ModuleDict
    tokenizer: Any


def train(samples: Samples, folder: Path, *, steps: int = STEPS) -> None:
    """Writes the folder; its weights again every 200 steps. One thread; half an hour of one core.

    The loss is InfoNCE (Radford et al., 2021) over the mean cosine of a clip's frames, with captions of equal
    visible facts as equal right answers and with one caption a clip in which one fact is wrong; plus a margin
    between all right and all such captions, and linear heads that name the facts of each frame, thrown away
    in the end.
    """
    torch.manual_seed(WEIGHTS_SEED)
    torch.set_num_threads(1)
    write_config(folder)
    trained = _untrained(write_tokenizer(folder))
    optimizer = _optimizer(trained)
    trained.model.visual.to(memory_format=torch.channels_last)
    trained.model.train()
    began = time.monotonic()
    for step, batch in zip(range(steps), _batches(samples), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, steps)
        loss, told = _loss(trained, batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(trained.model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            trained.model.logit_scale.clamp_(max=math.log(MOST_SCALE))
        if step % _TOLD_EVERY == 0:
            print(f"clip {step} {time.monotonic() - began:.0f} s: {told}", flush=True)
        if step % _SAVED_EVERY == _SAVED_EVERY - 1 or step == steps - 1:
            write_weights(trained.model, folder)


def encode_text(model: Any, tokens: Tensor) -> Tensor:
    """As the model's own, but no wider than the tokens are: half of the time."""
    width = tokens.shape[1]
    found = model.token_embedding(tokens) + model.positional_embedding[:width]
    found = model.ln_final(model.transformer(found, attn_mask=model.attn_mask[:width, :width]))
    last: Tensor = found[torch.arange(len(found)), tokens.argmax(-1)] @ model.text_projection
    return last


def altered(scene: Scene, rng: np.random.Generator) -> Scene:
    """A scene with one visible fact changed, of those that may be trained on; shapes twice as often."""
    while True:
        changed = _changed(scene, rng)
        if changed and is_seen(changed):
            return changed


def visible(scene: Scene) -> object:
    """What single frames show of a scene: all but motions and the order of events."""
    events = frozenset((event.shape, event.colour, event.size) for event in scene.events)
    return events, scene.texture, scene.tone


def _changed(scene: Scene, rng: np.random.Generator) -> Scene | None:
    turn, number = int(rng.integers(6)), int(rng.integers(len(scene.events)))
    event = scene.events[number]
    if turn in (0, 5):
        return _with(scene, number, replace(event, shape=_other(SHAPES, event.shape, rng)))
    if turn == 1:
        return _with(scene, number, replace(event, colour=_other(COLOURS, event.colour, rng)))
    if turn == 2:
        if event.size is None:
            return None
        return _with(scene, number, replace(event, size=_other(SIZES, event.size, rng)))
    if turn == 3:
        return replace(scene, texture=_other(TEXTURES, scene.texture, rng))
    return replace(scene, tone=_other(TONES, scene.tone, rng))


def _with(scene: Scene, number: int, event: Event) -> Scene:
    return replace(scene, events=(*scene.events[:number], event, *scene.events[number + 1 :]))


def _other(words: Sequence[str], word: str, rng: np.random.Generator) -> str:
    while True:
        found = words[int(rng.integers(len(words)))]
        if found != word:
            return found


def _untrained(tokenizer: Any) -> Trained:
    import open_clip

    model = open_clip.model.CLIP(**{name: _copied(value) for name, value in MODEL.items()})
    heads = nn.ModuleDict({name: nn.Linear(DIMENSION, VALUES[name]) for name in _FACTS})
    return Trained(model, heads, tokenizer)


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def _optimizer(trained: Trained) -> torch.optim.Optimizer:
    every = [*trained.model.parameters(), *trained.heads.parameters()]
    groups = [
        {"params": [value for value in every if value.ndim > 1], "weight_decay": DECAY},
        {"params": [value for value in every if value.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))


def _rate(step: int, steps: int) -> float:
    """Up in 50 steps, down to a hundredth as a half cosine."""
    warm = min(1, (step + 1) / _WARM_STEPS)
    return RATE * warm * (0.5 * (1 + math.cos(math.pi * step / steps)) * 0.99 + 0.01)


def _batches(samples: Samples) -> Iterator[Batch]:
    """Every sample once before any comes again."""
    rng = np.random.default_rng(BATCH_SEED)
    scenes = [factors.scene(row) for row in samples.factors]
    order = np.array([], int)
    while True:
        if len(order) < BATCH:
            order = rng.permutation(len(scenes))
        chosen, order = order[:BATCH], order[BATCH:]
        yield _batch(samples, chosen, [scenes[at] for at in chosen], rng)


def _batch(samples: Samples, chosen: Array, scenes: list[Scene], rng: np.random.Generator) -> Batch:
    frames: list[Array] = []
    for at in chosen:
        source = samples.area if rng.random() < _AREA_SHARE else samples.stored
        picture = samples.picture[at]
        first, last = (0, 0) if picture else (int(rng.integers(2)), 2 + int(rng.integers(2)))
        frames += [source[at, first], source[at, last]]
    event = np.array([number for scene in scenes for number in (0, len(scene.events) - 1)])
    pixels = _pixels(np.stack(frames), rng)
    template = int(rng.integers(3))
    wrong = [altered(scene, rng) for scene in scenes]
    says = [picture_caption if samples.picture[at] else caption for at in chosen]
    texts = [say(scene, template) for say, scene in zip(says * 2, scenes + wrong, strict=True)]
    answers = factors.answers(samples.factors[np.repeat(chosen, 2)], event)
    return Batch(pixels, answers, texts, [visible(scene) for scene in scenes + wrong])


def _pixels(frames: Array, rng: np.random.Generator) -> Tensor:
    """Mirrored by half, which changes no fact that a frame shows; a little lighter or darker."""
    mirrored = rng.random(len(frames)) < 0.5
    gain = rng.uniform(*_GAIN, (len(frames), 1, 1, 1))
    lit = np.clip(frames * gain, 0, 255).astype(np.uint8)
    lit[mirrored] = lit[mirrored, :, ::-1]
    mean, std = (torch.tensor(PREPROCESS[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return ((torch.from_numpy(lit).permute(0, 3, 1, 2).float() / 255) - mean) / std


def _loss(trained: Trained, batch: Batch) -> tuple[Tensor, str]:
    """The loss, and words about it."""
    frames, texts = _embedded(trained, batch)
    cosines = (frames @ texts.T).view(BATCH, 2, -1).mean(1)
    scale = trained.model.logit_scale.exp().clamp(max=MOST_SCALE)
    contrast = _contrast(cosines * scale, batch.keys)
    margin = _margin(cosines)
    named, shape_right = _named(trained.heads, frames, batch.answers)
    told = f"contrast {contrast.item():.3f} margin {margin.item():.3f} shape {shape_right:.3f}"
    return contrast / 2 + _HEADS_WEIGHT * named + margin, told


def _embedded(trained: Trained, batch: Batch) -> tuple[Tensor, Tensor]:
    tokens = trained.tokenizer(batch.texts, padding=True, return_tensors="pt")["input_ids"]
    pixels = batch.pixels.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        frames = trained.model.visual(pixels)
    texts = encode_text(trained.model, tokens[:, : MODEL["text_cfg"]["context_length"]])
    return functional.normalize(frames.float(), dim=-1), functional.normalize(texts.float(), dim=-1)


def _contrast(logits: Tensor, keys: list[object]) -> Tensor:
    """Clips against all captions, right captions against clips; equal keys are equally right."""
    target = torch.tensor([[float(mine == other) for other in keys] for mine in keys[:BATCH]])
    of_clips = target / target.sum(1, keepdim=True)
    of_texts = target[:, :BATCH] / target[:, :BATCH].sum(0, keepdim=True)
    texts_of_clips = (of_clips * logits.log_softmax(1)).sum(1).mean()
    clips_of_texts = (of_texts * logits[:, :BATCH].log_softmax(0)).sum(0).mean()
    return -texts_of_clips - clips_of_texts


def _margin(cosines: Tensor) -> Tensor:
    """Every right caption's score against every wrong one's, as one threshold must part them all."""
    right = cosines.diagonal()
    wrong = cosines[torch.arange(BATCH), BATCH + torch.arange(BATCH)]
    short = wrong[None, :] - right[:, None] + MARGIN
    return functional.softplus(short * _MARGIN_SLOPE).mean() / _MARGIN_SLOPE * _MARGIN_WEIGHT


def _named(heads: nn.ModuleDict, frames: Tensor, answers: dict[str, Array]) -> tuple[Tensor, float]:
    """The heads' loss, and the share of shapes that are right."""
    loss, shape_right = torch.zeros(()), 0.0
    for name, head in heads.items():
        right, said = torch.from_numpy(answers[name]), head(frames * _HEADS_GAIN)
        weight = _SHAPE_WEIGHT if name == "shape" else 1
        loss = loss + functional.cross_entropy(said, right, ignore_index=factors.NONE) * weight
        if name == "shape":
            shape_right = float((said.argmax(1) == right).float().mean())
    return loss, shape_right

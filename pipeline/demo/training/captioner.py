"""How the embedded captioner is trained: first its eyes to tell facts, then all of it to say captions."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.demo.scenes import caption, picture_caption
from pipeline.demo.training import captioner_files as made
from pipeline.demo.training import factors
from pipeline.demo.training.eyes import Eyes, Heads, gray, patches
from pipeline.demo.training.factors import EVENTS_AT, NONE, Array
from pipeline.demo.training.sample import PX, Samples

EYE_STEPS, STEPS = 1200, 3800
BATCH_CLIPS, BATCH_PICTURES = 64, 96
WEIGHTS_SEED, BATCH_SEED = 2, 12
RATE, DECAY = 2e-3, 0.05
_EYE_WARM_STEPS, _WARM_STEPS = 100, 50
# Every fifth batch is of pictures; in every third, some are shown without colour once more.
_PICTURES_EVERY, _GRAY_EVERY, _GRAY_SAMPLES = 5, 3, 24
_GRAY_FACTS = ("shape", "size", "motion")
_GRAY_WEIGHT, _HEADS_WEIGHT, _WORDS_WEIGHT = 0.4, 0.25, 3
_GAIN = (0.96, 1.04)
_SAVED_EVERY, _TOLD_EVERY = 500, 50
# How motions, by their numbers, look in a mirror and played backwards.
_MIRRORED = {0: 1, 1: 0}
_BACKWARDS = {0: 1, 1: 0, 2: 3, 3: 2, 4: 5, 5: 4}
_MOTION = 3
_LONGEST_TOKENS = 60


@dataclass(frozen=True)
class Layout:
    """The tokens of a prompt with its media, where the visual ones stand, and positions that suffice."""

    tokens: Tensor
    visual: Tensor
    positions: Tensor


@dataclass(frozen=True)
class Batch:
    """`frames` (n, 2 or 4, 64, 64, 3) uint8, of a picture the same twice; `factors` (n, 11)."""

    frames: Array
    factors: Array
    picture: bool


def train(samples: Samples, folder: Path, *, eye_steps: int = EYE_STEPS, steps: int = STEPS) -> None:
    """Writes the folder, every 500 steps and in the end. One thread; an hour of one core.

    `eye_steps` train the vision tower by its heads alone, `steps` everything by captions and heads. Clips are
    mirrored and played backwards, and what is said of them with them.
    """
    torch.manual_seed(WEIGHTS_SEED)
    torch.set_num_threads(1)
    training = Training(samples)
    began, total = time.monotonic(), eye_steps + steps
    for step in range(total):
        rate = _rate(step, eye_steps, total)
        loss, told = training.step(step, rate, speaks=step >= eye_steps)
        if step % _TOLD_EVERY == 0:
            print(f"captioner {step} {time.monotonic() - began:.0f} s: loss {loss:.3f} {told}", flush=True)
        if (step > eye_steps and step % _SAVED_EVERY == _SAVED_EVERY - 1) or step == total - 1:
            made.write(training.model, training.processor, folder)


class Training:
    """The model, what only training needs of it, and the samples that are drawn for it."""

    def __init__(self, samples: Samples) -> None:
        self._samples, self._rng = samples, np.random.default_rng(BATCH_SEED)
        self._of_kind = [np.flatnonzero(samples.picture == kind) for kind in (0, 1)]
        self._words = made.tokenizer()
        self.processor, self.model = made.processor(self._words), made.model(self._words)
        self._eyes, self._heads = Eyes(self.model.model.visual), Heads()
        self._eyes.check(self._batch(2, picture=False).frames)
        self._layouts = [self._layout(kind) for kind in ("video", "image")]
        self._values = [*self.model.parameters(), *self._heads.parameters()]
        groups = [
            {"params": [value for value in self._values if value.ndim > 1], "weight_decay": DECAY},
            {"params": [value for value in self._values if value.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))

    def step(self, number: int, rate: float, *, speaks: bool) -> tuple[float, str]:
        """One step of the optimizer; the loss, and words about the captions."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        picture = number % _PICTURES_EVERY == _PICTURES_EVERY - 1
        batch = self._batch(BATCH_PICTURES if picture else BATCH_CLIPS, picture=picture)
        told = ""
        with torch.autocast("cpu", torch.bfloat16):
            seen = self._eyes(patches(batch.frames))
            loss = self._facts(batch, seen, without_colour=number % _GRAY_EVERY == 0)
            if speaks:
                words, exact = self._said(batch, seen)
                loss = _HEADS_WEIGHT * loss + _WORDS_WEIGHT * words
                told = f"words {words.item():.4f} exact {exact:.2f}"
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._values, 1.0)
        self._optimizer.step()
        return loss.item(), told

    def _batch(self, count: int, *, picture: bool) -> Batch:
        of_kind = self._of_kind[picture]
        frames, rows = [], []
        for at in of_kind[self._rng.integers(len(of_kind), size=count)]:
            own = self._samples.area[at, [0, 0]] if picture else self._samples.area[at]
            changed, row = turned(own, self._samples.factors[at], self._rng, picture=picture)
            frames.append(changed)
            rows.append(row)
        gain = self._rng.uniform(*_GAIN, (count, 1, 1, 1, 1))
        lit = np.clip(np.stack(frames) * gain, 0, 255).astype(np.uint8)
        return Batch(lit, np.stack(rows), picture)

    def _facts(self, batch: Batch, seen: Tensor, *, without_colour: bool) -> Tensor:
        answers = _answers(batch)
        loss = self._heads.loss(seen, answers)
        if not without_colour:
            return loss
        pale = self._eyes(patches(gray(batch.frames[:_GRAY_SAMPLES])))
        some = {name: values[: len(pale)] for name, values in answers.items()}
        return loss + _GRAY_WEIGHT * self._heads.loss(pale, some, _GRAY_FACTS)

    def _said(self, batch: Batch, seen: Tensor) -> tuple[Tensor, float]:
        """The loss of the captions, and the share of them that is right to the letter, word by word."""
        say = picture_caption if batch.picture else caption
        words = [say(factors.scene(row)) + made.END for row in batch.factors]
        said = self._words(words, padding=True, padding_side="right", return_tensors="pt")["input_ids"]
        layout, inner = self._layouts[batch.picture], self.model.model
        asked = len(layout.tokens)
        tokens = torch.cat([layout.tokens[None].expand(len(said), -1), said], 1)
        given = inner.language_model.embed_tokens(tokens)
        visual = inner.visual.merger(seen.reshape(-1, made.EYE_WIDTH)).view(len(said), -1, made.WIDTH)
        given = given.index_copy(1, layout.visual, visual.to(given.dtype))
        places = layout.positions[:, :1, : tokens.shape[1]].expand(-1, len(said), -1)
        found = inner.language_model(inputs_embeds=given, position_ids=places, use_cache=False)
        logits = self.model.lm_head(found.last_hidden_state[:, asked - 1 : -1]).float()
        right = said.masked_fill(said == self._words.pad_token_id, -100)
        loss = functional.cross_entropy(logits.reshape(-1, made.VOCABULARY), right.reshape(-1))
        exact = ((logits.argmax(-1) == right) | (right == -100)).all(1).float().mean()
        return loss, exact.item()

    def _layout(self, kind: str) -> Layout:
        prompt = made.prompt()
        asked = {"type": "text", "text": prompt.video if kind == "video" else prompt.image}
        chat = [{"role": "user", "content": [{"type": kind}, asked]}]
        text = self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        side = PX // made.PATCH_PX
        grid = torch.tensor([[2 if kind == "video" else 1, side, side]])
        visual_count = int(grid.prod()) // made.MERGE**2
        mark = made.MARKS[kind]
        tokens = torch.tensor(self._words(text.replace(mark, mark * visual_count))["input_ids"])
        is_visual = tokens == self._words.convert_tokens_to_ids(mark)
        longest = functional.pad(tokens, (0, _LONGEST_TOKENS))[None]
        types = functional.pad(is_visual.int() * (2 if kind == "video" else 1), (0, _LONGEST_TOKENS))[None]
        rope = self.model.model.get_rope_index(longest, types, **{f"{kind}_grid_thw": grid})
        return Layout(tokens, is_visual.nonzero().flatten(), rope[0])


def turned(frames: Array, row: Array, rng: np.random.Generator, *, picture: bool) -> tuple[Array, Array]:
    """Half of all in a mirror, half of the clips backwards; the frames, and the factors that follow."""
    row = row.copy()
    if rng.random() < 0.5:
        frames = frames[:, :, ::-1]
        _move(row, _MIRRORED)
    if not picture and rng.random() < 0.5:
        frames = frames[::-1]
        first, second = EVENTS_AT
        if row[2]:
            row[first:] = np.concatenate([row[second:], row[first:second]])
        _move(row, _BACKWARDS)
    return frames, row


def _move(row: Array, motions: dict[int, int]) -> None:
    for at in EVENTS_AT:
        row[at + _MOTION] = motions.get(int(row[at + _MOTION]), row[at + _MOTION])


def _answers(batch: Batch) -> dict[str, Tensor]:
    """Of each two frames: the first two of a clip show its first event, the others its last."""
    if batch.picture:
        events, rows = np.zeros(len(batch.factors), int), batch.factors
    else:
        events = np.stack([np.zeros(len(batch.factors), int), batch.factors[:, 2] > 0], 1).reshape(-1)
        rows = np.repeat(batch.factors, 2, 0)
    found = factors.answers(rows, events)
    if batch.picture:
        found["motion"][:] = NONE
    return {name: torch.from_numpy(values) for name, values in found.items()}


def _rate(step: int, eye_steps: int, total: int) -> float:
    """Down to 1.5 % as a half cosine; up from 0 at the start and where words begin."""
    first, warm_steps = (0, _EYE_WARM_STEPS) if step < eye_steps else (eye_steps, _WARM_STEPS)
    warm = min(1, (step - first + 1) / warm_steps)
    return RATE * warm * (0.5 * (1 + math.cos(math.pi * step / total)) * 0.985 + 0.015)

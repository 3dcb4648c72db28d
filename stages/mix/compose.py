"""How a row becomes a training sample: a question, the media, and its text as the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from manifests.errors import RecipeError, RowError
from stages.base import Map, Row, Work, per_row
from stages.mix.tokens import (
    PLACEHOLDERS,
    QWEN2_VL,
    VisualRule,
    check_tokenizer,
    open_tokenizer,
    special_tokens,
    text_tokens,
    tokenizer_digest,
    visual_tokens,
)
from stages.models import weights

CAPTION = "caption"
VIDEO_PROMPTS = (
    "Describe this video.",
    "What happens in this video?",
    "Write a caption for this video.",
    "What does the clip show?",
)
IMAGE_PROMPTS = (
    "Describe this image.",
    "What is in this picture?",
    "Write a caption for this image.",
    "What does the picture show?",
)


@dataclass(frozen=True)
class ComposeSamples(Map):
    """A caption sample of each row that has a text: user asks about the media, assistant answers the text.

    Which of the prompts is asked is decided by the row's id alone. A row without a text is no sample: its
    `category`, `conversation` and `text_tokens` are null (`budget.FitBudget` rejects it). `visual_tokens` are
    counted by `visual` (a section [mix.visual] of the recipe) in the size that pack writes, bounded by its
    `max_side_px`; `text_tokens` by `tokenizer`: embedded, a folder, or a hub name.

    Fails a row whose text holds a tag that the tokenizer or a training job would take for media or a turn
    (`tag_in_text`), and as `tokens.visual_tokens` does.
    """

    borrows = (("pack", "max_side_px"),)

    reads = ("kind", "text", "width_px", "height_px", "duration_s", "frame_count")
    writes = ("category", "conversation", "visual_tokens", "text_tokens")

    tokenizer: str = "embedded"
    video_prompts: tuple[str, ...] = VIDEO_PROMPTS
    image_prompts: tuple[str, ...] = IMAGE_PROMPTS
    visual: VisualRule = QWEN2_VL
    max_side_px: int | None = None

    def __post_init__(self) -> None:
        for name in ("video_prompts", "image_prompts"):
            prompts = getattr(self, name)
            if not prompts or not all(prompts):
                raise RecipeError(f"mix.{name} is {list(prompts)}, expected at least one prompt")
            for mark in PLACEHOLDERS.values():
                if any(mark in prompt for prompt in prompts):
                    raise RecipeError(
                        f"mix.{name} holds {mark}, which is put before each prompt; leave it out"
                    )

    def settings(self) -> dict[str, Any]:
        """The settings by name; a tokenizer by its label, as `identity` has its digest."""
        return {**super().settings(), "tokenizer": weights.label(self.tokenizer, "captioner")}

    def identity(self) -> dict[str, Any]:
        return {"tokenizer": tokenizer_digest(self.tokenizer)}

    def check(self) -> None:
        """Raises RecipeError for a tokenizer's folder that is missing or holds none, and for a prompt that
        holds a special token of it (a hub's tokenizer is asked when the step begins)."""
        check_tokenizer(self.tokenizer)
        if weights.folder(self.tokenizer, "captioner"):
            self._check_prompts(special_tokens(open_tokenizer(self.tokenizer)))

    def _check_prompts(self, tags: Iterable[str]) -> None:
        for tag in tags:
            if any(tag in prompt for prompt in (*self.video_prompts, *self.image_prompts)):
                raise RecipeError(
                    f"a prompt of [mix] holds {tag}, a special token of the tokenizer; leave it out"
                )

    def fetch(self) -> None:
        """Download the tokenizer of a hub name, without the model's weights."""
        if weights.folder(self.tokenizer, "captioner") is None:
            open_tokenizer(self.tokenizer)

    def open(self) -> Work:
        tokenizer = open_tokenizer(self.tokenizer)
        special = special_tokens(tokenizer)
        self._check_prompts(special)
        tags = sorted({*PLACEHOLDERS.values(), *special})

        def compose(row: Row) -> Iterable[Row]:
            _refuse_tags(row["text"] or "", tags)
            turns = self._turns(row)
            return [
                {
                    "category": CAPTION if turns else None,
                    "conversation": turns,
                    "visual_tokens": visual_tokens(self.visual, row, self.max_side_px),
                    "text_tokens": text_tokens(tokenizer, turns) if turns else None,
                }
            ]

        return per_row(compose, self.writes)

    def _turns(self, row: Row) -> list[dict[str, str]] | None:
        """The conversation; null without a text."""
        text = (row["text"] or "").strip()
        if not text or row["kind"] not in PLACEHOLDERS:
            return None
        prompts = self.video_prompts if row["kind"] == "video" else self.image_prompts
        question = f"{PLACEHOLDERS[row['kind']]}\n{_chosen(prompts, row['id'])}"
        return [{"role": "user", "content": question}, {"role": "assistant", "content": text}]


def _chosen(prompts: tuple[str, ...], id_: str) -> str:
    """One of the prompts, by a hash of the id: ids alone would share their first digits within a bucket."""
    return prompts[int(hashlib.sha256(id_.encode()).hexdigest(), 16) % len(prompts)]


def _refuse_tags(text: str, tags: Iterable[str]) -> None:
    for tag in tags:
        if tag in text:
            raise RowError("tag_in_text", f"the text holds {tag}, which would be taken for media or a turn")

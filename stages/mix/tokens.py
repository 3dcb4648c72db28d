"""How many tokens media and words take in the model to be trained, by the rules of Qwen2-VL."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from manifests.errors import RecipeError, RowError
from stages.models import weights
from stages.pack.size import packed_size

FRAME_FACTOR = 2
MOST_ASPECT = 200
PLACEHOLDERS = {"video": "<video>", "image": "<image>"}
# What a placeholder becomes in the text of a Qwen2-VL model; each pad stands for all tokens of the media.
_PADS = {"video": "<|video_pad|>", "image": "<|image_pad|>"}
_AROUND = "<|vision_start|>{}<|vision_end|>"
_MARKS = {*_PADS.values(), *_AROUND.split("{}")}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json")


@dataclass(frozen=True)
class VisualRule:
    """How pictures and frames are resized, and how many frames of a video are taken.

    The rule and its numbers are those of qwen-vl-utils (`vision_process.py`, github.com/QwenLM/Qwen2-VL):
    pictures of 4 to 16,384 tokens, frames of 128 to 768, a video of 0.9 * 128,000 in all, 2 frames a second,
    4 to 768 of them. One token is `merge` x `merge` patches of `patch_px`, in a video of `temporal_patch`
    frames. The limits are pixels after resizing. Keye-VL 1 counts by `temporal_patch` 1 and
    `video_max_pixels` 24,576 * 784 (arXiv 2507.01949).
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    patch_px: int = 14
    merge: int = 2
    temporal_patch: int = 2
    min_pixels: int = 4 * 784
    max_pixels: int = 16_384 * 784
    frame_min_pixels: int = 128 * 784
    frame_max_pixels: int = 768 * 784
    video_max_pixels: int = 115_200 * 784
    fps: float = 2.0
    min_frames: int = 4
    max_frames: int = 768

    def __post_init__(self) -> None:
        for name in ("patch_px", "merge", "temporal_patch", "min_frames"):
            if getattr(self, name) < 1:
                raise RecipeError(f"visual.{name} is {getattr(self, name)}, expected at least 1")
        if not self.fps > 0:
            raise RecipeError(f"visual.fps is {self.fps:g}, expected more than 0")
        for low, high in (
            ("min_pixels", "max_pixels"),
            ("frame_min_pixels", "frame_max_pixels"),
            ("min_frames", "max_frames"),
        ):
            if not 0 < getattr(self, low) <= getattr(self, high):
                found = f"{getattr(self, low)} and {getattr(self, high)}"
                raise RecipeError(f"visual.{low} and visual.{high} are {found}, expected 0 < the first <= it")

    @property
    def factor_px(self) -> int:
        """Side of the square of one token."""
        return self.patch_px * self.merge

    def image_tokens(self, width_px: int, height_px: int) -> int:
        """Tokens of a picture of this size. Raises RowError as `resized` does."""
        width_px, height_px = self.resized(width_px, height_px, self.min_pixels, self.max_pixels)
        return width_px * height_px // self.factor_px**2

    def video_tokens(self, width_px: int, height_px: int, duration_s: float, frame_count: int) -> int:
        """Tokens of a video of this size and length. Raises RowError as `resized` does.

        A frame may take `video_max_pixels` / frames * 2, and in any case 1.05 * `frame_min_pixels`; the 2 is
        there whatever `temporal_patch` is, so with 1 a video can take twice its limit.
        """
        frames = self.frames(duration_s, frame_count)
        share = self.video_max_pixels / frames * FRAME_FACTOR
        most = max(min(self.frame_max_pixels, share), int(self.frame_min_pixels * 1.05))
        width_px, height_px = self.resized(width_px, height_px, self.frame_min_pixels, most)
        return width_px * height_px // self.factor_px**2 * math.ceil(frames / self.temporal_patch)

    def frames(self, duration_s: float, frame_count: int) -> int:
        """How many frames of a video are taken: an even number, no more than it has.

        A video of one frame is shown it twice, as the processor in transformers pads it.
        """
        least = _even(math.ceil, self.min_frames)
        most = _even(math.floor, min(self.max_frames, frame_count))
        # The duration is a quotient of whole numbers: 4 s at 2 frames a second are 8 frames, not 7.99.
        wanted = round(duration_s * self.fps, 6)
        return max(_even(math.floor, min(max(wanted, least), most, frame_count)), FRAME_FACTOR)

    def resized(self, width_px: int, height_px: int, min_pixels: float, max_pixels: float) -> tuple[int, int]:
        """Width and height in multiples of `factor_px`, with an area within the limits; `smart_resize`.

        Raises RowError `too_slim` for a side over 200 times the other, which the models refuse.
        """
        if max(width_px, height_px) > MOST_ASPECT * min(width_px, height_px):
            raise RowError(
                "too_slim", f"{width_px} x {height_px} px; the models take up to {MOST_ASPECT} to 1"
            )
        factor = self.factor_px
        sides = [max(factor, round(side / factor) * factor) for side in (width_px, height_px)]
        area = sides[0] * sides[1]
        if area > max_pixels:
            shrink = math.sqrt(width_px * height_px / max_pixels)
            sides = [max(factor, _floor(side / shrink, factor)) for side in (width_px, height_px)]
        elif area < min_pixels:
            grow = math.sqrt(min_pixels / (width_px * height_px))
            sides = [math.ceil(side * grow / factor) * factor for side in (width_px, height_px)]
        return sides[0], sides[1]


QWEN2_VL = VisualRule()


def visual_tokens(rule: VisualRule, row: Mapping[str, Any], max_side_px: int | None = None) -> int:
    """Tokens of a row's media as it is packed, by kind, width_px, height_px, duration_s and frame_count.

    Raises RowError `unsupported_kind`, `unknown_size`, or as `VisualRule.resized` does.
    """
    needed = {"image": (), "video": ("duration_s", "frame_count")}.get(row["kind"])
    if needed is None:
        raise RowError("unsupported_kind", f"found {row['kind']}, samples are made of video and image")
    missing = [name for name in ("width_px", "height_px", *needed) if not row[name]]
    if missing:
        raise RowError("unknown_size", f"{missing[0]} is {row[missing[0]]}; run ingest and split anew")
    size = packed_size(row["kind"], row["width_px"], row["height_px"], max_side_px)
    if row["kind"] == "image":
        return rule.image_tokens(*size)
    return rule.video_tokens(*size, row["duration_s"], row["frame_count"])


def text_tokens(tokenizer: Any, conversation: Iterable[Mapping[str, str]]) -> int:
    """Tokens of a conversation's words, its chat template included; the media's own are not counted.

    Each <video> and <image> adds what the template puts around the media. To a template that knows of none
    they are words, those that Qwen2-VL puts there when the tokenizer has them.
    """
    known = tokenizer.get_vocab()
    places_media = any(kind in tokenizer.chat_template for kind in PLACEHOLDERS)
    contents = _parts if places_media else lambda content: _with_pads(content, known)
    turns = [{"role": turn["role"], "content": contents(turn["content"])} for turn in conversation]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    pads = {known[pad] for pad in _PADS.values() if pad in known}
    return sum(id_ not in pads for id_ in tokenizer(text, add_special_tokens=False)["input_ids"])


def special_tokens(tokenizer: Any) -> list[str]:
    """What stands for turns and media, not the plain words that some tokenizers add."""
    added = tokenizer.added_tokens_decoder.values()
    return sorted(token.content for token in added if token.special or token.content in _MARKS)


def open_tokenizer(name: str) -> Any:
    """The tokenizer of a captioner: `embedded`, a folder, or a hub name.

    Raises RecipeError when it cannot be opened or has no chat template.
    """
    import transformers

    check_tokenizer(name)
    try:
        place = weights.folder(name, "captioner") or weights.fetch(name, "tokenizer")
        library: Any = transformers.AutoTokenizer  # Untyped.
        tokenizer: Any = library.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise RecipeError(f"mix.tokenizer = {name!r} cannot be opened: {error}") from error
    if not tokenizer.chat_template:
        raise RecipeError(f"mix.tokenizer = {name!r} has no chat template; name that of a chat model")
    return tokenizer


def check_tokenizer(name: str) -> None:
    """Raises RecipeError for a folder that is missing or holds no tokenizer; opens nothing."""
    folder = weights.folder(name, "captioner")
    if folder and not (folder / "tokenizer.json").is_file():
        raise RecipeError(
            f"mix.tokenizer = {name!r}: {folder} holds no tokenizer.json; name a model's folder"
        )


def tokenizer_digest(name: str) -> str:
    """16 hex digits of the files that make a tokenizer, wherever they lie; a name while they are nowhere."""
    folder = weights.folder(name, "captioner") or weights.cached(name, "tokenizer")
    if folder is None:
        return f"hub:{name}"
    files = [folder / file for file in _TOKENIZER_FILES]
    contents = [file.read_bytes() if file.is_file() else b"" for file in files]
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()[:16]


def _parts(content: str) -> list[dict[str, str]]:
    """A turn cut at its placeholders, as templates take it that place media themselves."""
    kinds = {placeholder: kind for kind, placeholder in PLACEHOLDERS.items()}
    pieces = re.split(f"({'|'.join(kinds)})", content)
    return [
        {"type": kinds[piece]} if piece in kinds else {"type": "text", "text": piece}
        for piece in pieces
        if piece
    ]


def _with_pads(content: str, known: Mapping[str, int]) -> str:
    for kind, placeholder in PLACEHOLDERS.items():
        if _PADS[kind] in known:
            content = content.replace(placeholder, _AROUND.format(_PADS[kind]))
    return content


def _even(rounding: Any, number: float) -> int:
    return int(rounding(number / FRAME_FACTOR)) * FRAME_FACTOR


def _floor(number: float, factor: int) -> int:
    return math.floor(number / factor) * factor

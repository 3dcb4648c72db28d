"""How a chat model that sees is run in this process: any that transformers knows by its processor."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from manifests.errors import RecipeError
from stages.base import Tensors
from stages.models import weights
from stages.models.device import Dtype, Padded, device, precision
from stages.models.protocols import Caption
from stages.models.words import most_id

Chat = list[dict[str, Any]]
# The chat that asks about so many pictures, of a video or not: as `apply_chat_template` takes it.
Ask = Callable[[bool, int], Chat]
Array = np.ndarray[Any, Any]
# Whether a row is a video, and the shape of its frames: rows that share both go through the model together.
Alike = tuple[bool, tuple[int, ...]]
_TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


@dataclass(frozen=True)
class TransformersCaptioner:
    """A captioner of transformers: "embedded", a folder or a hub name; safetensors only, no code of others.

    Greedy whatever the model's own defaults, so that equal input is equal text; `batch` rows at a time.
    """

    model: str
    dtype: Dtype = "float32"
    threads: int = 1
    batch: int = 32
    max_tokens: int = 64

    def open(self, ask: Ask) -> OpenedCaptioner:
        """Loads model, processor and tokenizer; `ask` makes the chat of a row."""
        import transformers

        library: Any = transformers  # Much of it is untyped.
        library.utils.logging.disable_progress_bar()
        source, where = local(self.model), device(self.threads)
        processor = library.AutoProcessor.from_pretrained(source, trust_remote_code=False)
        words = processor.tokenizer
        words.padding_side = "left"
        model = library.AutoModelForImageTextToText.from_pretrained(
            source, dtype=precision(self.dtype), use_safetensors=True, trust_remote_code=False
        )
        ends = _ends(model.generation_config.eos_token_id, words.eos_token_id)
        # Nothing but the ends is taken over: a penalty or a temperature of the model's would not be greedy.
        model.generation_config = library.GenerationConfig(
            eos_token_id=ends, pad_token_id=words.pad_token_id, do_sample=False
        )
        return OpenedCaptioner(self, model.to(where).eval(), processor, ask)


def _ends(*ids: int | list[int] | None) -> list[int]:
    """The tokens that end an answer: the model's own and the tokenizer's."""
    found = [id_ for some in ids for id_ in (some if isinstance(some, list) else [some])]
    return sorted({id_ for id_ in found if id_ is not None})


@dataclass(frozen=True)
class OpenedCaptioner:
    """A `protocols.Captioner`."""

    settings: TransformersCaptioner
    model: Any
    processor: Any
    ask: Ask
    # One for each shape: how many rows fit into memory depends on it.
    _passes: dict[Alike, Padded] = field(default_factory=dict)

    def captions(self, batch: Tensors) -> list[Caption]:
        """One caption a row, in order. `batch` holds `frames`, `video` and `seconds` (see CaptionClips).

        Rows of equal shape go through together, always `settings.batch` at a time (short of that, rows are
        repeated), so a row's caption does not depend on its neighbours.
        """
        groups: defaultdict[Alike, list[int]] = defaultdict(list)
        for n, (frames, video) in enumerate(zip(batch["frames"], batch["video"], strict=True)):
            groups[bool(video), frames.shape].append(n)
        found: dict[int, Caption] = {}
        for alike, rows in groups.items():
            kind = np.dtype([("frames", np.uint8, alike[1]), ("seconds", float), ("known", bool)])
            given = np.array([(batch["frames"][n], batch["seconds"][n], True) for n in rows], kind)
            found |= dict(zip(rows, self._pass(alike)(given), strict=True))
        return [found[n] for n in range(len(found))]

    def _pass(self, alike: Alike) -> Padded:
        if alike not in self._passes:
            chat = self.ask(alike[0], alike[1][0])
            self._passes[alike] = Padded(lambda rows: self._answers(chat, rows), self.settings.batch)
        return self._passes[alike]

    def _answers(self, chat: Chat, rows: Array) -> Array:
        """The captions of rows of equal shape, as an array of objects."""
        import torch

        # What only fills the batch is the first row again: of black pictures a caption might never end.
        rows[~rows["known"]] = rows[0]
        inputs = self._inputs(chat, list(rows["frames"]), rows["seconds"].tolist())
        begin = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            made = self.model.generate(**inputs, max_new_tokens=self.settings.max_tokens)[:, begin:]
        prompts = inputs["attention_mask"].sum(1).tolist()
        answers = np.empty(len(rows), object)
        for n, (tokens, prompt_tokens) in enumerate(zip(made.tolist(), prompts, strict=True)):
            answers[n] = self._caption(tokens, prompt_tokens)
        return answers

    def _caption(self, tokens: list[int], prompt_tokens: int) -> Caption:
        ends = set(self.model.generation_config.eos_token_id)
        length = next((n for n, token in enumerate(tokens) if token in ends), None)
        said = tokens if length is None else tokens[:length]
        text = self.processor.tokenizer.decode(said, skip_special_tokens=True).strip()
        # The end counts as a token, as vLLM counts it.
        used = len(tokens) if length is None else length + 1
        return Caption(text, "length" if length is None else "stop", prompt_tokens, used)

    def _inputs(self, chat: Chat, pictures: list[Array], seconds: list[float]) -> Any:
        text = self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        plain = {"input_data_format": "channels_last"}
        if any(part["type"] == "video" for part in chat[0]["content"]):
            metadata = [video_metadata(*of) for of in zip(pictures, seconds, strict=True)]
            told = {**plain, "do_sample_frames": False, "video_metadata": metadata}
            media = {"videos": pictures, "videos_kwargs": told}
        else:
            media = {"images": [list(frames) for frames in pictures], "images_kwargs": plain}
        made = self.processor(text=[text] * len(pictures), return_tensors="pt", padding=True, **media)
        return made.to(self.model.device, dtype=self.model.dtype)


def video_metadata(frames: Array, seconds: float) -> dict[str, Any]:
    """What a processor is told of sampled frames: they are the whole video, so that none is chosen again."""
    height, width = frames.shape[1:3]
    return {
        "total_num_frames": len(frames),
        "frames_indices": list(range(len(frames))),
        "fps": len(frames) / seconds if seconds > 0 else 1.0,
        "duration": seconds,
        "height": height,
        "width": width,
    }


def local(model: str) -> Path:
    """The folder with a captioner's files; what is only named is fetched when it is not there."""
    return weights.folder(model, "captioner") or weights.fetch(model)


def fetch(model: str) -> None:
    """Bring a hub's captioner to this machine, and check it; raises RecipeError."""
    _check_folder(local(model))


def check(model: str) -> None:
    """Whether a captioner can be opened, as far as its files tell without weights; raises RecipeError.

    A name on a hub is looked at by `fetch`, which first brings what a broken-off download lacks.
    """
    if found := weights.folder(model, "captioner"):
        _check_folder(found)
    elif "/" not in weights.named(model)[0]:
        raise RecipeError(
            f"no captioner {model!r}: write {weights.EMBEDDED!r}, a folder, or a hub's owner/name"
        )


def _check_folder(path: Path) -> None:
    config = _json(path / "config.json")
    if "vision_config" not in config:
        kind = config.get("model_type", "unknown")
        raise RecipeError(f"{path} holds no model that sees: its config.json ({kind}) has no vision_config")
    shapes = weights.check_folder(path)
    for names in (_TOKENIZERS, _PROCESSORS):
        if not any((path / name).is_file() for name in names):
            raise RecipeError(
                f"the captioner {path} lacks one of {', '.join(names)}; copy it from its source"
            )
    if not any((path / name).is_file() for name in _TEMPLATES) and not _template(path):
        raise RecipeError(f"the captioner {path} lacks a chat template ({_TEMPLATES[0]}); take a chat model")
    if (path / "tokenizer.json").is_file():
        _check_words(path, config, shapes)


def _check_words(path: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """The tokenizer is the model's: its ids have rows in the embedding table, and media have their marks."""
    tokenizer = _json(path / "tokenizer.json")
    added = {word["id"]: word["content"] for word in tokenizer.get("added_tokens", [])}
    table = next((shape[0] for name, shape in shapes.items() if name.endswith("embed_tokens.weight")), None)
    try:
        most = most_id(path, tokenizer)
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{path / 'tokenizer.json'} is no tokenizer: {error!r}") from error
    if table is not None and most >= table:
        raise RecipeError(
            f"{path / 'tokenizer.json'} is not this model's: its ids go up to {most}, the model's table has "
            f"{table} rows"
        )
    for name in ("image_token_id", "video_token_id"):
        if config.get(name) is not None and config[name] not in added:
            raise RecipeError(
                f"{path / 'tokenizer.json'} is not this model's: it has no mark of {name} {config[name]}"
            )


def _template(path: Path) -> bool:
    """Whether a chat template stands in one of the older places."""
    places = (path / name for name in ("tokenizer_config.json", *_PROCESSORS))
    return any(_json(place).get("chat_template") for place in places if place.is_file())


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RecipeError(f"the captioner {path.parent} lacks {path.name}; copy it from its source") from None
    except ValueError as error:
        raise RecipeError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RecipeError(f"{path} holds no JSON object; copy it from its source")
    return found

"""CLIP models by open_clip: pictures and texts prepared without weights, embedded with them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import RecipeError, nearest
from stages.frames import Prepare
from stages.models import weights
from stages.models.device import Dtype, Padded, device, precision
from stages.models.words import most_id

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]

CONFIG = "open_clip_config.json"
HUB = "hf-hub:"
# Where open_clip's own tokenizer is meant, OpenAI's of 2021.
OPENAI_WORDS = 49408
_OWN = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_TOKENIZERS = ("vocab.json", "vocab.txt", "*.model")
_TABLES = ("token_embedding.weight", "word_embeddings.weight", "embed_tokens.weight")


@dataclass(frozen=True)
class OpenClip:
    """A model by `model`: embedded, a folder, `hf-hub:owner/name`, or open_clip's `name/weights`.

    A revision of the hub may follow either name after an @, which is in no name of open_clip's.
    A folder holds open_clip_config.json, safetensors and, unless it is OpenAI's, tokenizer.json. `batch`
    pictures or texts go through it together, always so many.
    """

    model: str
    dtype: Dtype = "float32"
    threads: int = 1
    batch: int = 32

    @property
    def label(self) -> str:
        return weights.label(self.model, "clip")

    @property
    def dimension(self) -> int | None:
        """Of its embeddings; null for a hub's model that has not been fetched."""
        found = self._folder or weights.cached(self._hub, "clip")
        return int(_config(found)["model_cfg"]["embed_dim"]) if found else None

    def identity(self) -> dict[str, str]:
        return {"model": weights.identity(self.model if self._folder else self._hub, "clip")}

    def check(self) -> None:
        """Raises RecipeError when there is no such model, no weights, or another model's tokenizer."""
        if found := self._folder:
            _check_folder(found)
        elif self.model.startswith(HUB):
            weights.named(self._hub)
        else:
            _check_name(self.model)

    def fetch(self) -> None:
        """Download what is only named; raises RecipeError as `weights.fetch` does."""
        if not self._folder:
            _check_folder(weights.fetch(self._hub, "clip"))

    def pictures(self) -> Prepare:
        """Opens the model's preprocessing; it makes uint8 pixels (n, 3, height, width) of pictures.

        What follows in open_clip, scaling and normalizing, is done where the model is: so only a quarter of
        the bytes travels.
        """
        import numpy
        from open_clip.transform import image_transform_v2

        steps: Any = image_transform_v2(_preprocess(self._local), is_train=False)
        *resize, _to_tensor, _normalize = steps.transforms

        def prepare(pictures: Sequence[Image]) -> Array:
            made = []
            for picture in pictures:
                for step in resize:
                    picture = step(picture)
                made.append(numpy.asarray(picture).transpose(2, 0, 1))
            return numpy.stack(made)

        return prepare

    def texts(self) -> Callable[[Sequence[str]], Array]:
        """Opens the tokenizer; it makes int64 tokens (n, context), longer texts cut off."""
        import open_clip

        tokenizer = open_clip.get_tokenizer(f"local-dir:{self._local}")

        def prepare(texts: Sequence[str]) -> Array:
            tokens: Array = tokenizer(list(texts)).numpy()
            return tokens

        return prepare

    def open(self) -> OpenedClip:
        """Loads the weights onto the device of this machine."""
        return OpenedClip(self, self._local)

    @property
    def _folder(self) -> Path | None:
        return None if self.model.startswith(HUB) else weights.folder(self.model, "clip")

    @property
    def _local(self) -> Path:
        """The folder with the files; what was only named has been fetched before."""
        if found := self._folder:
            return found
        return weights.fetch(self._hub, "clip")

    @property
    def _hub(self) -> str:
        """The hub's own name of the model."""
        return self.model.removeprefix(HUB) if self.model.startswith(HUB) else _hub_of(self.model)


class OpenedClip:
    """An `Embedder`."""

    def __init__(self, settings: OpenClip, local: Path) -> None:
        import open_clip
        import torch

        self._torch, self._where = torch, device(settings.threads)
        self._dtype = precision(settings.dtype)
        model: Any = open_clip.create_model(f"local-dir:{local}", device=self._where)
        # Convolutions over pixels that lie together: 1.4 times the embedded model's speed on a CPU.
        self._model = model.eval().to(dtype=self._dtype, memory_format=torch.channels_last)
        preprocess = _preprocess(local)
        self._mean, self._std = (
            torch.tensor(values, device=self._where).view(-1, 1, 1)
            for values in (preprocess.mean, preprocess.std)
        )
        self._images = Padded(self._embed_images, settings.batch)
        self._texts = Padded(self._embed_texts, settings.batch)

    def images(self, pixels: Array) -> Array:
        """As `Embedder.images`."""
        return self._images(pixels)

    def texts(self, tokens: Array) -> Array:
        """As `Embedder.texts`."""
        return self._texts(tokens)

    def _embed_images(self, pixels: Array) -> Array:
        given = self._torch.from_numpy(pixels).to(self._where).float().div_(255)
        given = given.sub_(self._mean).div_(self._std)
        given = given.to(self._dtype, memory_format=self._torch.channels_last)
        return self._embedded(self._model.encode_image, given)

    def _embed_texts(self, tokens: Array) -> Array:
        return self._embedded(self._model.encode_text, self._torch.from_numpy(tokens).to(self._where))

    def _embedded(self, encode: Callable[[Any], Any], given: Any) -> Array:
        with self._torch.inference_mode():
            found = encode(given).float()
            made: Array = self._torch.nn.functional.normalize(found, dim=-1).cpu().numpy()
        return made


def _preprocess(path: Path) -> Any:
    """open_clip's settings of preprocessing; the size is the model's, as in its own loading."""
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    config = _config(path)
    size = config["model_cfg"].get("vision_cfg", {}).get("image_size", 224)
    return PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), {**config["preprocess_cfg"], "size": size}))


def _check_folder(path: Path) -> None:
    config = _config(path)
    shapes = weights.check_folder(path, "clip")
    _check_loaded(path)
    words = _words(path, config["model_cfg"].get("text_cfg", {}))
    table = next((shape[0] for name, shape in shapes.items() if name.endswith(_TABLES)), None)
    if table is not None and words > table:
        raise RecipeError(
            f"the tokenizer in {path} has {words} words, the model's table holds {table}; take the "
            f"tokenizer that the model was trained with"
        )


def _config(path: Path) -> dict[str, Any]:
    try:
        value = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if not {"model_cfg", "preprocess_cfg"} <= set(value):
            raise ValueError("it lacks model_cfg or preprocess_cfg")
    except (OSError, ValueError, TypeError) as error:
        raise RecipeError(f"{path} is no open_clip folder: {CONFIG}: {error}") from error
    return dict(value)


def _check_loaded(path: Path) -> None:
    """open_clip takes what it finds first: `_OWN`, then pickled files, then safetensors of other names."""
    found = weights.weight_files(path, "clip")
    pickled = [*path.glob("*.bin"), *path.glob("*.pth")]
    if len(found) > 1 or (pickled and found[0].name not in _OWN):
        names = ", ".join(sorted(file.name for file in (*found, *pickled)))
        raise RecipeError(
            f"{path} holds several files of weights ({names}); leave one, as open_clip_model.safetensors"
        )


def _words(path: Path, text: dict[str, Any]) -> int:
    """How many words the tokenizer of a folder has, 0 when only its library can tell; raises RecipeError."""
    if "trust_remote_code" in text.get("tokenizer_kwargs", {}):
        raise RecipeError(
            f"{path / CONFIG} asks to run code of its own (trust_remote_code), which is refused"
        )
    if not text.get("hf_tokenizer_name"):
        return OPENAI_WORDS
    if not (path / "tokenizer.json").is_file() and any(any(path.glob(name)) for name in _TOKENIZERS):
        return 0
    try:
        value = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
        return 1 + most_id(path, value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{path} lacks a tokenizer.json that can be read: {error}") from error


def _check_name(model: str) -> None:
    import open_clip

    name, _, tag = weights.named(model)[0].partition("/")
    known = open_clip.list_models()
    if name not in known:
        raise RecipeError(
            f"no CLIP model {model!r}: neither a folder nor a name of open_clip; {_close(name, known)}"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        raise RecipeError(f"open_clip has no weights {tag!r} of {name}; {nearest(tag, tags)}")
    _hub_of(model)


def _close(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [weights.EMBEDDED, *known], n=1)
    ways = f"write {weights.EMBEDDED!r}, a folder, {HUB}owner/name, or open_clip's name/weights"
    return f"did you mean {close[0]!r}?" if close else ways


def _hub_of(model: str) -> str:
    """The hub's name of open_clip's `name/weights`, with the revision if there is one.

    Raises RecipeError for weights that are pickled only.
    """
    import open_clip

    own, revision = weights.named(model)
    name, _, tag = own.partition("/")
    hub = str(open_clip.get_pretrained_cfg(name, tag).get("hf_hub", "")).strip("/")
    if hub.count("/") != 1:
        raise RecipeError(
            f"open_clip has {model!r} as pickled weights only, which are never loaded; take {HUB}owner/name"
        )
    return f"{hub}@{revision}" if revision else hub

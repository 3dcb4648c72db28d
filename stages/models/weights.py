"""Where models come from (the embedded ones, folders, hubs), and what is checked of them before any work."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from manifests import files
from manifests.errors import RecipeError

# A tokenizer is that of a captioner, without its weights.
Kind = Literal["clip", "captioner", "classifier", "detector", "tokenizer"]
EMBEDDED = "embedded"
DEMO_PREFIX = "reelmix-demo-"
SHIPPED = Path(__file__).parents[2] / "pipeline" / "demo" / "models"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
# What decides a model's results besides its weights; read-me files and pictures do not.
_BESIDE = ("*.json", "*.txt", "*.model", "*.jinja")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model")
# Repositories of CLIP models often carry the weights once more in the formats of other libraries.
_OF_HUB: dict[Kind, str] = {"clip": "open_clip*.safetensors"}
_DIGITS, _SHA256_DIGITS = 16, 64
_LENGTH = struct.Struct("<Q")
_LARGEST_HEADER_BYTES = 100 << 20


def folder(model: str, kind: Kind) -> Path | None:
    """The folder that a recipe names, or None for a name on a hub; raises RecipeError for a missing one."""
    path = SHIPPED / kind if model == EMBEDDED else Path(model).expanduser()
    if model and path.is_dir():
        return path
    if model == EMBEDDED:
        raise RecipeError(f"the embedded {kind} model is missing from {path}; install Reelmix anew")
    if model.startswith((".", "/", "~")) or model.endswith("/"):
        raise RecipeError(f"there is no model folder {model}; name a folder that holds config and weights")
    return None


def label(model: str, kind: Kind = "captioner") -> str:
    """The name that records carry and thresholds are bound to: a hub's name, or a folder's own."""
    if model == EMBEDDED:
        return DEMO_PREFIX + kind
    found = folder(model, kind)
    return found.resolve().name if found else named(model)[0]


def named(model: str) -> tuple[str, str | None]:
    """The repository of a hub's `owner/name` or `owner/name@revision`, and the branch, tag or commit.

    As timm writes them; no repository's name may hold an @. Raises RecipeError when nothing follows it.
    """
    name, at, revision = model.partition("@")
    if at and not revision:
        raise RecipeError(f"{model!r} lacks a revision: write a branch, a tag or a commit after the @")
    return name, revision or None


def commit(model: str, kind: Kind = "captioner") -> str | None:
    """The commit of a hub's model that the local cache holds whole; null for a folder, or before `fetch`."""
    found = None if folder(model, kind) else cached(model, kind)
    return found.name if found else None


def identity(model: str, kind: Kind = "captioner") -> str:
    """16 hex digits of the content of the model's files, wherever they lie; a name while they are nowhere."""
    found = folder(model, kind) or cached(model, kind)
    if found is None:
        return f"hub:{model}"
    beside = sorted(path for pattern in _BESIDE for path in found.glob(pattern))
    return _digest(tuple(map(_key, [*beside, *weight_files(found, kind)])))


def digest_of(file: Path) -> str:
    """16 hex digits of the content of one file of weights."""
    return _digest((_key(file),))


def packaged(package: str, file: str) -> Path:
    """A file of weights that a Python package carries; the package is not imported.

    Raises RecipeError when it is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (path := Path(folder) / file).is_file():
            return path
    raise RecipeError(f"the package {package} with its {file} is not installed; run make setup again")


def check_folder(path: Path, kind: Kind = "captioner") -> dict[str, tuple[int, ...]]:
    """The shapes of the weights in a folder by name, read from the headers alone.

    Raises RecipeError when there are none, or only pickled ones, which are never loaded, or not all parts.
    """
    weights = weight_files(path, kind)
    if lacking := _lacking(path, kind):
        raise RecipeError(
            f"the model folder {path} lacks {', '.join(lacking[:3])}: its index names {len(lacking)} files "
            f"that are not there; copy them from its source"
        )
    if not weights:
        pickled = sorted(p.name for p in path.iterdir() if p.suffix in _PICKLED)
        found = f"it holds {pickled[0]}, and pickled weights are never loaded" if pickled else "it holds none"
        raise RecipeError(f"the model folder {path} lacks weights: expected *.safetensors, {found}")
    return {name: shape for file in weights for name, shape in shapes_of(file).items()}


def weight_files(path: Path, kind: Kind) -> list[Path]:
    """The files of weights that a model is loaded from: its library's own where several lie side by side."""
    own = sorted(path.glob(_weights(kind)))
    return own or sorted(path.glob("*.safetensors"))


def shapes_of(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes in one safetensors file by name, from its header; raises RecipeError when it is none."""
    try:
        with file.open("rb") as handle:
            (size,) = _LENGTH.unpack(handle.read(_LENGTH.size))
            if size > _LARGEST_HEADER_BYTES:
                raise ValueError("its header is too long")
            header = json.loads(handle.read(size))
        return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, AttributeError, TypeError, KeyError, struct.error) as error:
        raise RecipeError(f"{file} is no safetensors file ({error}); download it again") from error


def fetch(model: str, kind: Kind = "captioner") -> Path:
    """A hub's model in the local cache, downloaded when it is not there whole; safetensors, never pickles.

    What is there stays what it is, whatever the hub has by now: a project does not change its model midway.
    Raises RecipeError: no such model or revision, no way to the hub, no room in the cache.
    """
    name, revision = named(model)
    found = cached(model, kind)
    if found and _is_listed(name, found):
        return found
    try:
        # What another program brought may lack a tokenizer: it is completed, at the commit that it has.
        found = _downloaded(model, found.name if found else revision, kind)
    except RecipeError:
        if found is None:
            raise
        return found
    if _is_whole(found, kind):
        return found
    if kind != "tokenizer" and (
        _is_listed(name, found) or any(p.suffix in _PICKLED for p in found.iterdir())
    ):
        check_folder(found, kind)
    raise RecipeError(
        f"{found} holds a part of the {kind} {model!r}, and its hub did not give the rest; run again when it "
        f"can be reached, or name a folder that holds it whole"
    )


def _downloaded(model: str, revision: str | None, kind: Kind) -> Path:
    """A snapshot of the hub, or what the cache holds of it where the hub does not answer."""
    from huggingface_hub import snapshot_download

    with _explained(model):
        return Path(snapshot_download(named(model)[0], revision=revision, allow_patterns=_wanted(kind)))


def _is_listed(name: str, found: Path) -> bool:
    """Whether the cache knows what the hub has at a commit: then it is it that tells whole from partial."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        return bool(get_cached_repo_tree(name, revision=found.name))
    except CachedRepoTreeNotFoundError:
        return False


def cached(model: str, kind: Kind = "captioner") -> Path | None:
    """Where a hub's model lies in the local cache, if it does so whole: downloads break off."""
    found = snapshot(model, kind)
    return found if found and _is_whole(found, kind) else None


def snapshot(model: str, kind: Kind = "captioner") -> Path | None:
    """Where some of a hub's model lies in the local cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name, revision = named(model)
    wanted = _wanted(kind)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _is_whole(path: Path, kind: Kind) -> bool:
    """Whether there are weights, every part that an index names, and the config that comes with them."""
    if kind == "tokenizer":
        return any((path / name).is_file() for name in _TOKENIZERS)
    weights = weight_files(path, kind)
    there = bool(weights) and all(file.is_file() for file in weights)
    return there and not _lacking(path, kind) and any(path.glob("*config.json"))


def _lacking(path: Path, kind: Kind) -> list[str]:
    """The parts of weights that are not there, of those that an index names.

    Only an index of the weights that are loaded counts: transformers reads none that stands beside the whole.
    """
    parts: set[str] = set()
    for index in path.glob(f"{_weights(kind)}.index.json"):
        if not index.with_name(index.name.removesuffix(".index.json")).is_file():
            parts |= _parts(index)
    return sorted(part for part in parts if not (path / part).is_file())


def _parts(index: Path) -> set[str]:
    try:
        return set(map(str, json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise RecipeError(f"{index} is no index of weights ({error}); download it again") from error


def _weights(kind: Kind) -> str:
    return _OF_HUB.get(kind, "*.safetensors")


def _wanted(kind: Kind) -> list[str]:
    return [*_BESIDE] if kind == "tokenizer" else [*_BESIDE, _weights(kind)]


@contextmanager
def _explained(model: str) -> Iterator[None]:
    """What a hub or a disk refuses, in one sentence that says what to do."""
    from huggingface_hub import constants, errors

    hub: Any = errors  # HTTPError is that of whichever client the hub's library uses.
    try:
        yield
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise RecipeError(
            f"no model {model!r}: neither a folder nor an open model on the hub; check the name, or log in"
        ) from error
    except errors.RevisionNotFoundError as error:
        name, revision = named(model)
        raise RecipeError(
            f"the hub's {name!r} has no revision {revision!r}: write a branch, a tag or a commit after the @"
        ) from error
    except (errors.LocalEntryNotFoundError, hub.HTTPError, ConnectionError) as error:
        raise RecipeError(
            f"the model {model!r} is not on this machine and its hub cannot be reached; "
            f"download it elsewhere and name its folder"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RecipeError(
            f"no room for the model {model!r} in {constants.HF_HUB_CACHE}; free some, or let HF_HOME name "
            f"another folder"
        ) from error


def _key(file: Path) -> tuple[str, str, int, int]:
    return file.name, str(file), file.stat().st_mtime_ns, file.stat().st_size


@lru_cache(maxsize=64)
def _digest(keys: tuple[tuple[str, str, int, int], ...]) -> str:
    """Of names and contents; times and sizes only tell whether to read again."""
    lines = "".join(f"{name}:{_content(Path(path))}\n" for name, path, _, _ in keys)
    return hashlib.sha256(lines.encode()).hexdigest()[:_DIGITS]


def _content(file: Path) -> str:
    """The SHA-256 of a file; the hub's cache names large files by it, so that they need not be read."""
    blob = file.resolve()
    named = blob.parent.name == "blobs" and len(blob.name) == _SHA256_DIGITS
    return blob.name if named else files.sha256(file)

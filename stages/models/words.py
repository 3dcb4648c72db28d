"""How many ids the tokenizer of a model's folder gives, read from its files without opening it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def most_id(path: Path, tokenizer: dict[str, Any]) -> int:
    """The highest id of a tokenizer.json, -1 for none; ends and pads that tokenizer_config.json names and it
    lacks are added behind, as transformers does.

    Raises ValueError, KeyError or TypeError for what is no tokenizer.
    """
    vocabulary = tokenizer["model"]["vocab"]
    ids = (
        dict(vocabulary)
        if isinstance(vocabulary, dict)
        else {word: n for n, (word, *_) in enumerate(vocabulary)}
    )
    ids |= {word["content"]: word["id"] for word in tokenizer.get("added_tokens") or []}
    return max(ids.values(), default=-1) + len(_named(path / "tokenizer_config.json") - set(ids))


def _named(config: Path) -> set[str]:
    if not config.is_file():
        return set()
    words = [value for name, value in json.loads(config.read_bytes()).items() if name.endswith("_token")]
    plain = (word.get("content") if isinstance(word, dict) else word for word in words)
    return {word for word in plain if isinstance(word, str)}

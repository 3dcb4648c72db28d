"""The texts that come beside media: a .txt is one text, a .json names its texts in one of the usual keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manifests.errors import RowError

SIDECARS = {".txt", ".json"}
KEYS = ("texts", "captions", "text", "caption")
LONGEST_BYTES = 1 << 20


def read_file(path: Path) -> bytes:
    """The bytes of a sidecar; raises RowError when it is larger than 1 MiB or cannot be read."""
    try:
        with path.open("rb") as handle:
            return bounded(handle.read(LONGEST_BYTES + 1), LONGEST_BYTES)
    except OSError as error:
        raise RowError("unreadable", f"{error.strerror}") from error


def bounded(content: bytes, most: int) -> bytes:
    """The content; raises RowError when it holds more than `most` bytes."""
    if len(content) > most:
        raise RowError("text_too_long", f"here a sidecar holds at most {most} bytes; this one is larger")
    return content


def from_sidecar(suffix: str, content: bytes) -> tuple[str, ...]:
    """The texts in a sidecar, in order; raises RowError when it is no UTF-8 or no JSON object."""
    try:
        text = content.decode("utf-8-sig")
        return from_value(json.loads(text)) if suffix == ".json" else _clean([text])
    except (ValueError, RecursionError) as error:
        raise RowError("bad_sidecar", f"expected UTF-8 {suffix[1:]}: {error}") from error


def from_value(value: Any) -> tuple[str, ...]:
    """The texts in a mapping: the first of texts, captions, text, caption that it has; a string or a list of
    them. Raises RowError for another value, and for a text that UTF-8 cannot hold."""
    if not isinstance(value, dict):
        raise RowError("bad_sidecar", f"expected a JSON object with one of {', '.join(KEYS)}")
    found: Any = next((value[key] for key in KEYS if value.get(key)), [])
    items = found if isinstance(found, list) else [found]
    return _clean([item.get("caption", "") if isinstance(item, dict) else item for item in items])


def _clean(found: list[Any]) -> tuple[str, ...]:
    texts = tuple(text for text in (str(item).strip() for item in found if item is not None) if text)
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise RowError("bad_sidecar", f"a text holds half a character, which is no UTF-8: {error}") from error
    return texts

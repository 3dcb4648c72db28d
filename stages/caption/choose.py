"""Which text goes with a clip: the one that came with it, or the new caption."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stages.base import Map, Row, Work, per_row


@dataclass(frozen=True)
class ChooseText(Map):
    """Writes the text of each sample and where it comes from.

    The source's text is `best_text`, or where nothing was scored the first of `source_texts`; the caption is
    the last one with status "ok". On the route "recaption" the source's text does not count, unless `text` is
    "source". Where only one of the two is there, that one is taken; where none is, both columns are null.
    Where both are, `text` decides: "source" and "caption" take what they say; "best" takes the text of the
    higher score (`clip_score` against `caption_score`; of equal scores, or when one is null, the source's).
    """

    reads = ("source_texts", "best_text", "clip_score", "captions", "caption_score", "route")
    writes = ("text", "text_from")

    text: Literal["best", "caption", "source"] = "best"

    def open(self) -> Work:
        def choose(row: Row) -> Iterable[Row]:
            fits = row["route"] != "recaption" or self.text == "source"
            texts = {"source": source_text(row) if fits else None, "caption": caption_text(row)}
            known = [origin for origin, text in texts.items() if text]
            if not known:
                return [{"text": None, "text_from": None}]
            origin = known[0] if len(known) == 1 else self._of_two(row)
            return [{"text": texts[origin], "text_from": origin}]

        return per_row(choose, self.writes)

    def _of_two(self, row: Row) -> Literal["source", "caption"]:
        if self.text != "best":
            return self.text
        old, new = row["clip_score"], row["caption_score"]
        return "caption" if old is not None and new is not None and new > old else "source"


def source_text(row: Mapping[str, Any]) -> str | None:
    """The text that came with the asset and fits best; the first one where none was scored."""
    texts = [text for text in row["source_texts"] or [] if text]
    return row["best_text"] or next(iter(texts), None)


def caption_text(row: Mapping[str, Any]) -> str | None:
    """The last caption with status "ok"."""
    usable = [caption["text"] for caption in row["captions"] or [] if caption["status"] == "ok"]
    return usable[-1] if usable else None

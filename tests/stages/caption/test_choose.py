"""Choosing a text: the better one wins, a caption replaces what does not fit, and nothing is made up."""

from typing import Any, Literal

import pytest

from manifests import columns
from stages.caption.choose import ChooseText

Text = Literal["best", "caption", "source"]


def chosen(text: Text = "best", **values: Any) -> tuple[str | None, str | None]:
    row = {"id": "a" * 32, "source_texts": ["a dog", "a red circle"], "best_text": "a red circle", **values}
    done = ChooseText(text).open()(columns.table([row], ["id", *ChooseText.reads])).to_pylist()[0]
    assert done["error"] is None
    return done["text"], done["text_from"]


def said(text: str, status: str = "ok") -> dict[str, Any]:
    return {"text": text, "status": status}


NEW = [said("a blue square")]
SOURCE, CAPTION = ("a red circle", "source"), ("a blue square", "caption")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [(0.2, 0.3, CAPTION), (0.3, 0.2, SOURCE), (0.3, 0.3, SOURCE), (None, 0.3, SOURCE), (0.3, None, SOURCE)],
)
def test_the_higher_score_wins(
    old: float | None, new: float | None, expected: tuple[str | None, str | None]
) -> None:
    """The caption replaces the source's text only where it scores higher; equal or unknown, it does not."""
    assert expected == chosen(captions=NEW, clip_score=old, caption_score=new)


def test_a_text_that_does_not_fit_is_replaced() -> None:
    """On the route "recaption" the caption wins at any score; without a usable one there is no text."""
    scores = {"clip_score": 0.3, "caption_score": 0.1}
    assert CAPTION == chosen(captions=NEW, route="recaption", **scores)
    cut_off = [said("a blue", "truncated")]
    assert (None, None) == chosen(captions=cut_off, route="recaption", **scores)
    assert (None, None) == chosen("caption", captions=cut_off, route="recaption", **scores)
    assert SOURCE == chosen("source", captions=cut_off, route="recaption", **scores)
    assert SOURCE == chosen(captions=NEW, route="keep", **scores)


def test_the_recipe_may_prefer_one() -> None:
    """ "source" and "caption" take what they say, and the other one where theirs is missing."""
    scores = {"clip_score": 0.3, "caption_score": 0.4, "route": "recaption"}
    assert SOURCE == chosen("source", captions=NEW, **scores)
    assert CAPTION == chosen("caption", captions=NEW, clip_score=0.9, caption_score=0.1)
    assert CAPTION == chosen("source", captions=NEW, source_texts=[], best_text=None)
    assert SOURCE == chosen("caption", captions=[])


def test_a_clip_without_a_text_takes_the_caption() -> None:
    """Without a source text the caption is taken unscored; without either there is no text."""
    none = {"source_texts": None, "best_text": None}
    assert CAPTION == chosen(captions=NEW, **none)
    assert (None, None) == chosen(captions=[said("", "empty")], **none)
    assert (None, None) == chosen(**none)


def test_unscored_texts_give_the_first() -> None:
    """Where no model scored the source's texts, the first that says something stands for them."""
    assert ("a dog", "source") == chosen(best_text=None)
    assert ("a dog", "source") == chosen(best_text=None, source_texts=["", "a dog"])


def test_the_last_usable_caption_counts() -> None:
    """Of several captions the last one that ended well is taken."""
    several = [said("a cat"), said("a blue square"), said("a blue", "truncated")]
    assert CAPTION == chosen("caption", captions=several)

"""Markup in which text from data is inert by construction: what is not markup already is escaped."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.show import inert

_VOID = ("img", "meta", "br")


class Html(str):
    """Markup; every other text is data and is escaped where the two meet."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """A value as markup: markup as it is, all else escaped, with control characters shown and not obeyed."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(inert(str(value))))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Values one after the other; None is left out."""
    return Html(between.join(escaped(part) for part in parts if part is not None))


def tag(element: str, /, *inside: object, **attributes: object) -> Html:
    """An element. `class_` is the attribute class and `view_box` would be view-box; None is left out."""
    named = (
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    head = f"<{element}{''.join(named)}>"
    return Html(head if element in _VOID else f"{head}{joined(inside)}</{element}>")


def table(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """A table with its caption, in a box that scrolls when it is too wide; numbers stand to the right."""
    rows = list(rows)
    right = [any(map(_is_number, column)) for column in zip(*rows, strict=True)] or [False] * len(head)
    heads = zip(head, right, strict=True)
    lines = [tag("tr", *(tag("th", c, scope="col", class_="number" if r else None) for c, r in heads))]
    lines += [tag("tr", *map(_cell, row)) for row in rows]
    return tag("div", tag("table", tag("caption", caption), *lines), class_="wide")


def _cell(value: object) -> Html:
    if _is_number(value):
        return tag("td", number(value), class_="number")  # type: ignore[arg-type]  # it is one
    return tag("td", "" if value is None else value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float | int | None, digits: int = 4) -> str:
    """A number for people: whole ones by thousands, others to so many digits; empty for None."""
    if value is None:
        return ""
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def hours(value: float) -> str:
    """A length for people, in hours or, below one, in minutes."""
    return f"{number(value, 3)} h" if value >= 1 else f"{number(value * 60, 3)} min"


def page(title: str, style: str, body: Iterable[Any]) -> str:
    """A page that is one file: it asks nobody for anything, runs no script, and obeys this style alone.

    https://www.w3.org/TR/CSP3: pictures from data: URIs only, a style by its SHA-256.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", title),
        tag("style", Html(style)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', *body), lang='en')}\n"

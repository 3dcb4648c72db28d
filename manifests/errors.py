"""The three things that can go wrong, named for what happens next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LISTED = 40


class RecipeError(Exception):
    """A person has to edit a file or a command; raised before any work starts."""


class ManifestError(Exception):
    """A directory cannot be used as it is; the message says how to mend it."""


class RowError(Exception):
    """This row is bad: it becomes a failed row and the run goes on.

    `reason` is a short stable word that can be counted (`truncated`, `no_video_stream`); `detail` is for
    people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[RowError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that offers the closest valid name, or lists the first MOST_LISTED when none is
    close."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(options) - MOST_LISTED} more" if len(options) > MOST_LISTED else ""
    return f"known: {', '.join(options[:MOST_LISTED])}{more}"

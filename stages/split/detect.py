"""Shot boundaries by name: what a boundary is, which detectors there are, and our own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from manifests.errors import RecipeError, nearest
from stages.split.fades import Fades
from stages.split.gradual import Gradual
from stages.split.hard import LATE, is_cut
from stages.split.shots import THRESHOLDS
from stages.split.window import Window

if TYPE_CHECKING:
    import numpy as np

    from stages.split.eyes import Glance

    Pixels = np.ndarray[Any, Any]

# Key frames of two shots are less alike than this.
STRANGE = 0.6
# Frames by which a boundary may be told late.
LATE_FRAMES = 320


class Boundary(NamedTuple):
    """Frames [first, end) belong to neither shot: none of them for a hard cut, where both name the first
    frame of the new shot, but those that `fast` left out there; of a gradual one those in which both mix.
    `kind`: hard, gradual."""

    first: int
    end: int
    kind: str


class Detector(Protocol):
    """Is shown every frame in turn; tells boundaries in order, at most LATE_FRAMES late."""

    @property
    def needs_colour(self) -> bool:
        """Whether `add` must be given the small BGR picture of every frame."""
        ...

    @property
    def finds(self) -> bool:
        """Whether it ever finds anything."""
        ...

    def add(self, glance: Glance, colour: Pixels | None, time_s: float) -> list[Boundary]: ...

    def rest(self) -> list[Boundary]: ...


def open_detector(
    name: str, threshold: float | None, effort: str = "exact", aspect: float = 16 / 9
) -> Detector:
    """`effort` as in `effort.Frames`: of key frames alone only those can be told that show another scene;
    `aspect`: width of the stored pictures ÷ their height.
    Raises RecipeError for an unknown name, and for a threshold of a detector that has none."""
    if name not in THRESHOLDS:
        raise RecipeError(f"unknown detector {name!r}; {nearest(name, THRESHOLDS)}")
    usual = THRESHOLDS[name]
    if usual is None and threshold is not None:
        raise RecipeError(f"split.threshold = {threshold}: the detector {name!r} has none; leave it out")
    if name == "reelmix":
        return Strangers() if effort == "keyframes" else Own(Window(aspect))
    if name in ("none", "transnet"):
        return Nothing()
    from stages.split.scenes import Scenes

    return Scenes(name, float(usual or 0.0) if threshold is None else threshold)


class Nothing:
    """Finds no boundary."""

    needs_colour, finds = False, False

    def add(self, glance: Glance, colour: Pixels | None, time_s: float) -> list[Boundary]:
        return []

    def rest(self) -> list[Boundary]:
        return []


@dataclass
class Own:
    """Hard cuts, dissolves, wipes and fades, each by its own evidence; not flashes, pans, fast things, text.

    A cut is a step far above its neighbours' whose two sides show no scene in common, wherever things moved
    and however they are lit (`hard`); a dissolve or wipe takes every cell straight from one scene to another
    (`gradual`); a fade ends or begins in an empty picture (`fades`).
    """

    needs_colour, finds = False, True
    window: Window = field(default_factory=Window)
    _found: list[Boundary] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._gradual, self._fades = Gradual(self.window), Fades(self.window)

    def add(self, glance: Glance, colour: Pixels | None, time_s: float) -> list[Boundary]:
        """Take the next frame."""
        self.window.add(glance, time_s)
        n = self.window.count - 1 - LATE
        if n < 0:
            return []
        self._judge(n)
        return self._told(n - LATE_FRAMES + LATE + 1)

    def rest(self) -> list[Boundary]:
        """What is left when the film is over."""
        count = self.window.count
        for n in range(max(0, count - LATE), count):
            self._judge(n)
        self._found += [
            Boundary(*span, "gradual") for span in (*self._gradual.rest(), *self._fades.rest(count))
        ]
        return self._told(math.inf)

    def _judge(self, n: int) -> None:
        cut = is_cut(self.window, n, self.window.count)
        if cut:
            self._found.append(Boundary(n, n, "hard"))
        spans: Iterator[tuple[int, int]] = iter((*self._gradual.add(n, cut), *self._fades.add(n)))
        self._found += [Boundary(*span, "gradual") for span in spans]

    def _told(self, before: float) -> list[Boundary]:
        """Boundaries that nothing found later can touch any more, what overlaps made one."""
        if not self._found:
            return []
        one = united(self._found)
        told = [b for b in one if b.end < before]
        self._found = [b for b in one if b.end >= before]
        return told


@dataclass
class Strangers:
    """Of pictures seconds apart: a boundary wherever one shows no scene of the one before."""

    needs_colour, finds = False, True
    window: Window = field(default_factory=Window)

    def add(self, glance: Glance, colour: Pixels | None, time_s: float) -> list[Boundary]:
        """Take the next frame."""
        self.window.add(glance, time_s)
        n = self.window.count - 1
        return [] if not n or self.window.one_scene(n - 1, n, STRANGE) else [Boundary(n, n, "hard")]

    def rest(self) -> list[Boundary]:
        return []


def united(found: list[Boundary]) -> list[Boundary]:
    """In order; gradual ones that touch are one, and a cut at or in a gradual one is part of it."""
    slow: list[Boundary] = []
    for b in sorted(b for b in found if b.kind == "gradual"):
        if slow and b.first <= slow[-1].end:
            slow[-1] = Boundary(slow[-1].first, max(slow[-1].end, b.end), "gradual")
        else:
            slow.append(b)
    hard = [
        b for b in found if b.kind == "hard" and not any(s.first - 1 <= b.first <= s.end + 1 for s in slow)
    ]
    return sorted([*slow, *hard])

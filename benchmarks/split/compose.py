"""Films of shots joined by cuts, dissolves, fades and wipes of known place, drawn from a seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from benchmarks.split.looks import Look, Shot
from benchmarks.split.mixing import Join, joined
from benchmarks.split.painter import Painter
from benchmarks.split.textures import Pixels, Rng
from benchmarks.split.truth import EVENTS, Boundary, Event
from benchmarks.split.worlds import WORLDS

KINDS = ("cut", "dissolve", "fade", "wipe")
# Gradual transitions are dealt from this hand, which is shuffled anew when it is empty.
HAND = ("dissolve", "dissolve", "dissolve", "fade", "fade", "wipe", "wipe")
CUT_SHARE = 0.6
# Frames of an event's span by kind, and frames between an event and whatever else happens.
EVENT_FRAMES = {
    "flash": (2, 2),
    "pan": (6, 16),
    "zoom": (8, 20),
    "fast": (6, 16),
    "text": (15, 45),
    "light": (1, 14),
    "shake": (10, 25),
}
MARGIN = 6


@dataclass(frozen=True)
class Film:
    """A film as planned; `frames` draws it."""

    fps: int
    frame_count: int
    shots: tuple[Shot, ...]
    joins: tuple[Join, ...]
    bars: float

    @property
    def boundaries(self) -> list[Boundary]:
        return [Boundary(join.kind, join.first, join.end) for join in self.joins]

    @property
    def events(self) -> list[Event]:
        return [event for shot in self.shots for event in shot.events]

    def frames(self, size: tuple[int, int]) -> Iterator[Pixels]:
        """Every frame as (height, width, 3) uint8 RGB, `size` being (width, height); one at a time."""
        cv2.setNumThreads(1)
        painter = Painter(self.shots[0], size, self.fps)
        at = 0
        for join, shot in zip(self.joins, self.shots[1:], strict=True):
            for n in range(at, join.first):
                yield self._barred(painter.draw(n))
            following = Painter(shot, size, self.fps)
            for n in range(join.first, join.end):
                yield self._barred(joined(join, painter.draw(n), following.draw(n), n))
            painter, at = following, join.end
        for n in range(at, self.frame_count):
            yield self._barred(painter.draw(n))

    def _barred(self, canvas: Pixels) -> Pixels:
        high = int(self.bars * canvas.shape[0])
        if high:
            canvas[:high], canvas[-high:] = 0, 0
        return canvas


def compose(
    seed: int, seconds: float, fps: int = 25, kinds: Sequence[str] = KINDS, events: Sequence[str] = EVENTS
) -> Film:
    """Plan a film: the same arguments give the same film, whatever size it is drawn in later.

    At least CUT_SHARE of the boundaries are cuts. Shots last 3 frames to 8 s; a shot beside a gradual
    transition shows itself alone for 12 frames or longer.
    """
    rng = np.random.default_rng([seed, seconds_key(seconds), fps])
    total = round(seconds * fps)
    spans, joins = _timed(rng, total, fps, kinds)
    shots: list[Shot] = []
    for n, (first, end) in enumerate(spans):
        before, after = (joins[n - 1] if n else None), (joins[n] if n < len(joins) else None)
        look = _look(rng, [shot.look for shot in shots[-2:]], before, after)
        alone = (before.end if before else first, after.first if after else end)
        shots.append(
            Shot(first, end, look, int(rng.integers(1 << 40)), _events(rng, alone, fps, events, look))
        )
    bars = float(rng.uniform(0.06, 0.13)) if rng.random() < 0.15 else 0.0
    return Film(fps, total, tuple(shots), tuple(joins), bars)


def seconds_key(seconds: float) -> int:
    return round(seconds * 1000)


def _timed(rng: Rng, total: int, fps: int, kinds: Sequence[str]) -> tuple[list[tuple[int, int]], list[Join]]:
    """Where shots are seen, and how they are joined."""
    joins: list[Join] = []
    spans: list[tuple[int, int]] = []
    hand: list[str] = []
    seen, alone, burst = 0, 0, 0
    while True:
        burst = burst - 1 if burst else _burst(rng, kinds)
        kind = "cut" if burst else _next_kind(rng, joins, hand, kinds)
        slow_before = bool(joins) and joins[-1].kind != "cut"
        least = 12 if slow_before or kind != "cut" else 3
        length = max(least, _length(rng, fps, bool(burst)))
        join = _join(rng, kind, alone + length)
        if join.end + 30 > total:
            break
        joins.append(join)
        spans.append((seen, max(join.end, join.first)))
        seen, alone = join.first, join.end
    spans.append((seen, total))
    return spans, joins


def _burst(rng: Rng, kinds: Sequence[str]) -> int:
    """How many very short shots follow; mostly none."""
    return int(rng.integers(3, 8)) if "cut" in kinds and rng.random() < 0.07 else 0


def _length(rng: Rng, fps: int, burst: bool) -> int:
    if burst:
        return int(rng.integers(5, 15)) if rng.random() < 0.85 else int(rng.integers(3, 5))
    return int(fps * np.clip(rng.lognormal(0.45, 0.65), 0.5, 8.0))


def _next_kind(rng: Rng, joins: Sequence[Join], hand: list[str], kinds: Sequence[str]) -> str:
    slow = [kind for kind in HAND if kind in kinds]
    cuts = sum(join.kind == "cut" for join in joins)
    few_cuts = cuts < CUT_SHARE * (len(joins) + 1)
    if not slow or ("cut" in kinds and (few_cuts or rng.random() < 0.45)):
        return "cut"
    if not hand:
        hand += rng.permutation(slow).tolist()
    return hand.pop()


def _join(rng: Rng, kind: str, first: int) -> Join:
    if kind == "cut":
        return Join("cut", first, first)
    if kind == "dissolve":
        return Join("dissolve", first, first + int(np.exp(rng.uniform(np.log(6), np.log(50.99)))))
    if kind == "wipe":
        style = ("left", "right", "up", "down", "diagonal", "iris", "clock")[int(rng.integers(7))]
        soft = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.03, 0.2))
        return Join("wipe", first, first + int(rng.integers(8, 41)), style, soft=soft)
    away, back = (int(v) for v in rng.integers(6, 26, 2))
    form = rng.random()
    away, back = (away, 0) if form < 0.2 else (0, back) if form < 0.4 else (away, back)
    style = "white" if rng.random() < 0.25 else "black"
    return Join("fade", first, first + away + back + int(rng.integers(0, 11)), style, away=away, back=back)


def _look(rng: Rng, past: Sequence[Look], before: Join | None, after: Join | None) -> Look:
    """A new look; behind a cut sometimes the same place again, or another with the same palette.

    Where a shot is dark or flat, nobody can tell to the frame when it begins to fade: such shots stand
    between cuts, and beside a dissolve that leads to a brighter one.
    """
    fresh, chance = _fresh(rng), rng.random()
    if before is not None and before.kind == "cut" and (after is None or after.kind == "cut"):
        if len(past) == 2 and chance < 0.18 and past[0] != past[1]:
            return past[0]
        if chance < 0.45:
            return replace(past[-1], world_seed=fresh.world_seed)
    while not _tells(fresh, past, before, after):
        fresh = _fresh(rng)
    return fresh


def _tells(look: Look, past: Sequence[Look], before: Join | None, after: Join | None) -> bool:
    kinds = {join.kind for join in (before, after) if join is not None and join.kind != "cut"}
    if not kinds:
        return True
    if look.flat or (look.dark and kinds != {"dissolve"}):
        return False
    return not (look.dark and bool(past) and past[-1].dark)


def _fresh(rng: Rng) -> Look:
    name = tuple(WORLDS)[int(rng.integers(len(WORLDS)))]
    mood, seeds = rng.random(), rng.integers(1 << 40, size=2)
    gamma, gain, lift = float(rng.uniform(0.8, 1.3)), float(rng.uniform(0.85, 1.05)), 0.0
    if mood < 0.12:
        gamma, gain = float(rng.uniform(1.3, 1.8)), float(rng.uniform(0.25, 0.45))
    elif mood < 0.22:
        gain, lift = float(rng.uniform(0.25, 0.4)), float(rng.uniform(0.25, 0.45))
    grain = float(rng.choice([0.0, rng.uniform(0.7, 2.0), rng.uniform(0.7, 2.0), rng.uniform(2.0, 5.0)]))
    return Look(name, int(seeds[0]), int(seeds[1]), gamma, gain, lift, grain)


def _events(
    rng: Rng, alone: tuple[int, int], fps: int, kinds: Sequence[str], look: Look
) -> tuple[Event, ...]:
    """Up to two events, one after the other, away from the shot's ends."""
    found: list[Event] = []
    at = alone[0] + MARGIN
    while kinds and len(found) < 2 and rng.random() < 0.5:
        kind = kinds[int(rng.integers(len(kinds)))]
        least, most = EVENT_FRAMES[kind]
        length = int(rng.integers(least, most + 1))
        room = alone[1] - MARGIN - length - at
        if room < 0 or (look.dark and kind == "light"):
            break
        first = at + int(rng.integers(0, room + 1))
        found.append(Event(kind, first, first + length))
        at = first + length + MARGIN
    return tuple(found)

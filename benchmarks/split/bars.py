"""The issue's bars: what is wanted of split, what was found, and whether that is enough."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.split import peers
from benchmarks.split.measured import BARE, SEPARATE, Measured
from benchmarks.split.truth import Score, together

# Codings with B-frames, where `fast` may leave out what nothing refers to.
SKIPPABLE = ("h264", "h264-g120")
GROUPS_OF_120 = ("h264-g120",)
SLOW_KINDS = ("dissolve", "fade", "wipe")


@dataclass(frozen=True)
class Bar:
    """One wanted figure: `found` must be at most, or at least, `wanted`."""

    name: str
    found: float
    wanted: float
    at_most: bool = False

    @property
    def passed(self) -> bool:
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{'pass' if self.passed else 'MISS'}  {self.name}: {self.found:.3f} ({sign} {self.wanted:g})"


def by_coding(found: Iterable[Measured]) -> dict[str, list[Measured]]:
    """Measured videos by their coding, in their order."""
    return {
        coding: list(group) for coding, group in itertools.groupby(found, lambda m: m.video.recipe.coding)
    }


def ratio(found: Sequence[Measured], over: str, under: str) -> float:
    """CPU seconds of one run ÷ those of another, over several videos."""
    return sum(m.costs[over].cpu_s for m in found) / sum(m.costs[under].cpu_s for m in found)


def own_ratio(found: Sequence[Measured], effort: str) -> float:
    """Our CPU seconds ÷ those of a bare decode, without the start of the interpreter and the libraries, which
    a worker pays once."""
    return sum(m.without_start_s[effort] for m in found) / sum(m.costs[BARE].cpu_s for m in found)


def cost_bars(found: Sequence[Measured]) -> list[Bar]:
    """Prices against a bare decode by coding, without our start; against the commands of others, which start
    for each file, with it, PySceneDetect's by video."""
    bars: list[Bar] = []
    for coding, some in by_coding(found).items():
        wanted = {"exact": 1.4}
        if coding in SKIPPABLE:
            wanted["fast"] = 0.75
        if coding in GROUPS_OF_120:
            wanted["keyframes"] = 0.1
        for effort, most in wanted.items():
            bars.append(Bar(f"{coding}: {effort} ÷ bare decode", own_ratio(some, effort), most, at_most=True))
        bars.append(Bar(f"{coding}: three passes ÷ exact", ratio(some, SEPARATE, "exact"), 2.2))
    for one in found:
        bars.append(Bar(f"{one.video.name}: adaptive ÷ exact", ratio([one], "adaptive", "exact"), 1.0))
    return bars


def accuracy_bars(found: Sequence[Measured]) -> list[Bar]:
    """Hard cuts by video and in all, gradual kinds and flashes in all, and what `fast` loses."""
    exact = together([one.scores["exact"] for one in found])
    bars = [Bar("hard cuts F1, all videos", exact.f1, 0.97)]
    for one in found:
        lead = one.scores["exact"].f1 - one.scores[one.best_peer].f1
        bars.append(Bar(f"{one.video.name}: F1 - F1 of {one.best_peer}", lead, 0.0))
    bars += [Bar(f"{kind}: span covered", exact.covered(kind), 0.9) for kind in SLOW_KINDS]
    flashes = exact.events.get("flash", (0, 0, 0))[2]
    bars.append(Bar("boundaries at two-frame flashes", flashes, 0, at_most=True))
    if all("fast" in one.scores for one in found):
        fast = together([one.scores["fast"] for one in found])
        bars.append(Bar("F1 that fast loses", exact.f1 - fast.f1, 0.01, at_most=True))
    return bars


def jpeg_bar(stills: Mapping[str, float]) -> Bar:
    return Bar("JPEG to 224 px: Pillow ÷ ours", stills["pillow_s"] / stills["ours_s"], 4.0)


def pooled(found: Sequence[Measured]) -> dict[str, Score]:
    """Each finder's counts over all videos that it looked at."""
    names = dict.fromkeys(name for one in found for name in one.scores)
    ours_first = sorted(names, key=lambda name: name in peers.DETECTORS)
    return {name: together([one.scores[name] for one in found]) for name in ours_first}

"""What the bench prints: a table of prices by coding, one of accuracy by video, one by kind of event."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.split.bars import SLOW_KINDS, by_coding, own_ratio, pooled, ratio
from benchmarks.split.measured import BARE, COMMANDS, SEPARATE, Measured
from benchmarks.split.truth import EVENTS, Score

Rows = list[list[str]]


def laid_out(rows: Rows) -> str:
    """Rows as text, each column as wide as its widest word; the first row is the heading, the first column
    names."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def prices(found: Sequence[Measured], efforts: Sequence[str]) -> str:
    """CPU seconds ÷ those of a bare decode, by video and by coding (in capitals); `+` is without the start of
    the interpreter and the libraries."""
    runs = (*efforts, *COMMANDS, SEPARATE)
    own = [f"{effort}+" for effort in efforts]
    rows = [["video", "Mb/s", "bare s", *runs, *own, "3 passes ÷ exact", "adaptive ÷ exact", "peak MB"]]
    for coding, some in by_coding(found).items():
        rows += [_prices(one.video.name, [one], runs, efforts) for one in some]
        rows.append(_prices(coding.upper(), some, runs, efforts))
    return laid_out(rows)


def _prices(name: str, some: Sequence[Measured], runs: Sequence[str], efforts: Sequence[str]) -> list[str]:
    bare = sum(one.costs[BARE].cpu_s for one in some)
    own = [own_ratio(some, effort) for effort in efforts]
    peak = max(one.costs[effort].peak_bytes for one in some for effort in efforts)
    rate = sum(one.video.bits_per_s * one.video.seconds for one in some) / sum(
        one.video.seconds for one in some
    )
    return [
        name,
        f"{rate / 1e6:.2f}",
        f"{bare:.2f}",
        *[f"{ratio(some, run, BARE):.2f}" for run in runs],
        *[f"{share:.2f}" for share in own],
        f"{ratio(some, SEPARATE, 'exact'):.2f}",
        f"{ratio(some, 'adaptive', 'exact'):.2f}",
        f"{peak / 1e6:.0f}",
    ]


def accuracy(found: Sequence[Measured], efforts: Sequence[str]) -> str:
    """By video: F1 at each effort and of the best peer, and of `exact` what was missed, false and covered."""
    kinds = [f"{kind} cov/found/n" for kind in SLOW_KINDS]
    rows = [["video", *[f"F1 {effort}" for effort in efforts], "best peer", "missed", "false", *kinds]]
    for one in found:
        best = f"{one.best_peer} {one.scores[one.best_peer].f1:.3f}"
        rows.append(_accuracy(one.video.name, one.scores[efforts[0]], best, _f1s(one, efforts)))
    return laid_out(rows)


def _f1s(one: Measured, efforts: Sequence[str]) -> list[str]:
    return [f"{one.scores[effort].f1:.3f}" for effort in efforts]


def _accuracy(name: str, counts: Score, best: str, f1s: Sequence[str]) -> list[str]:
    slow = [counts.gradual.get(kind, (0, 0, 0)) for kind in SLOW_KINDS]
    words = [f"{covered}/{seen}/{true}" for true, seen, covered in slow]
    return [name, *f1s, best, str(counts.missed), str(counts.false), *words]


def finders(found: Sequence[Measured]) -> str:
    """By finder, over all videos: hard cuts, gradual kinds, and false boundaries at each kind of event."""
    whole = pooled(found)
    events = [f"{kind} ({_events(whole, kind)})" for kind in EVENTS]
    rows = [
        ["finder", "precision", "recall", "F1", *[f"{k} cov/found" for k in SLOW_KINDS], *events, "false"]
    ]
    for name, counts in whole.items():
        slow = [f"{counts.covered(kind):.2f}/{counts.found(kind):.2f}" for kind in SLOW_KINDS]
        false = [str(counts.events.get(kind, (0, 0, 0))[2]) for kind in EVENTS]
        hard = [f"{value:.3f}" for value in (counts.precision, counts.recall, counts.f1)]
        rows.append([name, *hard, *slow, *false, str(counts.false)])
    return laid_out(rows)


def _events(whole: dict[str, Score], kind: str) -> int:
    return max(counts.events.get(kind, (0, 0, 0))[0] for counts in whole.values())

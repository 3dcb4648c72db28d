"""Small drawings in numbers: a histogram with its thresholds, a bar in parts; colours come from classes."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.web.html import Html, tag

WIDTH, HEIGHT = 320, 84
# What is there can be seen, however few they are.
LEAST_PX = 1.5


def histogram(
    every: Sequence[int], kept: Sequence[int], *, lines: Sequence[tuple[float, str]] = (), label: str
) -> Html:
    """Counts by bin: grey bars of all rows, coloured ones of those kept in front of them.

    `lines` are thresholds: a place from 0 (left) to 1 (right), and what it is. `label` says for those who
    cannot see what is drawn.
    """
    most = max([*every, 1])
    step = WIDTH / len(every)
    bars = [_bar(at * step, step, count / most, "all") for at, count in enumerate(every) if count]
    bars += [_bar(at * step, step, count / most, "live") for at, count in enumerate(kept) if count]
    marks = [_mark(place * WIDTH, name) for place, name in lines if 0 <= place <= 1]
    return _drawing(HEIGHT, label, bars + marks)


def _bar(x: float, width: float, share: float, kind: str) -> Html:
    height = max(share * (HEIGHT - 2), LEAST_PX)
    place = {"x": f"{x + 0.5:.2f}", "y": f"{HEIGHT - height:.2f}"}
    return tag("rect", width=f"{width - 1:.2f}", height=f"{height:.2f}", class_=kind, **place)


def _mark(x: float, name: str) -> Html:
    x = min(max(x, 1.0), WIDTH - 1.0)
    return tag("line", tag("title", name), x1=f"{x:.2f}", x2=f"{x:.2f}", y1=0, y2=HEIGHT, class_="threshold")


def stacked(parts: Sequence[tuple[str, float]], total: float, *, label: str, height: int = 18) -> Html:
    """A bar of `total` in parts, each of a class and a size; what is missing stays empty."""
    bars, x = list[Html](), 0.0
    for kind, size in parts:
        width = size / total * WIDTH if total else 0.0
        if size:
            bars.append(
                tag("rect", x=f"{x:.2f}", y=0, width=f"{max(width, 0.75):.2f}", height=height, class_=kind)
            )
        x += width
    return _drawing(height, label, bars)


def _drawing(height: int, label: str, inside: Sequence[Html]) -> Html:
    return tag(
        "svg",
        *inside,
        viewBox=f"0 0 {WIDTH} {height}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )

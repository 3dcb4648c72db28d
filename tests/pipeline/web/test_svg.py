"""Bars are as long as what they stand for."""

import re

from pipeline.web.svg import HEIGHT, LEAST_PX, WIDTH, histogram, stacked


def rects(drawing: str) -> list[dict[str, str]]:
    return [dict(re.findall(r'(\w+)="([^"]*)"', rect)) for rect in re.findall(r"<rect[^>]*>", drawing)]


def test_a_stacked_bar_shares_its_width() -> None:
    """A quarter, a half, and what is missing stays empty."""
    first, second = rects(stacked([("live", 1), ("failed", 2), ("rejected", 0)], 4, label="x"))
    assert (f"{WIDTH / 4:.2f}", "0.00") == (first["width"], first["x"])
    assert (f"{WIDTH / 2:.2f}", f"{WIDTH / 4:.2f}") == (second["width"], second["x"])


def test_a_histogram_draws_all_and_kept() -> None:
    """The highest bin fills the height, one of a thousand can still be seen, an empty one is not drawn."""
    grey = [r for r in rects(histogram([1000, 0, 1], [500, 0, 0], label="x")) if r["class"] == "all"]
    green = [r for r in rects(histogram([1000, 0, 1], [500, 0, 0], label="x")) if r["class"] == "live"]
    assert [f"{HEIGHT - 2:.2f}", f"{LEAST_PX:.2f}"] == [rect["height"] for rect in grey]
    assert [f"{(HEIGHT - 2) / 2:.2f}"] == [rect["height"] for rect in green]


def test_thresholds_stand_where_they_are() -> None:
    """At the middle of the scale in the middle; beyond the scale there is none; each is named."""
    found = histogram([1], [1], lines=[(0.5, "blur <= 0.69"), (1.5, "gone")], label="a <b>")
    assert f'x1="{WIDTH / 2:.2f}"' in found and "<title>blur &lt;= 0.69</title>" in found
    assert "gone" not in found and 'aria-label="a &lt;b&gt;"' in found

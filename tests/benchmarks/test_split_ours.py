"""How rows of clips become boundaries, and how prices become bars."""

from __future__ import annotations

from typing import Any

from benchmarks.split.bars import Bar
from benchmarks.split.costs import cheapest, cost, python
from benchmarks.split.ours import boundaries
from benchmarks.split.tables import laid_out


def clip(first: int, end: int, kinds: tuple[str, str]) -> dict[str, Any]:
    return {"start_s": first / 25, "end_s": end / 25, "starts_with": kinds[0], "ends_with": kinds[1]}


def test_neighbouring_clips_tell_the_boundary_between_them() -> None:
    """A gap between two clips is the span of a gradual boundary; a limit is none."""
    rows = [
        clip(0, 40, ("start", "hard")),
        clip(40, 90, ("hard", "gradual")),
        clip(110, 200, ("gradual", "limit")),
        clip(200, 290, ("limit", "end")),
    ]
    assert [("hard", 40, 40), ("gradual", 90, 110)] == boundaries(rows, 25.0)


def test_a_bar_is_passed_at_its_figure() -> None:
    """At most and at least include the figure itself."""
    assert Bar("ratio", 1.4, 1.4, at_most=True).passed
    assert Bar("recall", 0.9, 0.9).passed
    assert not Bar("recall", 0.89, 0.9).passed


def test_a_command_costs_what_it_spent() -> None:
    """CPU seconds and memory of the child, and what it printed; of several runs the cheapest counts."""
    command = [*python("timeit")[:1], "-c", "print(sum(range(3_000_000)))"]
    one = cheapest({"sum": lambda: cost(command)}, 2)["sum"]
    assert "4499998500000\n" == one.output
    assert 0 < one.cpu_s
    assert 1 << 20 < one.peak_bytes


def test_columns_line_up() -> None:
    """Figures stand under the ends of their headings."""
    assert "video  F1\n---------\na       1" == laid_out([["video", "F1"], ["a", "1"]])

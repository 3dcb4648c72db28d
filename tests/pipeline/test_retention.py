"""A corpus that loses far more than the rest is marked, and chance is not."""

from typing import Any

import pytest

from pipeline.retention import _loses


def counted(lost: int, rows: int) -> dict[str, Any]:
    return {"rows": rows, "live": rows - lost, "rejected": lost, "duplicates": 0, "failed": 0}


@pytest.mark.parametrize(
    ("own", "rest", "marked"),
    [
        ((60, 100), (100, 1000), True),
        ((15, 100), (100, 1000), False),
        ((2, 4), (100, 1000), False),
        ((100, 1000), (60, 100), False),
    ],
)
def test_marks(own: tuple[int, int], rest: tuple[int, int], marked: bool) -> None:
    """60 % against 10 % is marked; 15 % is not twice 10 %; of four rows two may go by chance (pooled 10.2 %,
    standard error 15 %, three of them are 45 points); losing less is none."""
    found = _loses("own", {"own": counted(*own), "rest": counted(*rest)})
    assert marked == bool(found)


def test_says_what_is_lost() -> None:
    """The sentence names both shares and what most of the loss is."""
    found = _loses("a", {"a": counted(60, 100), "b": counted(100, 1000)})
    assert "loses 60% where the rest loses 10%, most of it rejected" == found


def test_one_corpus_has_no_rest() -> None:
    """Alone, nothing can be compared."""
    assert _loses("a", {"a": counted(99, 100)}) is None

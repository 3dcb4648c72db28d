"""The union of boxes: by hand, and as counted pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.score.boxes import covered


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], 0.0),
        ([[0, 0, 2, 3]], 6.0),
        ([[0, 0, 2, 3], [0, 0, 2, 3]], 6.0),
        ([[0, 0, 2, 2], [1, 1, 3, 3]], 7.0),
        ([[0, 0, 4, 4], [1, 1, 2, 2]], 16.0),
        ([[0, 0, 1, 1], [2, 2, 3, 3]], 2.0),
        ([[0.25, 0.0, 0.75, 1.0], [0.5, 0.0, 1.0, 0.5]], 0.625),
        ([[1, 1, 1, 5]], 0.0),
    ],
    ids=["none", "one", "twice", "overlapping", "within", "apart", "shares", "a line"],
)
def test_unions_by_hand(boxes: list[list[float]], expected: float) -> None:
    """What two boxes share counts once."""
    assert expected == covered(np.array(boxes, float).reshape(-1, 4))


SIDE = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)


@given(st.lists(st.tuples(SIDE, SIDE), max_size=8))
def test_a_union_is_the_pixels_inside(sides: list[tuple[list[int], list[int]]]) -> None:
    """On a grid of whole pixels, for any boxes."""
    grid = np.zeros((12, 12), bool)
    for (left, right), (top, bottom) in sides:
        grid[top:bottom, left:right] = True
    boxes = [[left, top, right, bottom] for (left, right), (top, bottom) in sides]
    assert grid.sum() == covered(np.array(boxes, float).reshape(-1, 4))

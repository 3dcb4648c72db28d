"""How much of a picture boxes cover, each place counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def covered(boxes: Array) -> float:
    """The area of the union of boxes (n, 4) of left, top, right, bottom, in their own units squared."""
    import numpy

    columns, rows = numpy.unique(boxes[:, 0::2]), numpy.unique(boxes[:, 1::2])
    inside = numpy.zeros((max(len(rows) - 1, 0), max(len(columns) - 1, 0)), bool)
    for left, top, right, bottom in boxes:
        across = (left <= columns[:-1]) & (columns[:-1] < right)
        down = (top <= rows[:-1]) & (rows[:-1] < bottom)
        inside |= down[:, None] & across
    return float(numpy.diff(rows) @ inside @ numpy.diff(columns))

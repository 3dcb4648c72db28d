"""Stored frames as pictures: which of them are looked at, and what is said of those that are none."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manifests.errors import RowError
from stages.frames import pictures, spread
from tests.stages.models.build import jpeg


def row(count: int) -> dict[str, Any]:
    """Frame n is gray of level 20 n."""
    return {"frames": [{"jpeg": jpeg(Image.new("RGB", (16, 8), (20 * n,) * 3))} for n in range(count)]}


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [
        (8, 2, [2, 6]),
        (8, 4, [1, 3, 5, 7]),
        (8, 1, [4]),
        (3, 2, [0, 2]),
        (2, 8, [0, 1]),
        (5, 5, [0, 1, 2, 3, 4]),
    ],
)
def test_frames_are_evenly_spread(count: int, most: int, expected: list[int]) -> None:
    """The middles of so many equal parts; all where there are not more."""
    found = pictures(row(count), most)
    assert expected == [round(float(picture.mean()) / 20) for picture in found]
    assert {(8, 16, 3)} == {picture.shape for picture in found}


@given(st.integers(0, 5000), st.integers(0, 60))
def test_places_are_spread(count: int, most: int) -> None:
    """As many as are wanted or there are, in order, none twice; steps and ends differ by one at most."""
    places = spread(count, most)
    assert min(count, most) == len(places) == len(set(places))
    assert sorted(places) == places and set(places) <= set(range(count))
    assert len({after - before for before, after in pairwise(places)}) <= 2
    assert all(a + b in (count - 1, count) for a, b in zip(places, reversed(places), strict=True))


def test_what_is_no_picture_is_told() -> None:
    """No frames, none stored, bytes that are none."""
    for frames, reason in ((None, "no_frames"), ([], "no_frames"), ([{"jpeg": b"x"}], "bad_frame")):
        with pytest.raises(RowError, match=reason):
            pictures({"frames": frames}, 2)

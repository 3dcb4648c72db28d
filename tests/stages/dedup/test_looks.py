"""Distances of rows and parts, by hand arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from manifests.errors import ManifestError
from stages.dedup.looks import Looks, best_part, frame_by_frame, in_order
from tests.stages.dedup.conftest import ALTERNATING, flipped, row, table

ONE, OTHER = np.array([0]), np.array([1])


def test_means_over_frames() -> None:
    """2 and 6 bits are 4 on average; one channel 4 levels brighter is a colour distance of 4."""
    a = row("a", ALTERNATING, ALTERNATING)
    b = row("b", flipped(ALTERNATING, 2), flipped(ALTERNATING, 6), colour=0x808480)
    bits, levels = frame_by_frame(Looks.of(table(a, b)), ONE, OTHER)
    assert ([4.0], [4.0]) == (bits.tolist(), levels.tolist())


def test_largest_cell_counts() -> None:
    """One cell of 16 that is 100 levels redder makes the frame 100 apart, and two frames 50."""
    a, b = row("a", 1, 1), row("b", 1, 1)
    b["colours"] = [0xE48080, *[0x808080] * 31]
    assert [50.0] == frame_by_frame(Looks.of(table(a, b)), ONE, OTHER)[1].tolist()


def test_flat_frames_count_for_colours_only() -> None:
    """Of two frames one is flat: the other's 2 bits are the mean."""
    a, b = row("a", ALTERNATING, None), row("b", flipped(ALTERNATING, 2), 7)
    assert [2.0] == frame_by_frame(Looks.of(table(a, b)), ONE, OTHER)[0].tolist()


def test_mostly_flat_rows_are_far() -> None:
    """With hashes in fewer than half of the frames nothing is known."""
    rows = table(row("a", 1, None, None), row("b", 1, None, None))
    assert [np.inf] == frame_by_frame(Looks.of(rows), ONE, OTHER)[0].tolist()


def test_part_is_the_best_way_in_order() -> None:
    """The shorter row's frames stand as frames 2 and 3 of the longer, 2 bits off on average."""
    far = ~ALTERNATING & (1 << 64) - 1
    x, y = ALTERNATING, flipped(ALTERNATING, 32)
    shorter, longer = row("a", x, y), row("b", far, flipped(x, 4), y, far)
    share, bits, levels = best_part(Looks.of(table(shorter, longer)), ONE, OTHER, bits=8, levels=8)
    assert ([1.0], [2.0], [0.0]) == (share.tolist(), bits.tolist(), levels.tolist())


def test_part_never_steps_back() -> None:
    """The same frames in the reverse order match one of two."""
    x, y = ALTERNATING, flipped(ALTERNATING, 32)
    looks = Looks.of(table(row("a", x, y), row("b", y, x)))
    assert [0.5] == best_part(looks, ONE, OTHER, bits=8, levels=8)[0].tolist()


def test_part_of_another_colour_is_none() -> None:
    """Equal hashes do not match beyond the colour limit."""
    looks = Looks.of(table(row("a", 1, 2), row("b", 1, 2, colour=0x889080)))
    assert [0.0] == best_part(looks, ONE, OTHER, bits=8, levels=8)[0].tolist()


def distances(a: dict[str, object], b: dict[str, object]) -> list[list[float]]:
    """Bits, levels and mean levels of two rows in order."""
    return [values.tolist() for values in in_order(Looks.of(table(a, b)), ONE, OTHER)]


def test_moments_in_order() -> None:
    """The shorter row's frames stand second and third in the longer, 0 and 4 bits off; either way round."""
    far = ~ALTERNATING & (1 << 64) - 1
    x, y = ALTERNATING, flipped(ALTERNATING, 32)
    shorter, longer = row("a", x, flipped(y, 4), duration_s=4.0), row("b", far, x, y, far)
    assert [[2.0], [0.0], [0.0]] == distances(shorter, longer) == distances(longer, shorter)


def test_moments_never_step_back() -> None:
    """The same two frames in the reverse order: one of them is 32 bits off, whichever is matched."""
    x, y = ALTERNATING, flipped(ALTERNATING, 32)
    assert [16.0] == distances(row("a", x, y), row("b", y, x))[0]


def test_each_distance_has_its_own_way() -> None:
    """One cell of 16 in one channel 96 levels off is 96 at most, and 96 / 48 on average."""
    a, b = row("a", 1), row("b", 1)
    b["colours"] = [0xE08080, *[0x808080] * 15]
    assert [[0.0], [96.0], [2.0]] == distances(a, b)


def test_equally_long_rows_are_asked_both_ways() -> None:
    """A still row is in one that ends elsewhere, not the reverse: 32 bits over two frames are 16."""
    still, moving = row("a", 1, 1), row("b", 1, flipped(1, 32))
    assert [16.0] == distances(still, moving)[0] == distances(moving, still)[0]
    assert [0.0] == distances({**still, "duration_s": 4.0}, moving)[0]


def test_flat_moments_count_for_colours_only() -> None:
    """What has no hash is passed over; where the longer row has none at all, nothing is near."""
    x = ALTERNATING
    shorter = row("a", None, flipped(x, 2), duration_s=4.0)
    assert [[2.0], [0.0], [0.0]] == distances(shorter, row("b", x, None, None))
    assert [[np.inf], [0.0], [0.0]] == distances(shorter, row("b", None, None))


def test_moved_bits() -> None:
    """A still row moved 0; frames 2 apart that differ by 6 and 10 bits moved 8; an image does not move."""
    x = ALTERNATING
    moving = row("b", x, x, flipped(x, 6), flipped(x, 10))
    looks = Looks.of(table(row("a", x, x, x, x), moving, row("c", x)))
    assert [0.0, 8.0, 0.0] == looks.moved_bits().tolist()


def test_hashes_without_colours_are_refused() -> None:
    """The message says what to run."""
    with pytest.raises(ManifestError, match="run split anew"):
        Looks.of(table({**row("a", 1), "colours": []}))

"""How rows look, as arrays over frames, and how far two rows or parts of them are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ManifestError
from stages.dedup.near import Hashes, Indices
from stages.dedup.phash import GRID

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

CELLS = GRID * GRID
# The green of a corner, of a middle cell and of the opposite corner: three of the 48 levels of a frame.
LANDMARKS = [3 * cell + 1 for cell in (0, 6, 15)]
# A matched frame weighs this much less its distance, so that more frames always outweigh nearer ones.
_MATCH = 1 << 16


@dataclass(frozen=True, eq=False)
class Looks:
    """Rows by frames, padded to the longest row; a row without frames is all padding.

    `hashes` count where `known`, `levels` (48 a frame: red, green, blue of 16 cells) where the frame's number
    is below `counts`. An image has a duration of 0.
    """

    hashes: Hashes
    known: Flags
    levels: npt.NDArray[np.uint8]
    counts: Indices
    durations_s: Numbers

    @classmethod
    def of(cls, rows: pa.Table) -> Looks:
        """From phashes, colours and duration_s. Raises ManifestError when the first two disagree."""
        hashes, colours = rows["phashes"].combine_chunks(), rows["colours"].combine_chunks()
        counts = pc.list_value_length(hashes).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        cells = pc.list_value_length(colours).fill_null(0).to_numpy(zero_copy_only=False)
        if not np.array_equal(counts * CELLS, cells):
            raise ManifestError(f"some rows have not {CELLS} colours for each phash; run split anew")
        width = max(1, counts.max(initial=0))
        places = np.arange(width) < counts[:, None]
        values = pc.list_flatten(hashes)
        padded, known = np.zeros(places.shape, np.uint64), np.zeros(places.shape, np.bool_)
        padded[places] = values.fill_null(0).to_numpy(zero_copy_only=False)
        known[places] = values.is_valid().to_numpy(zero_copy_only=False)
        levels = np.zeros((*places.shape, CELLS * 3), np.uint8)
        levels[places] = _levels(pc.list_flatten(colours).to_numpy(zero_copy_only=False))
        durations = rows["duration_s"].fill_null(0.0).to_numpy()
        return cls(padded, known, levels, counts, durations)

    def landmarks(self) -> Numbers:
        """Three levels of each frame, of shape (rows, frames, 3)."""
        return np.asarray(self.levels[:, :, LANDMARKS], np.float64)

    def mean_landmarks(self) -> Numbers:
        """The mean of each row's landmarks over its frames; padding is 0 and adds nothing."""
        return np.asarray(self.landmarks().sum(axis=1) / np.maximum(self.counts, 1)[:, None], np.float64)

    def moved_bits(self) -> Numbers:
        """Mean Hamming distance of each row's frames from those half its time later; 0 without hashes."""
        half = np.maximum(self.counts // 2, 1)
        later = np.arange(self.known.shape[1]) + half[:, None]
        inside = later < self.counts[:, None]
        later = np.where(inside, later, 0)
        both = self.known & np.take_along_axis(self.known, later, axis=1) & inside
        bits = np.bitwise_count(self.hashes ^ np.take_along_axis(self.hashes, later, axis=1)) * both
        return np.asarray(bits.sum(axis=1) / np.maximum(both.sum(axis=1), 1), np.float64)


def frame_by_frame(looks: Looks, a: Indices, b: Indices) -> tuple[Numbers, Numbers]:
    """For pairs of rows with equally many frames, n-th with n-th: (mean Hamming, mean colour distance).

    The Hamming distance is in bits over the frames in which both have a hash, infinite when those are fewer
    than half. The colour distance of two frames is the largest of any cell and channel, in levels of 255.
    """
    both = looks.known[a] & looks.known[b]
    bits = np.bitwise_count(looks.hashes[a] ^ looks.hashes[b]) * both
    compared, counts = both.sum(axis=1), np.maximum(looks.counts[a], 1)
    means = bits.sum(axis=1) / np.maximum(compared, 1)
    distances = np.where(2 * compared >= counts, means, np.inf)
    return distances, _difference(looks.levels[a], looks.levels[b]).sum(axis=1) / counts


def in_order(looks: Looks, a: Indices, b: Indices) -> tuple[Numbers, Numbers, Numbers]:
    """For pairs of rows with frames, how far the shorter one's moments are from those of the longer one.

    Each frame of the shorter row is given one of the longer, never stepping back in time, so that the mean
    distance is the smallest. Of equally long rows each is the shorter once, and the larger distance counts.
    Returns three such distances, each with its own best way: Hamming in bits over the frames that have a hash
    (infinite when no frame of the longer one has); largest difference of any cell and channel; mean over
    cells and channels. The last two are in levels of 255.
    """
    shorter_first = looks.durations_s[a] <= looks.durations_s[b]
    short, long = np.where(shorter_first, a, b), np.where(shorter_first, b, a)
    one_way = _one_way(looks, short, long)
    equal = looks.durations_s[a] == looks.durations_s[b]
    one_way[:, equal] = np.maximum(one_way[:, equal], _one_way(looks, long[equal], short[equal]))
    return one_way[0], one_way[1], one_way[2]


def _one_way(looks: Looks, short: Indices, long: Indices) -> Numbers:
    """The three distances of `in_order`, of shape (3, pairs)."""
    places = np.arange(looks.known.shape[1])
    shown, offered = places < looks.counts[short][:, None], places < looks.counts[long][:, None]
    bits = np.bitwise_count(looks.hashes[short][:, :, None] ^ looks.hashes[long][:, None, :])
    apart = _apart(looks.levels[short][:, :, None], looks.levels[long][:, None, :])
    means = apart.sum(axis=-1, dtype=np.int64) / apart.shape[-1]
    known = looks.known[short], looks.known[long]
    return np.stack(
        [
            _mean_on_path(bits, *known),
            _mean_on_path(apart.max(axis=-1), shown, offered),
            _mean_on_path(means, shown, offered),
        ]
    )


def _mean_on_path(costs: npt.NDArray[Any], asked: Flags, offered: Flags) -> Numbers:
    """The smallest mean of costs (pairs, n, m) over the n asked, each taking one m offered; m never falls."""
    offered_costs = np.where(offered[:, None, :], costs, np.inf)
    best = np.zeros((costs.shape[0], costs.shape[2]))
    for place in range(costs.shape[1]):
        taken = np.minimum.accumulate(best, axis=1) + offered_costs[:, place]
        best = np.where(asked[:, place, None], taken, best)
    return np.asarray(best.min(axis=1) / np.maximum(asked.sum(axis=1), 1), np.float64)


def best_part(
    looks: Looks, short: Indices, long: Indices, *, bits: float, levels: float
) -> tuple[Numbers, Numbers, Numbers]:
    """How much of a shorter row is in a longer one, in order: (share, mean Hamming and colour distance).

    Two frames match within `bits` and `levels`. Of all ways to give frames of the shorter row frames of the
    longer one that never step back in time, the one with most matches counts, then the one with the smallest
    mean Hamming distance. The share is of the frames that have a hash; flat frames are passed over. The
    colour distance is the mean, over matched frames of the shorter row, to the nearest in colour they match.
    """
    distances = np.bitwise_count(looks.hashes[short][:, :, None] ^ looks.hashes[long][:, None, :])
    both = looks.known[short][:, :, None] & looks.known[long][:, None, :]
    colours = _difference(looks.levels[short][:, :, None], looks.levels[long][:, None, :])
    match = both & (distances <= bits) & (colours <= levels)
    score = _best_path(np.where(match, _MATCH - distances.astype(np.int64), 0))
    matched = -(-score // _MATCH)
    total = matched * _MATCH - score
    frames = np.maximum(looks.known[short].sum(axis=1), 1)
    return matched / frames, total / np.maximum(matched, 1), _mean_of_nearest(colours, match)


def _mean_of_nearest(colours: npt.NDArray[np.uint8], match: Flags) -> Numbers:
    """The mean over the shorter row's matched frames of their smallest colour distance to a match."""
    nearest = np.where(match, colours, 255).min(axis=2)
    any_match = match.any(axis=2)
    sums = (nearest * any_match).sum(axis=1)
    return np.asarray(sums / np.maximum(any_match.sum(axis=1), 1), np.float64)


def _best_path(gains: Indices) -> Indices:
    """The largest sum of gains (pairs, n, m) when each n takes at most one m and m never falls."""
    best = np.zeros((gains.shape[0], gains.shape[2]), np.int64)
    for row in range(gains.shape[1]):
        best = np.maximum.accumulate(best + gains[:, row], axis=1)
    return best[:, -1]


def _difference(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(_apart(a, b).max(axis=-1), np.uint8)


def _apart(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.maximum(a, b) - np.minimum(a, b), np.uint8)


def _levels(colours: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """0xRRGGBB, 16 a frame, as 48 levels a frame."""
    channels = [(colours >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)]
    return np.stack(channels, axis=1).reshape(-1, CELLS * 3)

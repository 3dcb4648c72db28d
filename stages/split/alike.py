"""Whether two pictures show the same scene: block by block, wherever a block may have moved, however lit."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, Any]
# Blocks of 12 x 12 cells of the 64 x 36 grid, searched for within 8 cells (an eighth of the width).
_BLOCK, _REACH = 12, 8
_BLOCKS = tuple((y, x) for y in (0, 12, 24) for x in (2, 14, 26, 38, 50))
# Blocks of less contrast than this, in levels, say nothing; those of more than the second no more than it.
_FLAT, _ENOUGH = 1.5, 20.0
# Two flat pictures are alike when their means are this near, in levels.
_SAME_GRAY = 12.0
# A block is the same one within these levels of light and colour, and from this correlation on.
_SAME_LIGHT, _SAME_TINT, _SAME_BLOCK = 8.0, 6.0, 0.75
# Where so many blocks stay as they were, something in the scene changed and not the scene.
MOST_UNCHANGED = 0.3
# A block of less contrast than this, in levels, is ground.
_PLAIN = 5.0
# Chroma of more than so many levels of contrast is coloured; within so many cells, from that mean correlation
# of the two planes on, it is coloured alike.
_COLOURED, _SHIFT, _ALIKE_COLOURS = 4.0, 2, 0.4
# Margins whose pixels are all below this level in both pictures are bars, which every film has in common.
_BAR = 32
# The picture without its border of so many cells is looked for in the other one, to see how far it moved.
_BORDER = 6


def alike(first: Pixels, second: Pixels) -> float:
    """0 to 1: how well the blocks of one grid (36 x 64, 8 bits) are found in the other, weighted by contrast.

    The blocks are those of the grid with more contrast. The measure is the normalised correlation at the best
    place near by, so that neither movement nor light counts as a difference. Unrelated scenes reach 0.3 to
    0.55, frames of one shot 0.8 and more.
    """
    first, second = without_bars(first, second)
    of, among = (first, second) if _levels(first)[1] > _levels(second)[1] else (second, first)
    total = weight = 0.0
    for y, x in _BLOCKS:
        block = of[y : y + _BLOCK, x : x + _BLOCK]
        contrast = _levels(block)[1]
        if contrast >= _FLAT:
            share = min(contrast, _ENOUGH)
            total, weight = total + share * _best(block, among, y, x), weight + share
    if weight:
        return total / weight
    return 1.0 if abs(float(first.mean()) - float(second.mean())) < _SAME_GRAY else 0.0


def _best(block: Pixels, among: Pixels, y: int, x: int) -> float:
    """The correlation of a block with the other picture, at the best place near its own."""
    near = among[max(0, y - _REACH) : y + _BLOCK + _REACH, max(0, x - _REACH) : x + _BLOCK + _REACH]
    return float(cv2.minMaxLoc(cv2.matchTemplate(near, block, cv2.TM_CCOEFF_NORMED))[1])


def unchanged(first: Pixels, second: Pixels, *chroma: Pixels) -> float:
    """0 to 1: the share of blocks that both grids show at the same place in nearly the same light and colour;
    `chroma` are both frames' (2, 9, 16) averages. A card of text leaves the blocks around it so, and an
    object that appears the ground behind it."""
    first, second = without_bars(first, second)
    same = 0
    for y, x in _BLOCKS:
        a, b = first[y : y + _BLOCK, x : x + _BLOCK], second[y : y + _BLOCK, x : x + _BLOCK]
        (light, contrast), (lit, other) = _levels(a), _levels(b)
        if abs(light - lit) < _SAME_LIGHT and _tinted(chroma, y // 4, x // 4) < _SAME_TINT:
            same += max(contrast, other) < _PLAIN or _best(b, first, y, x) > _SAME_BLOCK
    return same / len(_BLOCKS)


def _levels(block: Pixels) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(block)
    return float(mean[0, 0]), float(deviation[0, 0])


def _tinted(chroma: tuple[Pixels, ...], y: int, x: int) -> float:
    """How far the colours of a block differ, in levels, both chroma planes added up."""
    now, then = (np.asarray(planes[:, y : y + 3, x : x + 3].mean((1, 2))) for planes in chroma)
    return float(np.abs(now - then).sum())


def without_bars(first: Pixels, second: Pixels) -> tuple[Pixels, Pixels]:
    """Both pictures without the black margins that they have in common, at their size; as they are when there
    are none, or nothing else."""
    bright = np.maximum(first, second)
    if min(bright[0].max(), bright[-1].max(), bright[:, 0].max(), bright[:, -1].max()) >= _BAR:
        return first, second
    height, width = first.shape
    rows = _inner(np.flatnonzero(bright.max(1) >= _BAR), height)
    columns = _inner(np.flatnonzero(bright.max(0) >= _BAR), width)
    if rows.stop - rows.start < _BLOCK or columns.stop - columns.start < _BLOCK:
        return first, second
    one, other = (np.asarray(cv2.resize(p[rows, columns], (width, height))) for p in (first, second))
    return one, other


def _inner(lit: Pixels, size: int) -> slice:
    """From the first lit line to the last; the one next to a bar is a mix of both."""
    if not len(lit):
        return slice(0, 0)
    begin, end = int(lit[0]), int(lit[-1]) + 1
    return slice(begin + (begin > 0), end - (end < size))


def other_colours(first: Pixels, second: Pixels) -> bool:
    """Whether two frames' chroma (2, 9, 16) is coloured, and nowhere near by coloured alike: patterns that
    blocks take for each other (tiles, leaves, crowds) tell themselves apart by it."""
    one, other = (np.concatenate(list(planes), 1) for planes in (first, second))
    if min(_levels(one)[1], _levels(other)[1]) < _COLOURED:
        return False
    best = np.full((2 * _SHIFT + 1, 2 * _SHIFT + 1), 0.0)
    for plane, beside in zip(first, second, strict=True):
        inner = beside[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
        best += cv2.matchTemplate(
            np.ascontiguousarray(plane), np.ascontiguousarray(inner), cv2.TM_CCOEFF_NORMED
        )
    return float(best.max()) / 2 < _ALIKE_COLOURS


def moved(first: Pixels, second: Pixels) -> float:
    """How much better a grid is found in the other one when it may move as a whole: near 0 for a mix of two
    scenes, more for a camera that pans."""
    inner = second[_BORDER:-_BORDER, _BORDER:-_BORDER]
    if float(cv2.meanStdDev(inner)[1][0, 0]) < 2.0:
        return 0.0
    match = cv2.matchTemplate(first, inner, cv2.TM_CCOEFF_NORMED)
    return float(match.max() - match[_BORDER, _BORDER])

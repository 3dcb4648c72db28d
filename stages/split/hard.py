"""Hard cuts: a frame far from the one before, while its neighbours are not, that no frame across
resembles."""

from __future__ import annotations

import math

from stages.split.alike import MOST_UNCHANGED, alike, other_colours, unchanged
from stages.split.window import Window

# Frames after a cut that must be known before it is judged.
LATE = 3
# A step of fewer levels than the first, or less than so many times its neighbours, is no candidate.
LEAST_STEP, LEAST_RATIO = 3.0, 1.8
# Pairs (frames before the cut, frames after it) that must not show one scene: a flash or a dropped picture of
# two frames is bridged by one of them.
ACROSS = ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0))
# The log odds of a cut: so much as such, by the log of the step's ratio to its neighbours, by how alike the
# most alike pair is, and by the share of it that did not change (a logistic regression on the steps of
# composed films; benchmarks/split has films, truth and counts of seeds that were not used).
AS_SUCH, BY_RATIO, BY_ALIKE, BY_UNCHANGED = 11.20, 1.51, -20.66, -7.20
# Blocks that are found again in other colours count as alike only so much.
STRANGE = 0.5
# In pictures of less contrast than this correlation is noise: the step must be a large one.
DIM, DIM_STEP = 8.0, 15.0
_CALM = 0.5


def is_cut(window: Window, n: int, end: int) -> bool:
    """Whether frame n begins a new shot; `end` is the number of frames known, LATE more than n or all."""
    step = window.step(n) if n else 0.0
    if step < LEAST_STEP or step < max(window.step(m) for m in (n - 1, n, n + 1) if 1 <= m < end):
        return False
    ratio = step / (_CALM + _around(window, n, end))
    if ratio < LEAST_RATIO or (max(window.contrast(n - 1), window.contrast(n)) < DIM and step < DIM_STEP):
        return False
    odds = AS_SUCH + BY_RATIO * math.log(ratio)
    most, pair = 0.0, (n - 1, n)
    for before, after in ACROSS:
        first, second = max(window.oldest, n - 1 - before), min(n + after, end - 1)
        found = alike(window.grid(first), window.grid(second))
        if odds + BY_ALIKE * found <= 0:
            if not other_colours(window.chroma(first), window.chroma(second)):
                return False
            found = STRANGE
        if found > most:
            most, pair = found, (first, second)
    same = unchanged(*(window.grid(m) for m in pair), *(window.chroma(m) for m in pair))
    return same < MOST_UNCHANGED and odds + BY_ALIKE * most + BY_UNCHANGED * same > 0


def _around(window: Window, n: int, end: int) -> float:
    """The mean step of the three frames on either side, but for the largest: a neighbour may be a cut."""
    near = sorted(window.step(m) for m in range(n - 3, n + 4) if 1 <= m < end and m != n)
    return sum(near[:-1]) / max(1, len(near) - 1)

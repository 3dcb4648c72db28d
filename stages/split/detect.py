"""Shot detectors by name, every parameter stated; and the one rule that turns their cuts into spans."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from manifests.errors import RecipeError, nearest

if TYPE_CHECKING:
    import numpy as np
    from scenedetect.detector import SceneDetector

# Each detector's usual threshold: adaptive and content as the best tuned sets of PySceneDetect's own
# benchmark (benchmark/README.md of 0.7: adaptive 3.5 with window 3, content 31), the others as its 0.7.2
# defaults.
THRESHOLDS: dict[str, float | None] = {
    "adaptive": 3.5,
    "content": 31.0,
    "histogram": 0.2,
    "hash": 0.35,
    "threshold": 12.0,
    "none": None,
}
# Frames by which a detector may report a cut late; the pictures of that many frames are kept at hand.
LATE_FRAMES = 8
# Detectors count frames; times are ours, by PTS, so the rate that they are told does not matter.
_RATE = Fraction(25)


@dataclass(frozen=True)
class Detector:
    """`cuts(n, bgr)` takes frame n and returns the frames that begin a new shot, some frames late; `rest()`
    ends it."""

    cuts: Callable[[int, np.ndarray[Any, Any]], list[int]]
    rest: Callable[[int], list[int]]


def open_detector(name: str, threshold: float | None) -> Detector:
    """A PySceneDetect detector whose own minimum length is off: lengths are ruled by `spans`, in seconds.

    Raises RecipeError for an unknown name.
    """
    if name not in THRESHOLDS:
        raise RecipeError(f"unknown detector {name!r}; {nearest(name, THRESHOLDS)}")
    if name == "none":
        return Detector(lambda n, image: [], lambda n: [])
    made = _made(name, THRESHOLDS[name] if threshold is None else threshold)
    from scenedetect import FrameTimecode

    def cuts(n: int, image: np.ndarray[Any, Any]) -> list[int]:
        return [cut.frame_num for cut in made.process_frame(FrameTimecode(n, fps=_RATE), image)]

    def rest(n: int) -> list[int]:
        return [cut.frame_num for cut in made.post_process(FrameTimecode(n, fps=_RATE))]

    return Detector(cuts, rest)


def _made(name: str, threshold: float | None) -> SceneDetector:
    from scenedetect import detectors
    from scenedetect.detector import FlashFilter

    weights = detectors.ContentDetector.Components(
        delta_hue=1.0, delta_sat=1.0, delta_lum=1.0, delta_edges=0.0
    )
    made: dict[str, Callable[[], SceneDetector]] = {
        "adaptive": lambda: detectors.AdaptiveDetector(
            adaptive_threshold=threshold,
            min_scene_len=1,
            window_width=3,
            min_content_val=15.0,
            weights=weights,
            luma_only=False,
            kernel_size=None,
        ),
        "content": lambda: detectors.ContentDetector(
            threshold=threshold,
            min_scene_len=1,
            weights=weights,
            luma_only=False,
            kernel_size=None,
            filter_mode=FlashFilter.Mode.SUPPRESS,
        ),
        "histogram": lambda: detectors.HistogramDetector(threshold=threshold, bins=128, min_scene_len=1),
        "hash": lambda: detectors.HashDetector(threshold=threshold, size=8, lowpass=2, min_scene_len=1),
        "threshold": lambda: detectors.ThresholdDetector(
            threshold=threshold, min_scene_len=1, fade_bias=0.0, add_final_scene=False
        ),
    }
    return made[name]()


@dataclass(frozen=True)
class Span:
    """Frames [first, end) of one clip, and the kinds of its boundaries."""

    first: int
    end: int
    starts_with: str
    ends_with: str


def far_enough(cut: int, before: int, pts: Sequence[int], least: Fraction) -> bool:
    """Whether a cut is at least `least` ticks after the boundary before it: a nearer one is dropped."""
    return pts[cut] - pts[before] >= least


def spans(
    cuts: Sequence[int], pts: Sequence[int], end_pts: int, *, least: Fraction, most: Fraction
) -> list[Span]:
    """The clips between cuts. Lengths in ticks: `least` as below, `most` as the longest clip.

    A cut nearer than `least` to the boundary before it, or to the end, is dropped: its frames go to the shot
    before. A shot longer than `most` is divided into the fewest equal parts that are not (boundary `limit`).
    """
    kept = [0]
    for cut in sorted(set(cuts)):
        if 0 < cut < len(pts) and far_enough(cut, kept[-1], pts, least):
            kept.append(cut)
    while len(kept) > 1 and end_pts - pts[kept[-1]] < least:
        kept.pop()
    ends = [*kept[1:], len(pts)]
    found: list[Span] = []
    for first, end in zip(kept, ends, strict=True):
        kinds = ("start" if first == 0 else "hard", "end" if end == len(pts) else "hard")
        found += divided(first, end, kinds, [*pts, end_pts], most)
    return found


def divided(first: int, end: int, kinds: tuple[str, str], pts: Sequence[int], most: Fraction) -> list[Span]:
    """A shot of frames [first, end) as clips of at most `most` ticks; `pts` holds the time at which it ends,
    too."""
    length = pts[end] - pts[first]
    parts = min(max(1, math.ceil(length / most)), end - first)
    inner = [first + round((end - first) * n / parts) for n in range(parts + 1)]
    starts = [kinds[0], *["limit"] * (parts - 1)]
    stops = [*["limit"] * (parts - 1), kinds[1]]
    return [Span(a, b, s, e) for a, b, s, e in zip(inner, inner[1:], starts, stops, strict=False)]

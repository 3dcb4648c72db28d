"""PySceneDetect's detectors, every parameter stated, behind our interface."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from scenedetect import FrameTimecode, detectors
from scenedetect.detector import FlashFilter

from stages.split.detect import Boundary

if TYPE_CHECKING:
    from scenedetect.detector import SceneDetector

    from stages.split.eyes import Glance, Pixels

# Detectors count frames; times are ours, by PTS, so the rate that they are told does not matter.
_RATE = Fraction(25)


class Scenes:
    """A detector of PySceneDetect, whose own minimum length is off: lengths are ruled by `spans`."""

    needs_colour, finds = True, True

    def __init__(self, name: str, threshold: float) -> None:
        self._detector, self._count = _made(name, threshold), 0

    def add(self, glance: Glance, colour: Pixels | None, time_s: float) -> list[Boundary]:
        """Take the next frame by its small BGR picture."""
        assert colour is not None
        at = FrameTimecode(self._count, fps=_RATE)
        self._count += 1
        return [_cut(cut.frame_num) for cut in self._detector.process_frame(at, colour)]

    def rest(self) -> list[Boundary]:
        """What is left when the film is over."""
        at = FrameTimecode(self._count, fps=_RATE)
        return [_cut(cut.frame_num) for cut in self._detector.post_process(at)]


def _cut(frame: int) -> Boundary:
    return Boundary(frame, frame, "hard")


def _made(name: str, threshold: float) -> SceneDetector:
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

"""How much a film moves from half second to half second: by optical flow, by luma, by the codec's vectors."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from av.sidedata.motionvectors import MotionVectors

from stages.split.eyes import Eyes
from stages.split.measures import FREEZE_NOISE, mean

if TYPE_CHECKING:
    import av

Pixels = np.ndarray[Any, Any]
# Data-Juicer's video_motion_score_filter: sampling_fps 2.
PER_S = 2
# Long side of the luma that flow is found in, and the least short side: OpenCV's flow reads beyond a picture
# whose coarsest level, a quarter of this, is smaller than its patch of 8 pixels.
FLOW_PX, LEAST_PX = 192, 32
# Steps of half a second that a slide show is told from a film by.
LEAST_STEPS = 8
# NeMo Curator refuses to judge motion vectors below this: a block is too large a part of the picture.
VECTORS_PX = 256


@dataclass(frozen=True)
class Look:
    """The first decoded frame of a half second: its number among the decoded, the half second, and how it
    differs from the look before: flow (share of the diagonal) and luma (mean difference, share of the range),
    each null where it is not known."""

    decoded: int
    half: int
    flow: float | None
    change: float | None


@dataclass
class Moves:
    """Looks at two frames a second, by the container's clock: wherever a segment begins, at the same ones.

    Of a segment that begins within a half second (`since`, ticks) nobody knows its first frame.
    """

    time_base: Fraction
    since: int | None = None
    vectors: bool = False
    looks: list[Look] = field(default_factory=list)
    # Of one frame a half second: its number, its blocks' area and the lengths of their vectors by area.
    moved: list[tuple[int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._half = self._moved_half = None if self.since is None else self._half_of(self.since - 1)
        # Its own, as a scaler that changes its size is built anew.
        self._eyes = Eyes()
        self._luma: Pixels | None = None

    def _half_of(self, pts: int) -> int:
        return int(pts * self.time_base * PER_S // 1)

    def look(self, decoded: int, pts: int, frame: av.VideoFrame) -> None:
        """Take the next decoded frame, shown at `pts`."""
        half = self._half_of(pts)
        if self.vectors and half != self._moved_half and (found := vectors(frame)):
            self.moved.append((decoded, *found))
            self._moved_half = half
        if half == self._half:
            return
        # OpenCV's flow refuses lines with padding between them.
        before, self._luma = self._luma, np.ascontiguousarray(self._eyes.sharp(frame, FLOW_PX))
        flow = change = None
        if before is not None and before.shape == self._luma.shape:
            change = float(cv2.norm(before, self._luma, cv2.NORM_L1)) / before.size / 255
            if half - self.looks[-1].half == 1:
                flow = self._length(before, self._luma)
        self.looks.append(Look(decoded, half, flow, change))
        self._half = half

    def _length(self, before: Pixels, luma: Pixels) -> float | None:
        """Mean length of the flow from one picture to the other, as share of the diagonal; None for one too
        small. Dense inverse search (Kroeger et al., ECCV 2016) follows a shift of an eighth of the width;
        beyond, it finds too little."""
        if min(luma.shape) < LEAST_PX:
            return None
        found = self._flow.calc(before, luma, np.zeros((*luma.shape, 2), np.float32))
        # Not by cv2.magnitude, whose last bits depend on where its arrays lie in memory.
        lengths = np.sqrt(np.square(found[..., 0]) + np.square(found[..., 1]))
        return float(lengths.mean(dtype=np.float64)) / math.hypot(*luma.shape)

    def of_clip(self, first: int, end: int, *, still: bool = True) -> dict[str, float | None]:
        """The columns of decoded frames [first, end). `still`: whether a half second without a frame shows
        the one before, as it does where every frame was decoded."""
        at, after = (bisect_left(self.looks, n, key=lambda look: look.decoded) for n in (first, end))
        steps = self.looks[at + 1 : after]
        flows = [look.flow for look in steps if look.flow is not None]
        changes = [look.change for look in steps if look.change is not None]
        count = steps[-1].half - self.looks[at].half if steps else 0
        known = still and len(changes) == len(steps)
        return {
            "flow": mean(flows),
            "jump_share": jump_share(changes, count) if known else None,
            "codec_motion": self._codec_motion(first, end),
        }

    def _codec_motion(self, first: int, end: int) -> float | None:
        ends = [bisect_left(self.moved, n, key=lambda one: one[0]) for n in (first, end)]
        some = self.moved[slice(*ends)]
        return math.fsum(one[2] for one in some) / math.fsum(one[1] for one in some) if some else None


def jump_share(changes: list[float], count: int) -> float | None:
    """How much of all change lies in the largest quarter of `count` steps, of which those beyond `changes`
    show none; None under 8 steps, or where nothing changes.

    Steps below ffmpeg's freezedetect noise (-60 dB) are none. Ours: slides of 2 s and more change in one step
    of four or fewer, so that nearly all lies in a quarter, be the change hard or soft; of even motion a
    quarter does.
    """
    real = sorted((change for change in changes if change >= FREEZE_NOISE), reverse=True)
    if count < LEAST_STEPS or not real:
        return None
    return math.fsum(real[: math.ceil(count / 4)]) / math.fsum(real)


def vectors(frame: av.VideoFrame) -> tuple[float, float] | None:
    """The area of all blocks that a frame predicts from others, and the sum of their vectors' lengths, each
    by its block's area, as shares of the picture's diagonal; None for a frame without such blocks, and below
    256 px on a side.

    FFmpeg's AVMotionVector (`motion_x` and `motion_y` over `motion_scale` are pixels). A block predicted from
    two frames counts twice; intra blocks have no vector.
    """
    if min(frame.width, frame.height) < VECTORS_PX:
        return None
    found = frame.side_data.get("MOTION_VECTORS")
    if not isinstance(found, MotionVectors) or not len(found):
        return None
    every = found.to_ndarray()
    areas = every["w"].astype(np.float64) * every["h"]
    lengths = np.hypot(every["motion_x"], every["motion_y"]) / np.maximum(every["motion_scale"], 1)
    return float(areas.sum()), float((areas * lengths).sum()) / math.hypot(frame.width, frame.height)

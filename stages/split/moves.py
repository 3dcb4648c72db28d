"""How much a film moves from half second to half second: by optical flow, by luma, by the codec's vectors."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from av.sidedata.motionvectors import MotionVectors
from av.video.frame import PictureType

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
# Of frames left out nobody knows the movement: pictures so far apart are taken for half a second, in
# proportion.
NEAR_S = (Fraction(1, 4), Fraction(3, 4))
# Pictures that P-frames refer to: MPEG's B-frames, and VC-1's BI, are none.
_REFERENCES = (PictureType.I, PictureType.P, PictureType.S, PictureType.SI, PictureType.SP)


@dataclass(frozen=True)
class Look:
    """A decoded frame that is shown at a tick of half a second: its number among the decoded, its time, the
    first such tick, and how it differs from the look before: flow (share of the diagonal) and luma (mean
    difference, share of the range), each null where it is not known."""

    decoded: int
    pts: int
    half: int
    flow: float | None
    change: float | None


@dataclass(frozen=True)
class Moved:
    """The vectors of a P-frame: its number among the decoded, that of the frame which it refers to, its
    blocks' area, and the lengths of their vectors by area and for one frame's time."""

    decoded: int
    reference: int
    area: float
    lengths: float


@dataclass
class Moves:
    """What is shown every half second by the container's clock: wherever a segment begins, at the same ticks.

    Of a segment that begins within a half second (`since`, ticks) nobody knows its first P-frame.
    """

    time_base: Fraction
    since: int | None = None
    vectors: bool = False
    looks: list[Look] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._moved_half = None if self.since is None else self._half_from(self.since)
        # Its own, as a scaler that changes its size is built anew.
        self._eyes = Eyes()
        self._luma: Pixels | None = None
        self._held: tuple[int, int, av.VideoFrame] | None = None
        # The last frame that a P-frame may refer to: among the decoded, and among the shown.
        self._reference: tuple[int, int] | None = None

    def _half_from(self, pts: int) -> int:
        """The first half second that does not begin before `pts`."""
        return -(-pts * PER_S * self.time_base.numerator // self.time_base.denominator)

    def look(self, decoded: int, shown: int, pts: int, frame: av.VideoFrame) -> None:
        """Take the next decoded frame, the `shown`-th of all, shown at `pts`."""
        if self.vectors:
            self._refer(decoded, shown, pts, frame)
        self.rest(pts)
        self._held = (decoded, pts, frame)

    def rest(self, until: int) -> None:
        """The frame held so far is shown until then."""
        if self._held is None:
            return
        decoded, pts, frame = self._held
        half = self._half_from(pts)
        if half == self._half_from(until):
            return
        # OpenCV's flow refuses lines with padding between them.
        before, self._luma = self._luma, np.ascontiguousarray(self._eyes.sharp(frame, FLOW_PX))
        flow = change = None
        if before is not None and before.shape == self._luma.shape:
            change = float(cv2.norm(before, self._luma, cv2.NORM_L1)) / before.size / 255
            flow = self._length(before, self._luma)
        self.looks.append(Look(decoded, pts, half, flow, change))

    def _refer(self, decoded: int, shown: int, pts: int, frame: av.VideoFrame) -> None:
        """Look at the vectors of the first P-frame of each half second, whose reference is the frame before
        it that is none of the B-frames: MPEG-2 and -4 know no other, H.264 may refer farther."""
        kind, reference = frame.pict_type, self._reference
        if kind in _REFERENCES:
            self._reference = (decoded, shown)
        half = self._half_from(pts + 1)
        if (
            kind != PictureType.P
            or reference is None
            or half == self._moved_half
            or not (found := vectors(frame))
        ):
            return
        area, lengths = found
        self.moved.append(Moved(decoded, reference[0], area, lengths / (shown - reference[1])))
        self._moved_half = half

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

    def of_clip(self, first: int, end: int, end_pts: int, *, whole: bool = True) -> dict[str, float | None]:
        """The columns of decoded frames [first, end), the last shown until `end_pts`. `whole`: whether they
        are all that are shown, so that a half second without one shows the one before."""
        at, after = (bisect_left(self.looks, n, key=lambda look: look.decoded) for n in (first, end))
        looks = self.looks[at:after]
        count = self._half_from(end_pts) - looks[0].half - 1 if looks else 0
        changes = [look.change for look in looks[1:] if look.change is not None]
        known = len(changes) == len(looks) - 1 and (whole or len(changes) == count)
        return {
            "flow": _flow(looks, count) if whole else self._near_flow(looks),
            "jump_share": jump_share(changes, count) if known else None,
            "codec_motion": self._codec_motion(first, end),
        }

    def _near_flow(self, looks: list[Look]) -> float | None:
        """The mean flow, in half a second, of neighbouring looks that are about that far apart."""
        flows: list[float] = []
        for before, look in pairwise(looks):
            gap_s = (look.pts - before.pts) * self.time_base
            if look.flow is not None and NEAR_S[0] <= gap_s <= NEAR_S[1]:
                flows.append(look.flow / float(gap_s * PER_S))
        return mean(flows)

    def _codec_motion(self, first: int, end: int) -> float | None:
        """Of P-frames [first, end) whose reference is one of these, too."""
        ends = [bisect_left(self.moved, n, key=lambda one: one.decoded) for n in (first, end)]
        some = [one for one in self.moved[slice(*ends)] if one.reference >= first]
        return math.fsum(one.lengths for one in some) / math.fsum(one.area for one in some) if some else None


def _flow(looks: list[Look], count: int) -> float | None:
    """The mean flow of `count` steps of half a second, in which no other picture is shown; None without
    steps, and where no flow is known."""
    flows = [look.flow for look in looks[1:] if look.flow is not None]
    steps = count - (len(looks) - 1 - len(flows))
    return math.fsum(flows) / steps if steps > 0 and (flows or len(looks) == 1) else None


def jump_share(changes: list[float], count: int) -> float | None:
    """How much of all change lies in the largest quarter of `count` steps, of which those beyond `changes`
    show none; None under 8 steps, or where nothing changes.

    Steps below ffmpeg's freezedetect noise (-60 dB) are none. Ours: slides of 2 s and more that change at
    once do so in one step of four or more, so that all lies in a quarter; of even motion a quarter does. The
    softer the change, the less: of drawn slides of 2 to 6 s 0.99 and more where it takes an eighth of a
    slide's time, 0.89 to 0.98 where a quarter, 0.57 where half, 0.31 where it never ends.
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

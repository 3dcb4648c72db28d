"""The step split: one decode of an asset finds its shots, measures them, and stores a few small frames of
each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, ClassVar, Literal

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError, RowError
from manifests.ids import clip_id
from stages import child
from stages.base import Map, Row, Work, per_row, within
from stages.media import Limits
from stages.split.effort import Effort

# Each detector's usual threshold, none where it has none: adaptive and content as the best tuned sets of
# PySceneDetect's own benchmark (benchmark/README.md of 0.7: adaptive 3.5 with window 3, content 31), the
# others as its 0.7.2 defaults, TransNetV2's as published.
THRESHOLDS: dict[str, float | None] = {
    "reelmix": None,
    "adaptive": 3.5,
    "content": 31.0,
    "histogram": 0.2,
    "hash": 0.35,
    "threshold": 12.0,
    "transnet": 0.5,
    "none": None,
}
MEASURES = (
    *("luma_mean", "detail", "black_share", "blur", "motion", "freeze_share", "content_hash"),
    *("flow", "codec_motion", "jump_share", "flash_rate"),
)
PLACE = (
    *("time_base", "start_pts", "end_pts", "start_s", "end_s"),
    *("starts_with", "ends_with", "before_s", "after_s"),
)
WRITES = ("id", *PLACE, "effort", "frame_count", "duration_s", *MEASURES, "frames")
READS = (
    *("location", "kind", "asset_id", "duration_s", "rotation"),
    *("segment_start_pts", "segment_end_pts"),
)
# Detectors that need no library of others.
OURS = ("reelmix", "none", "transnet")
# A stream whose frames end earlier than its packets said, by more than both of these, was cut off.
MISSING_SHARE, MISSING_S = 0.1, 1.0


@dataclass(frozen=True)
class SplitShots(Map):
    """A video becomes one row a clip, an image passes as itself; both are decoded once.

    `detector` is one of THRESHOLDS, `threshold` its threshold (none takes the detector's own, named
    there). A gradual transition belongs to neither clip. A boundary nearer than `min_shot_s` to the one
    before it, or to the end, is dropped: a shorter shot is joined with the one behind it, a last one with the
    one before. `trim_s` is cut away at both ends of a shot; one longer than `max_shot_s` is divided evenly,
    or every shot into chunks of `chunk_frames` frames that share `chunk_overlap` (then frames that make no
    whole chunk are in no clip). `effort`: see `effort.Frames`; a row's own says which one it was. `frame_px`
    is the long side of the stored frames, `blur_px` of the luma that blur is judged on. `codec_vectors` has
    the decoder hand out motion vectors, for `codec_motion`. Times are
    presentation times; a clip ends where the next frame begins, the last where its last frame ends. Fails
    rows with a word of `media.REASONS`.
    """

    reads: ClassVar[tuple[str, ...]] = READS
    writes = WRITES
    version = 5

    detector: Literal[
        "reelmix", "adaptive", "content", "histogram", "hash", "threshold", "none", "transnet"
    ] = "reelmix"
    threshold: float | None = None
    effort: Effort = "exact"
    min_shot_s: float = 0.2
    max_shot_s: float = 60.0
    trim_s: float = 0.0
    chunk_frames: int = 0
    chunk_overlap: int = 1
    frames_per_clip: int = 8
    frame_px: int = 256
    frame_quality: int = 90
    blur_px: int = 512
    codec_vectors: bool = False

    def __post_init__(self) -> None:
        if THRESHOLDS[self.detector] is None and self.threshold is not None:
            raise RecipeError(f"split.threshold: the detector {self.detector!r} has none; leave it out")
        within(self, "split", min_shot_s=(0, math.inf), max_shot_s=(0.1, math.inf), frames_per_clip=(1, 1000))
        within(self, "split", trim_s=(0, math.inf), chunk_frames=(0, 100_000), chunk_overlap=(0, math.inf))
        within(self, "split", frame_px=(16, 4096), frame_quality=(1, 100), blur_px=(16, 4096))
        if self.min_shot_s > self.max_shot_s:
            raise RecipeError(
                f"split.min_shot_s is {self.min_shot_s}, expected at most max_shot_s = {self.max_shot_s}"
            )
        if self.chunk_frames and self.chunk_overlap >= self.chunk_frames:
            raise RecipeError(
                f"split.chunk_overlap is {self.chunk_overlap}, expected less than "
                f"chunk_frames = {self.chunk_frames}"
            )

    @property
    def active(self) -> bool:
        return self.detector != "transnet"

    def identity(self) -> dict[str, Any]:
        """The libraries whose arithmetic decides the result."""
        theirs = () if self.detector in OURS else ("scenedetect-headless",)
        names = ("av", "numpy", "opencv-python-headless", "pillow", *theirs)
        return {name: metadata.version(name) for name in names}

    @property
    def used_threshold(self) -> float | None:
        """The detector's own threshold where the recipe names none."""
        return THRESHOLDS[self.detector] if self.threshold is None else self.threshold

    def settings(self) -> dict[str, Any]:
        """The settings; the threshold as it is used, and of chunks and longest shots what is."""
        unused = "max_shot_s" if self.chunk_frames else "chunk_overlap"
        return {**super().settings(), "threshold": self.used_threshold, unused: None}

    def open(self) -> Work:
        settings = asdict(self)

        def split(row: Row) -> Iterator[Row]:
            if row["kind"] not in ("video", "image"):
                raise RowError(
                    "unsupported_kind",
                    f"split takes video and image, this is {row['kind']}; reject it by a rule",
                )
            decoder = child.decoder()
            deadline_s = decoder.limits.deadline_for(row["duration_s"])
            asset = {name: row[name] for name in self.reads}
            yield from decoder.call(
                "split", deadline_s=deadline_s, asset=asset, settings=settings
            ).to_pylist()

        return per_row(split, self.writes)


@dataclass(frozen=True)
class SplitByModel(SplitShots):
    """SplitShots by the boundaries that a model found in the tiny frames of the stages before."""

    reads = (*READS, "tiny_pts", "shot_odds")

    @property
    def active(self) -> bool:
        return self.detector == "transnet"


def measure(limits: Limits, *, asset: Mapping[str, Any], settings: Mapping[str, Any]) -> pa.Table:
    """The rows of one asset or segment (columns WRITES); runs in the decode child. Raises RowError with a
    word of `media.REASONS`."""
    chosen = SplitShots(**settings)
    if asset["kind"] == "image":
        from stages.split.still import image_row

        return columns.table([image_row(limits, asset, chosen)], WRITES)
    from stages.split.watch import run_through

    film = run_through(limits, asset, chosen)
    _whole(film.seconds, asset["duration_s"])
    if asset["segment_start_pts"] not in (None, film.frames.pts[0]):
        raise RowError("decode_error", "the segment does not begin with the key frame that was to begin it")
    if not film.clips:
        raise RowError("too_short", "no shot has the frames of one chunk, or more than is trimmed")
    base, id_ = film.time_base, asset["asset_id"]
    effort = film.frames.effort
    if effort == "fast" and film.frames.complete:
        effort = "exact"
    of_all = {"time_base": f"{base.numerator}/{base.denominator}", "effort": effort}
    rows = [{"id": clip_id(id_, clip["start_pts"], clip["end_pts"]), **of_all, **clip} for clip in film.clips]
    return columns.table(rows, WRITES)


def _whole(decoded_s: float, expected_s: float | None) -> None:
    missing_s = (expected_s or 0.0) - decoded_s
    if missing_s > MISSING_S and missing_s > MISSING_SHARE * (expected_s or 0.0):
        raise RowError("truncated", f"{decoded_s:.1f} of {expected_s:.1f} s could be decoded")

"""The step split: one decode of an asset finds its shots, measures them, and stores a few small frames of
each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib import metadata
from typing import Any, Literal

import pyarrow as pa

from manifests import columns
from manifests.errors import RowError
from manifests.ids import clip_id
from stages import child
from stages.base import Map, Row, Work, per_row, within
from stages.media import Limits

MEASURES = ("luma_mean", "detail", "black_share", "blur", "motion", "freeze_share", "content_hash")
PLACE = ("shot_index", "time_base", "start_pts", "end_pts", "start_s", "end_s", "starts_with", "ends_with")
WRITES = ("id", *PLACE, "frame_count", "duration_s", *MEASURES, "frames")
# A stream whose frames end earlier than its packets said, by more than both of these, was cut off.
MISSING_SHARE, MISSING_S = 0.1, 1.0


@dataclass(frozen=True)
class SplitShots(Map):
    """A video becomes one row a clip, an image passes as itself; both are decoded once, whole.

    `detector` is one of `detect.THRESHOLDS`, `threshold` its threshold (none takes the detector's own, named
    there). A cut nearer than `min_shot_s` to the boundary before it, or to the end, is dropped; a shot longer
    than `max_shot_s` is divided evenly. `frame_px` is the long side of the stored frames, `blur_px` of the
    luma that blur is judged on. Times are presentation times; a clip ends where the next frame begins, the
    last where its last frame ends. Fails rows with a word of `media.REASONS`.
    """

    reads = ("location", "kind", "asset_id", "duration_s", "rotation")
    writes = WRITES

    detector: Literal["adaptive", "content", "histogram", "hash", "threshold", "none"] = "adaptive"
    threshold: float | None = None
    min_shot_s: float = 0.6
    max_shot_s: float = 60.0
    frames_per_clip: int = 8
    frame_px: int = 256
    frame_quality: int = 90
    blur_px: int = 512

    def __post_init__(self) -> None:
        within(self, "split", min_shot_s=(0, math.inf), max_shot_s=(0.1, math.inf), frames_per_clip=(1, 1000))
        within(self, "split", frame_px=(16, 4096), frame_quality=(1, 100), blur_px=(16, 4096))

    def identity(self) -> dict[str, Any]:
        """The libraries whose arithmetic decides the result."""
        return {
            name: metadata.version(name)
            for name in ("av", "opencv-python-headless", "scenedetect-headless", "pillow")
        }

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


def measure(limits: Limits, *, asset: Mapping[str, Any], settings: Mapping[str, Any]) -> pa.Table:
    """The rows of one asset (columns WRITES); runs in the decode child. Raises RowError with a word of
    `media.REASONS`."""
    chosen = SplitShots(**settings)
    if asset["kind"] == "image":
        from stages.split.still import image_row

        return columns.table([image_row(limits, asset, chosen)], WRITES)
    from stages.split.film import run_through

    film = run_through(limits, asset, chosen)
    _whole(film.seconds, asset["duration_s"])
    return columns.table(_rows(asset, film, chosen), WRITES)


def _whole(decoded_s: float, expected_s: float | None) -> None:
    missing_s = (expected_s or 0.0) - decoded_s
    if missing_s > MISSING_S and missing_s > MISSING_SHARE * (expected_s or 0.0):
        raise RowError("truncated", f"{decoded_s:.1f} of {expected_s:.1f} s could be decoded")


def _rows(asset: Mapping[str, Any], film: Any, chosen: SplitShots) -> Sequence[dict[str, Any]]:
    base: Fraction = film.time_base
    rows: list[dict[str, Any]] = []
    for index, span in enumerate(film.spans()):
        start, end = film.pts_of(span.first), film.pts_of(span.end)
        rows.append(
            {
                "id": clip_id(asset["asset_id"], start, end),
                "shot_index": index,
                "time_base": f"{base.numerator}/{base.denominator}",
                "start_pts": start,
                "end_pts": end,
                "start_s": float(start * base),
                "end_s": float(end * base),
                "starts_with": span.starts_with,
                "ends_with": span.ends_with,
                "frame_count": span.end - span.first,
                "duration_s": float((end - start) * base),
                **film.measured(span),
            }
        )
    return rows

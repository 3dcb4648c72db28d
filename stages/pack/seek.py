"""Where reading begins for a clip, and which clips of a video are so near that they are read in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from stages import media
from stages.base import Row

# Reading starts at the last key frame before this time ahead of the clip; what comes too early is dropped.
SEEK_MARGIN_S = Fraction(1, 2)
# Clips with a longer gap between them are sought one by one: a seek costs a process and, as groups of
# pictures go, the decoding of some seconds.
FAR_S = 10
# Bounds what a hang costs, since deadlines grow with the seconds that are read.
RUN_S = 180.0


def seek_s(row: Row) -> Fraction | None:
    """Where to seek to for a clip, in seconds; null for the beginning. `row` holds format and its place."""
    if row["format"] not in media.SEEKABLE:
        return None
    at = Fraction(row["time_base"]) * row["start_pts"] - SEEK_MARGIN_S
    return at if at > 0 else None


def runs(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    """Clips of one video, in the order of time, in runs that are read in one go: at most `most` clips, and in
    a container that can be sought in, none far from the one before."""
    run: list[Row] = []
    for row in sorted(rows, key=lambda row: (row["start_pts"], row["end_pts"], row["id"])):
        if run and (len(run) >= most or _far(run, row)):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _far(run: list[Row], row: Row) -> bool:
    if row["format"] not in media.SEEKABLE:
        return False
    gap_s = row["start_s"] - max(before["end_s"] for before in run)
    return bool(gap_s > FAR_S or row["end_s"] - run[0]["start_s"] > RUN_S)

"""The proof of a written clip: decoded alone, its frames are as many as they should be, and shown when they
should be; runs inside the guarded decode child."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import av
import av.logging
import pyarrow as pa

from manifests.errors import RowError
from stages import media

if TYPE_CHECKING:
    import av.container

How = Literal["decode", "packets"]


def prove(
    limits: media.Limits, *, location: Mapping[str, Any], frames: int, length_s: str, how: How
) -> pa.Table:
    """One row (frames) for a clip that is what it should be: `frames` of them, the first at zero, the last
    begun before `length_s` (a fraction).

    `decode` decodes every frame, and takes no damage and no complaint of the decoder; `packets` opens the
    file and reads its packets only. The first frame may come late by half a frame, as where a container tells
    no times and guesses differ. Raises RowError `cut_mismatch`, or as `media.open_video` does.
    """
    length, found = Fraction(length_s), list[Fraction]()
    with _complaints() as said, media.open_video(location, limits) as container:
        found = sorted(_decoded(container) if how == "decode" else _packed(container))
    if said:
        raise RowError("cut_mismatch", f"the clip does not decode clean: {said[0][2].strip()}")
    if len(found) != frames:
        raise RowError("cut_mismatch", f"the clip was cut to {len(found)} frames, expected {frames}")
    if abs(found[0]) > length / frames / 2:
        raise RowError("cut_mismatch", f"the clip's first frame is at {float(found[0]):.3f} s, expected 0")
    if found[-1] >= length:
        late = f"{float(found[-1]):.3f} s, expected before {float(length):.3f} s"
        raise RowError("cut_mismatch", f"the clip's last frame is at {late}")
    return pa.table({"frames": [len(found)]})


def _decoded(container: av.container.InputContainer) -> Iterator[Fraction]:
    stream = media.video_stream(container)
    for frame in container.decode(stream):
        if frame.is_corrupt:
            raise RowError("cut_mismatch", "a frame of the clip is damaged")
        yield _time(frame.pts, frame.time_base)


def _packed(container: av.container.InputContainer) -> Iterator[Fraction]:
    packets = [p for p in container.demux(media.video_stream(container)) if p.size and not p.is_discard]
    if packets and not packets[0].is_keyframe:
        raise RowError("cut_mismatch", "the clip does not begin with a key frame")
    yield from (_time(packet.pts, packet.time_base) for packet in packets)


def _time(pts: int | None, tick: Fraction | None) -> Fraction:
    if pts is None or tick is None:
        raise RowError("cut_mismatch", "a frame of the clip has no time")
    return pts * tick


@contextmanager
def _complaints() -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg's libraries call errors; a decoder that makes do with what it has says it there only."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as said:
            yield said
    finally:
        av.logging.set_level(before)

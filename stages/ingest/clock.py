"""Whether the clock of a container runs on: recordings that were joined byte by byte begin it anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from manifests.errors import RowError

if TYPE_CHECKING:
    import av.container
    import av.packet

# What ffmpeg itself takes for a jump (ts_discontinuity_detect of ffmpeg_demux.c): so far back, so far ahead.
BACK_S, AHEAD_S = 0.1, 10.0


@dataclass
class Clock:
    """The decoding times of a container's sounds and moving pictures, as far as they were read.

    A fall counts within one stream, as streams are interleaved; a pause only where no stream goes on in it.
    In containers whose clock FFmpeg does not know to jump (MP4, Matroska) no pause is too long.
    """

    container: av.container.InputContainer
    by_stream_s: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from av.format import Flags

        jumps: Any = Flags.ts_discont.value
        self._may_jump = bool(self.container.format.flags & jumps)

    def read(self, packet: av.packet.Packet[Any]) -> None:
        """Take the next packet; raises RowError `time_jump`."""
        if not self._may_jump or packet.dts is None or packet.stream.type not in ("video", "audio"):
            return
        at_s = float(packet.dts * packet.time_base)
        before_s = self.by_stream_s.get(packet.stream_index, at_s)
        if at_s < before_s - BACK_S:
            raise _jump(before_s, at_s)
        # A stream that begins late jumps from nowhere: its time before is that of now.
        if at_s > max([before_s, *self.by_stream_s.values()]) + AHEAD_S:
            raise _jump(before_s, at_s)
        self.by_stream_s[packet.stream_index] = at_s


def _jump(before_s: float, at_s: float) -> RowError:
    mend = "re-mux the file (ffmpeg -fflags +genpts -i FILE -c copy NEW.mp4), or encode it anew"
    return RowError("time_jump", f"the clock jumps from {before_s:.1f} s to {at_s:.1f} s; {mend}")

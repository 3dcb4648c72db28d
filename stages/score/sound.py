"""The sound of a clip as samples: a sparse decode of the first audio stream, in the decode child."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from manifests.errors import RowError
from stages import child, media

if TYPE_CHECKING:
    import av
    import av.audio.stream
    import av.container
    import numpy as np

    Samples = np.ndarray[Any, Any]

RATE_HZ = 16_000
# How long before the clip decoding begins: what comes first after a seek is spoilt in codecs that look back
# (80 ms in Opus, RFC 7845; a few packets of AAC and MP3).
LEAD_S = Fraction(1, 2)
# Times in a container are rounded, to whole milliseconds in Matroska; only what is further off is a gap.
SLACK_S = Fraction(1, 10)
# A mono downmix with less of the power of a side than this lost it to cancelling: sound of one side alone
# keeps a quarter.
CANCELLED = 0.01


def heard(location: Mapping[str, Any], start_s: float, end_s: float) -> Samples:
    """The sound between two times of a file: int16, mono, 16 kHz; zeros where the stream has none. Where the
    left and the right cancel each other in the downmix (CANCELLED), the louder of them.

    Raises RowError with a word of `media.REASONS`.
    """
    import numpy

    decoder = child.decoder()
    # Where seeks lead astray, all is decoded up to the end.
    deadline_s = decoder.limits.deadline_for(end_s)
    table = decoder.call("sound", deadline_s=deadline_s, location=location, start_s=start_s, end_s=end_s)
    return numpy.frombuffer(table["samples"][0].as_py(), numpy.int16)


def store(limits: media.Limits, *, location: Mapping[str, Any], start_s: float, end_s: float) -> pa.Table:
    """One row (samples, as bytes); runs in the decode child. See `heard`."""
    tape = _Tape(start_s, end_s)
    with media.open_video(location, limits) as container:
        done = tape.record(container, seeks=True)
    if not done:
        with media.open_video(location, limits) as container:
            tape.record(container, seeks=False)
    return pa.table({"samples": [_one(tape.samples).tobytes()]})


def _one(samples: Samples) -> Samples:
    """The downmix of what was recorded or, where it lost the sound, the louder side."""
    import numpy

    downmix, *sides = (float(numpy.square(one, dtype=numpy.float32).sum()) for one in samples)
    heard: Samples = samples[0 if downmix >= CANCELLED * max(sides) else 1 + int(numpy.argmax(sides))]
    return heard


class _Tape:
    """The samples (3, n) between two times, as far as they were recorded: the mono downmix, and the left
    and the right of the stereo downmix."""

    def __init__(self, start_s: float, end_s: float) -> None:
        import numpy

        self._start, self._end = Fraction(start_s), Fraction(end_s)
        self.samples = numpy.zeros((3, round((end_s - start_s) * RATE_HZ)), numpy.int16)
        self._at: int | None = None

    def record(self, container: av.container.InputContainer, *, seeks: bool) -> bool:
        """Put down what the container holds between the times; false when a seek led behind the first."""
        stream = media.audio_stream(container)
        if seeks and not self._sought(container, stream):
            return False
        resampled = _resampled(_frames(container, stream))
        for number, (time, samples) in enumerate(resampled):
            if number == 0 and seeks and time is not None and time > self._start:
                return False
            self._put(time, samples)
            if time is not None and time >= self._end:
                break
        return True

    def _sought(self, container: av.container.InputContainer, stream: av.audio.stream.AudioStream) -> bool:
        """Whether a seek led somewhere; where it does not, the container says so."""
        import av

        if container.format.name.split(",")[0] not in media.SEEKABLE:
            return False
        base = Fraction(stream.time_base or Fraction(1, RATE_HZ))
        try:
            container.seek(math.floor((self._start - LEAD_S) / base), stream=stream)
        except av.error.FFmpegError:
            return False
        return True

    def _put(self, time: Fraction | None, samples: Samples) -> None:
        told = None if time is None else math.floor((time - self._start) * RATE_HZ + Fraction(1, 2))
        at = told or 0 if self._at is None else self._at
        if told is not None and abs(told - at) > SLACK_S * RATE_HZ:
            at = told
        self._at = at + samples.shape[1]
        begin, end = max(at, 0), min(self._at, self.samples.shape[1])
        if begin < end:
            self.samples[:, begin:end] = samples[:, begin - at : end - at]


def _frames(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream
) -> Iterator[av.AudioFrame]:
    """The frames from here on; packets that are damaged are left out, unless all are."""
    import av

    given, refused = 0, 0
    for packet in container.demux(stream):
        try:
            frames = stream.decode(packet)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            refused += 1
            continue
        given += len(frames)
        yield from frames
    if refused and not given:
        raise RowError("decode_error", f"none of {refused} packets of sound can be decoded")


def _resampled(frames: Iterator[av.AudioFrame]) -> Iterator[tuple[Fraction | None, Samples]]:
    """Pieces of sound with the times at which they begin; a stream may change its format midway."""
    from av.audio.resampler import AudioResampler

    mono, stereo, before = AudioResampler(), AudioResampler(), None
    for frame in frames:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != before:
            yield from map(_piece, mono.resample(None), stereo.resample(None))
            mono = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            stereo, before = AudioResampler(format="s16p", layout="stereo", rate=RATE_HZ), kind
        yield from map(_piece, mono.resample(frame), stereo.resample(frame))
    yield from map(_piece, mono.resample(None), stereo.resample(None))


def _piece(mono: av.AudioFrame, stereo: av.AudioFrame) -> tuple[Fraction | None, Samples]:
    """Its time, and the samples as `_Tape` holds them."""
    import numpy

    time = None if mono.pts is None or mono.time_base is None else mono.pts * mono.time_base
    return time, numpy.vstack([mono.to_ndarray().reshape(1, -1), stereo.to_ndarray()])

"""Media with sound that is known, written on the spot."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

CODECS = {".mp4": "aac", ".mkv": "libopus", ".ts": "mp2", ".avi": "pcm_s16le"}
RATE_HZ = 48_000


def tone(seconds: float, hertz: float = 440.0, rate_hz: int = 16_000, loud: int = 8000) -> Any:
    """A sine as int16."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (loud * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def with_sound(
    path: Path, samples: Any, *, rate_hz: int = RATE_HZ, starts_s: float = 0.0, layout: str = "mono"
) -> Path:
    """A gray video of the sound's length with the sound (samples, or channels of them), which begins so late
    in it."""
    channels = np.atleast_2d(samples)
    seconds = channels.shape[1] / rate_hz + starts_s
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(CODECS[path.suffix], rate=rate_hz, layout=layout)
        for _ in range(round(10 * seconds)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8))))
        container.mux(video.encode(None))
        size = sound.codec_context.frame_size or 1024
        for begin in range(0, channels.shape[1], size):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(channels[:, begin : begin + size]), "s16p", layout
            )
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = begin + round(starts_s * rate_hz)
            for made in _as(sound, frame):
                container.mux(sound.encode(made))
        container.mux(sound.encode(None))
    return path


def spoilt(path: Path) -> Path:
    """An MP4 file with every packet of sound overwritten by what no decoder of AAC takes."""
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.audio[0]):
            if packet.pos is not None:
                content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(content)
    return path


def _as(sound: Any, frame: av.AudioFrame) -> list[av.AudioFrame]:
    """A frame in the format of an encoder."""
    context = sound.codec_context
    return list(av.AudioResampler(context.format, context.layout, context.sample_rate).resample(frame))

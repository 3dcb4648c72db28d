"""How much of a clip is speech, by silero-vad over its sound."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import RowError
from stages.base import Map, Row, Work, per_row, within
from stages.models import weights
from stages.score.sound import heard

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DIGITS = 6
# What says that the sound itself is none; of all else (a deadline, a crash) a later try may make sense of it.
UNHEARD = ("decode_error", "codec_not_allowed")
log = logging.getLogger(__name__)
# What the network hears at once: 32 ms, and before them the last 4 ms; and how often in one call.
WINDOW, BEFORE, WINDOWS = 512, 64, 512
# Sound that is held at once, in whole windows: a clip may be as long as a film.
PIECE_S = 600


@dataclass(frozen=True)
class HearSpeech(Map):
    """The share of a video clip's time in which somebody speaks: of its windows of 32 ms, those whose odds of
    speech reach `speech_threshold`.

    silero-vad (Silero Team, 2021), with the weights that its package carries, by ONNX Runtime on one thread;
    0.5 is its own threshold. Reads each file once more, the sound alone. Null for an image, for a file
    without sound, and for sound that cannot be decoded (UNHEARD): the pictures may be good all the same.
    Rounded to six digits. Fails rows with any other word of `media.REASONS`.
    """

    reads = ("location", "kind", "audio", "start_s", "end_s")
    writes = ("speech_share",)
    version = 3

    speech: bool = False
    speech_threshold: float = 0.5

    def __post_init__(self) -> None:
        within(self, "score", speech_threshold=(0, 1))

    @property
    def active(self) -> bool:
        return self.speech

    @property
    def model_label(self) -> str:
        return "silero-vad"

    def identity(self) -> dict[str, Any]:
        libraries = {name: metadata.version(name) for name in ("av", "onnxruntime")}
        return {"weights": weights.digest_of(_weights()), **libraries}

    def check(self) -> None:
        """Raises RecipeError when the weights are not installed."""
        _weights()

    def open(self) -> Work:
        listen, told = listener(), []

        def share(row: Row) -> Iterable[Row]:
            if row["kind"] != "video" or row["audio"] is None:
                return [{"speech_share": None}]
            try:
                odds = listen(_pieces(row))
            except RowError as error:
                if error.reason not in UNHEARD:
                    raise
                told.append(row["id"])
                if len(told) == 1:
                    log.warning(
                        "the sound of %s cannot be decoded (%s): its speech_share is null, and so "
                        "is that of others like it",
                        row["id"],
                        error,
                    )
                return [{"speech_share": None}]
            found = (odds >= self.speech_threshold).mean() if len(odds) else None
            return [{"speech_share": None if found is None else round(float(found), DIGITS)}]

        return per_row(share, self.writes)


def listener() -> Callable[[Iterable[Array]], Array]:
    """Opens the network; the work gives the odds of speech (windows,) in sound of int16 at 16 kHz.

    Sound comes in pieces, all but the last of whole windows; the last window is filled with silence.
    """
    import numpy
    import onnxruntime  # type: ignore[import-untyped]  # It ships no types.

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_weights(), options, providers=["CPUExecutionProvider"])

    def odds(pieces: Iterable[Array]) -> Array:
        hidden = cell = numpy.zeros((1, 1, 128), numpy.float32)
        last = numpy.zeros((1, BEFORE), numpy.float32)
        found = [numpy.empty(0, numpy.float32)]
        for windows in (block for piece in pieces for block in _blocks(piece)):
            before = numpy.concatenate([last, windows[:-1, -BEFORE:]])
            last = windows[-1:, -BEFORE:]
            given = {"input": numpy.hstack([before, windows]), "h": hidden, "c": cell}
            some, hidden, cell = session.run(["speech_probs", "hn", "cn"], given)
            found.append(some.reshape(-1))
        return numpy.concatenate(found)

    return odds


def _blocks(sound: Array) -> Iterator[Array]:
    """Float32 windows (up to WINDOWS, WINDOW) of -1 to 1, the last one filled with silence."""
    import numpy

    for begin in range(0, len(sound), WINDOWS * WINDOW):
        some = sound[begin : begin + WINDOWS * WINDOW]
        filled = numpy.zeros((-(-len(some) // WINDOW), WINDOW), numpy.float32)
        filled.reshape(-1)[: len(some)] = some / numpy.float32(32768)
        yield filled


def _pieces(row: Row) -> Iterator[Array]:
    begin = row["start_s"]
    while begin < row["end_s"]:
        end = min(begin + PIECE_S, row["end_s"])
        yield heard(row["location"], begin, end)
        begin = end


def _weights() -> Path:
    return weights.packaged("silero_vad", "data/silero_vad_16k_sequence.onnx")

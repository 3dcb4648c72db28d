"""Speech: the odds are silero's own, what is no speech is none, and broken sound costs no clip."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages.media import REASONS, Limits
from stages.score.sound import store
from stages.score.speech import HearSpeech, listener
from tests.stages.conftest import draw
from tests.stages.score.sounds import spoilt, tone, with_sound


@pytest.fixture(scope="module")
def listen() -> Any:
    return listener()


@pytest.fixture(scope="session")
def speech(real_media: Path) -> Any:
    """Eleven seconds of a speech, as a file's own samples at 16 kHz."""
    path = real_media / "whisper" / "tests" / "jfk.flac"
    if not path.is_file():
        pytest.skip("the speech is absent: expected at ../shared/media/whisper/tests/jfk.flac")
    location = {"path": str(path), "offset": None, "size": None}
    table = store(Limits(), location=location, start_s=0.0, end_s=11.0)
    return np.frombuffer(table["samples"][0].as_py(), np.int16)


def clips(*given: tuple[Path, float, float], **more: Any) -> pa.Table:
    """Rows of clips of files with sound."""
    rows = [
        {"id": f"{n:032x}", "kind": "video", "audio": "aac", "start_s": start, "end_s": end, **more}
        | {"location": {"path": str(path), "offset": None, "size": None}}
        for n, (path, start, end) in enumerate(given)
    ]
    return columns.table(rows, ["id", *HearSpeech.reads])


def test_the_odds_are_those_of_silero(listen: Any, speech: Any) -> None:
    """Window by window, and the share is near that of its time stamps, which are padded and joined."""
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad

    model = load_silero_vad(onnx=True)
    sound = torch.from_numpy(speech.astype(np.float32) / 32768)
    whole = torch.nn.functional.pad(sound, (0, -len(sound) % 512))
    expected = [model(window, 16_000).item() for window in whole.split(512)]
    found = listen([speech])
    assert expected == pytest.approx(found.tolist(), abs=1e-6)
    told = sum(span["end"] - span["start"] for span in get_speech_timestamps(sound, model)) / len(sound)
    assert told == pytest.approx((found >= 0.5).mean(), abs=0.05)


def test_pieces_make_no_difference(listen: Any, speech: Any) -> None:
    """A film is heard in pieces of whole windows."""
    pieces = [speech[: 512 * 7], speech[512 * 7 : 512 * 8], speech[512 * 8 :]]
    assert listen([speech]).tolist() == listen(pieces).tolist()
    assert 0 == len(listen([]))


def test_silence_and_a_tone_are_no_speech(tmp_path: Path) -> None:
    """Not for any window; nor is the silence behind sound that ends early."""
    silence = with_sound(tmp_path / "silence.mp4", np.zeros(96_000, np.int16))
    hum = with_sound(tmp_path / "tone.mp4", tone(2, 440, 48_000))
    found = HearSpeech(speech=True).open()(clips((silence, 0, 2), (hum, 0, 2), (hum, 1, 9)))
    assert [0.0, 0.0, 0.0] == found["speech_share"].to_pylist()


def test_a_clip_has_the_share_of_its_own_time(listen: Any, speech: Any, tmp_path: Path) -> None:
    """In a video of two seconds of silence and then the speech; alone it is what it is among others."""
    silence = np.zeros(32_000, np.int16)
    wide = np.repeat(np.concatenate([silence, speech]), 3)
    path = with_sound(tmp_path / "a.mp4", wide)
    table = clips((path, 0.0, 2.0), (path, 2.0, 13.0), (path, 0.0, 13.0))
    hear = HearSpeech(speech=True).open()
    found = hear(table)["speech_share"].to_pylist()
    share = float((listen([speech]) >= 0.5).mean())
    assert [0.0, share, share * 11 / 13] == pytest.approx(found, abs=0.03)
    for n in range(len(table)):
        assert [found[n]] == hear(table.slice(n, 1))["speech_share"].to_pylist()


def test_what_has_no_sound_is_null_and_not_opened(tmp_path: Path) -> None:
    """Images, and videos whose facts name no sound."""
    nowhere = tmp_path / "nowhere.mp4"
    hear = HearSpeech(speech=True).open()
    for more in ({"kind": "image"}, {"audio": None}):
        found = hear(clips((nowhere, 0.0, 1.0), **more))
        assert [(None, None)] == [(row["speech_share"], row["error"]) for row in found.to_pylist()]


def test_sound_that_cannot_be_decoded_costs_no_clip(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its share is null, which is said once; a file that is gone fails, to be tried again."""
    broken = spoilt(with_sound(tmp_path / "a.mp4", tone(2, 440, 48_000)))
    silent = draw(tmp_path / "silent.mp4")
    hear = HearSpeech(speech=True).open()
    with caplog.at_level(logging.WARNING):
        found = hear(clips((broken, 0, 1), (silent, 0, 1), (tmp_path / "gone.mp4", 0, 1))).to_pylist()
    assert [None, None, None] == [row["speech_share"] for row in found]
    errors = [row["error"] and row["error"].partition(":")[0] for row in found]
    assert [None, None, "unreadable"] == errors
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.startswith(f"the sound of {0:032x} cannot be decoded (decode_error: none of")


@pytest.mark.parametrize("reason", REASONS)
def test_only_the_sound_itself_makes_null(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """A deadline, a crash or want of memory fails the row: retry finds it, and no null stands for good."""

    def refused(*_: object) -> None:
        raise RowError(reason, "a test")

    monkeypatch.setattr("stages.score.speech.heard", refused)
    (found,) = HearSpeech(speech=True).open()(clips((Path("a.mp4"), 0.0, 1.0))).to_pylist()
    null = reason in ("decode_error", "codec_not_allowed")
    assert (None, None if null else f"{reason}: a test") == (found["speech_share"], found["error"])


def test_settings() -> None:
    """Off as delivered; the threshold is part of the measure."""
    assert (False, True) == (HearSpeech().active, HearSpeech(speech=True).active)
    HearSpeech(speech=True).check()
    with pytest.raises(RecipeError, match=r"score\.speech_threshold is -1\.0, expected 0 to 1"):
        HearSpeech(speech_threshold=-1.0)

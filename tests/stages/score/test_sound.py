"""The sound between two times: what was written there, whatever container it lies in."""

from pathlib import Path

import av
import numpy as np
import pytest

from manifests.errors import RowError
from stages.media import Limits
from stages.score.sound import RATE_HZ, heard, store
from tests.stages.conftest import draw
from tests.stages.score.sounds import CODECS, spoilt, tone, with_sound


def sound(path: Path, start_s: float, end_s: float) -> np.ndarray:
    """In this process, what the decode child would say."""
    location = {"path": str(path), "offset": None, "size": None}
    table = store(Limits(), location=location, start_s=start_s, end_s=end_s)
    return np.frombuffer(table["samples"][0].as_py(), np.int16)


def pitch_hz(samples: np.ndarray) -> float:
    """The strongest frequency."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples))


@pytest.mark.parametrize("suffix", CODECS)
def test_each_second_has_its_own_tone(tmp_path: Path, suffix: str) -> None:
    """Second n of 6 is a tone of 300 + 100 n Hz: a clip of second 4 is that tone and no other."""
    whole = np.concatenate([tone(1, 300 + 100 * n, 48_000) for n in range(6)])
    path = with_sound(tmp_path / f"a{suffix}", whole)
    with av.open(str(path)) as container:
        begins_s = float(container.streams.audio[0].start_time * container.streams.audio[0].time_base)
    for second in (0, 4):
        found = sound(path, begins_s + second + 0.1, begins_s + second + 0.9)
        assert round(0.8 * RATE_HZ) == len(found)
        assert 300 + 100 * second == pytest.approx(pitch_hz(found), abs=3)
        # Without a gap or a click: the tone, and next to nothing besides.
        assert 8000 / np.sqrt(2) == pytest.approx(np.sqrt(np.square(found.astype(float)).mean()), rel=0.1)


@pytest.mark.parametrize("suffix", CODECS)
def test_a_sparse_decode_is_a_part_of_the_whole(tmp_path: Path, suffix: str) -> None:
    """The same sound as in one pass over the file, to a millisecond, as Matroska's times are."""
    rng = np.random.default_rng(0)
    noise = np.convolve(rng.normal(0, 4000, 6 * 48_000), np.ones(200) / 15, "same").astype(np.int16)
    path = with_sound(tmp_path / f"a{suffix}", noise)
    whole, part = sound(path, 0, 6).astype(int), sound(path, 3.25, 5.25)
    starts = range(round(3.249 * RATE_HZ), round(3.251 * RATE_HZ))
    errors = [np.abs(whole[start : start + len(part)] - part).mean() for start in starts]
    assert min(errors) < 0.1 * np.abs(part.astype(int)).mean()


def test_sound_that_begins_late_or_ends_early_is_silence_there(tmp_path: Path) -> None:
    """A tone from second 2 to 4: nothing before, nothing behind."""
    path = with_sound(tmp_path / "a.mkv", tone(2, 440, 48_000), starts_s=2.0)
    found = np.abs(sound(path, 0, 6).astype(int)).reshape(6, RATE_HZ).mean(1)
    assert found[[0, 1, 4, 5]].max() < 10
    assert found[2:4].min() > 4000
    assert 0 == np.abs(sound(path, 0.5, 1.5)).max()


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize(
    ("layout", "shares", "expected"),
    [
        ("mono", [1], 1),
        ("stereo", [1, 1], 1),
        ("stereo", [1, 0], 1 / 2),
        ("stereo", [1, -1], 1),
        ("stereo", [0.7, -0.8], 0.8),
        ("stereo", [1, -0.5], 1 / 4),
    ],
)
def test_what_is_heard_of_several_channels(
    tmp_path: Path, suffix: str, layout: str, shares: list[float], expected: float
) -> None:
    """The mean; where that is next to nothing, because what one channel says the other
    takes back, the louder of them."""
    one = tone(2, 440, 48_000)
    channels = np.stack([np.round(share * one).astype(np.int16) for share in shares])
    path = with_sound(tmp_path / f"a{suffix}", channels, layout=layout)
    found = sound(path, 0.5, 1.5).astype(float)
    assert expected * 8000 / np.sqrt(2) == pytest.approx(np.sqrt(np.square(found).mean()), rel=0.1)


def test_the_child_does_it(tmp_path: Path) -> None:
    """With what it was told of time and place."""
    path = with_sound(tmp_path / "a.mp4", tone(2, 440, 48_000))
    found = heard({"path": str(path), "offset": None, "size": None}, 0.5, 1.5)
    assert (RATE_HZ, 440) == (len(found), round(pitch_hz(found)))


def test_files_without_sound_and_files_that_are_none(tmp_path: Path) -> None:
    """Each has its word."""
    (tmp_path / "text.mp4").write_text("no video")
    for path, reason in (
        (draw(tmp_path / "silent.mp4"), "decode_error"),
        (tmp_path / "text.mp4", "not_media"),
        (tmp_path / "nowhere.mp4", "unreadable"),
    ):
        with pytest.raises(RowError, match=reason):
            sound(path, 0, 1)


def test_sound_that_cannot_be_decoded_is_told(tmp_path: Path) -> None:
    """Where every packet is refused there is no silence, but an error."""
    path = spoilt(with_sound(tmp_path / "a.mp4", tone(2, 440, 48_000)))
    with pytest.raises(RowError, match=r"decode_error: none of \d+ packets of sound"):
        sound(path, 0, 1)

"""The proof of a written clip finds what is missing, early, late or damaged."""

from pathlib import Path
from typing import Any

import pytest

from manifests.errors import RowError
from stages import child
from tests.stages.pack.clips import EVEN, counter


def proved(content: bytes, *, frames: int = 50, length_s: str = "2", how: str = "decode") -> int:
    decoder = child.decoder()
    where: dict[str, Any] = decoder.lent(content)
    table = decoder.call("prove", deadline_s=30, location=where, frames=frames, length_s=length_s, how=how)
    found: int = table["frames"][0].as_py()
    return found


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return counter(tmp_path / "a.mp4", EVEN[:50], gop=25).read_bytes()


@pytest.mark.parametrize("how", ["decode", "packets"])
def test_a_right_clip_is_proved(content: bytes, how: str) -> None:
    """Fifty frames within two seconds; bytes that were lent before leave no trace."""
    assert [50, 50] == [proved(content, how=how) for _ in range(2)]
    with pytest.raises(RowError, match="not_media"):
        proved(content[:100], how=how)


@pytest.mark.parametrize("how", ["decode", "packets"])
@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"frames": 51}, "cut to 50 frames, expected 51"),
        ({"frames": 49}, "cut to 50 frames, expected 49"),
        ({"length_s": "49/25"}, "last frame is at 1.960 s, expected before 1.960 s"),
    ],
)
def test_frames_are_counted_and_timed(content: bytes, how: str, expected: dict[str, Any], words: str) -> None:
    """One too few, one too many, one that begins when the clip should have ended."""
    with pytest.raises(RowError, match=f"cut_mismatch: .*{words}"):
        proved(content, how=how, **expected)


def test_a_late_first_frame_is_found(tmp_path: Path) -> None:
    """A clip that begins with half a second of nothing is not the clip."""
    content = counter(tmp_path / "a.mp4", [300 + time for time in EVEN[:50]]).read_bytes()
    with pytest.raises(RowError, match=r"cut_mismatch: the clip's first frame is at 0\.500 s, expected 0"):
        proved(content, length_s="5/2")


def test_damage_is_found_by_decoding(content: bytes) -> None:
    """A damaged picture has its place and its time: only the decoder knows."""
    damaged = bytearray(content)
    place = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 3
    damaged[place : place + 60] = bytes(255 - value for value in damaged[place : place + 60])
    with pytest.raises(RowError, match=r"cut_mismatch|decode_error"):
        proved(bytes(damaged))

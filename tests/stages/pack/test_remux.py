"""Clips that are copied: no foreign frame, none broken, errors told, words for what cannot be copied."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import RowError
from stages import child
from stages.pack.remux import closed
from tests.stages.pack.clips import (
    EVEN,
    UNEVEN,
    all_packed,
    clip,
    clips,
    counter,
    encoded,
    ffmpeg,
    frames_of,
    numbers_of,
    packed,
)

X264 = ("-c:v", "libx264", "-g", 25, "-sc_threshold", 0)
X265 = (
    "-c:v",
    "libx265",
    "-g",
    25,
    "-x265-params",
    "log-level=none:bframes=4:b-adapt=0:scenecut=0:open-gop=1",
)
VP9 = ("-c:v", "libvpx-vp9", "-g", 25, "-deadline", "realtime", "-cpu-used", 8)
AV1 = ("-c:v", "libsvtav1", "-g", 25, "-preset", 12)


@pytest.mark.parametrize(
    ("pts", "end", "expected"),
    [
        ([0, 3, 1, 2], 4, (4, 4)),
        ([0, 3, 1, 2, 6, 4, 5], 6, (4, 4)),
        ([0, 4, 2, 1, 3, 8, 6, 5, 7], 8, (5, 5)),
        ([0, 8, 4, 2, 1, 3, 6, 5, 7], 6, (1, 1)),
        ([5], 9, (1, 9)),
        ([5, 7], 9, (2, 9)),
    ],
)
def test_a_run_of_frames_is_whole(pts: list[int], end: int, expected: tuple[int, int]) -> None:
    """Frames in the order of decoding: those whose references lie beyond the end go with them."""
    assert expected == closed(pts, end)


@given(st.permutations(range(12)), st.integers(1, 14))
def test_a_run_has_no_gap_and_nothing_beyond(order: list[int], end: int) -> None:
    """Whatever the order: the frames before the end of a run are exactly its own."""
    pts = [0, *(one + 1 for one in order)]
    count, until = closed(pts, end)
    assert sorted(pts[:count]) == [one for one in sorted(pts) if one < until]
    assert until <= end


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.mp4", (*X264, "-bf", 0), [(0, 40), (50, 90), None, (100, 150)]),
        ("a.mkv", (*X264, "-bf", 3, "-x264-params", "b-adapt=0:b-pyramid=normal"), None),
        ("a.ts", (*X264, "-bf", 3, "-x264-params", "b-adapt=0"), None),
        ("a.flv", X264, None),
        ("a.mp4", X265, [None, None, None, (100, 150)]),
        ("a.mkv", X265, None),
        ("a.ts", X265, None),
        ("a.webm", VP9, [(0, 40), (50, 90), None, (100, 150)]),
        ("a.mp4", AV1, [(0, 40), (50, 90), None, (100, 150)]),
        ("a.mkv", AV1, [(0, 40), (50, 90), None, (100, 150)]),
    ],
)
def test_copies_show_their_own_frames_only(
    tmp_path: Path, name: str, options: Any, expected: list[tuple[int, int] | None] | None
) -> None:
    """With B-frames, open groups, every container: frames in turn, within the span, as many as the errors
    say, for which no picture was encoded; where no key frame lies within, all of them."""
    path = encoded(tmp_path, name, *options)
    spans = [(0, 40), (40, 90), (91, 97), (100, 150)]
    rows = clips(path, *spans)
    for (first, last), row, made, exactly in zip(
        spans, rows, all_packed(rows, cut="copy"), expected or [None] * 4, strict=True
    ):
        numbers = numbers_of(made["media"])
        late, early = (round(made[f"cut_{end}_error_s"] * 25) for end in ("start", "end"))
        assert list(range(first + late, last + early)) == numbers
        assert exactly is None or exactly == (numbers[0], numbers[-1] + 1)
        assert made["media_how"] == ("encoded: no_key_frame" if first == 91 else "copied")
        assert early <= 0 <= late and late < 25 and early > -9
        with av.open(io.BytesIO(made["media"])) as container:
            assert made["media"].index(b"moov") < made["media"].index(b"mdat")
            assert 0 == container.streams.video[0].start_time
            assert row["id"] and "encoder" not in container.metadata


def test_a_copy_keeps_the_bytes_of_its_packets(tmp_path: Path) -> None:
    """Nothing is encoded: the packets are those of the source, at their distances."""
    path = counter(tmp_path / "a.mp4", UNEVEN, gop=10)
    row = clip(path, 20, 60)
    made, tick = packed(row, cut="copy"), Fraction(row["time_base"])
    with av.open(str(path)) as container:
        source = [(bytes(p), p.pts) for p in container.demux(video=0) if p.size]
    with av.open(io.BytesIO(made["media"])) as container:
        packets = [(bytes(p), p.pts * Fraction(p.time_base)) for p in container.demux(video=0) if p.size]
    first = row["start_pts"] + round(made["cut_start_error_s"] / tick)
    taken = source[[pts for _, pts in source].index(first) :][: len(packets)]
    expected = [(content, (pts - first) * tick) for content, pts in taken]
    assert expected == packets


@pytest.mark.parametrize(
    "params", ["open-gop=1:b-adapt=0:bframes=3:scenecut=0", "intra-refresh=1:bframes=0:scenecut=0"]
)
def test_an_open_group_of_h264_is_no_place_to_begin(tmp_path: Path, params: str) -> None:
    """A key frame that is no refresh promises nothing: later frames may refer across it."""
    path = encoded(tmp_path, "a.mp4", "-c:v", "libx264", "-g", 25, "-x264-params", params)
    first, second = all_packed(clips(path, (0, 40), (40, 90)), cut="copy")
    assert ["copied", "encoded: no_key_frame"] == [first["media_how"], second["media_how"]]
    assert list(range(40, 90)) == numbers_of(second["media"])


def test_what_cannot_be_copied_is_encoded_and_says_why(tmp_path: Path) -> None:
    """Codecs that MP4 does not hold, pictures over the bound, times that nobody told, sounds."""
    path = encoded(tmp_path, "a.mp4", *X264)
    old = encoded(tmp_path, "a.avi", "-c:v", "mpeg4", "-g", 25)
    bare = encoded(tmp_path, "b.avi", *X264, "-bf", 0)
    sound = encoded(tmp_path, "c.mkv", *X264, "-c:a", "libvorbis", sound=("-ac", 2))
    told = [
        packed(clip(old, 0, 40), cut="copy")["media_how"],
        packed(clip(bare, 0, 40), cut="copy")["media_how"],
        packed(clip(path, 0, 40), cut="copy", max_side_px=100)["media_how"],
        packed(clip(sound, 0, 40), cut="copy", audio="keep")["media_how"],
        packed(clip(sound, 0, 40), cut="copy")["media_how"],
        packed(clip(path, 0, 40, frame_count=40), cut="copy")["media_how"],
    ]
    why = ["codec", "times", "picture_size", "audio_codec"]
    assert [*(f"encoded: {word}" for word in why), "copied", "copied"] == told


def test_a_row_that_counts_other_frames_is_not_copied(tmp_path: Path) -> None:
    """Packets that are not as many as the frames that were seen: something is read wrong."""
    path = encoded(tmp_path, "a.mp4", *X264)
    made = packed(clip(path, 0, 40, frame_count=41), cut="copy")
    assert "cut_mismatch: the clip was cut to 40 frames, expected 41" == made["error"]


def test_a_copy_that_fails_its_proof_is_encoded(tmp_path: Path) -> None:
    """A damaged packet within: what was copied does not decode clean, so the clip is encoded."""
    path = counter(tmp_path / "a.mp4", EVEN, gop=25)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    largest = max(packets[1:35], key=lambda packet: packet.size)
    place = largest.pos + largest.size // 2
    content[place : place + 4] = bytes(255 - value for value in content[place : place + 4])
    rows = clips(path, (0, 40), (50, 90))
    path.write_bytes(content)
    first, second = all_packed(rows, cut="copy")
    assert ["encoded: not_proved", "copied"] == [first["media_how"], second["media_how"]]


def test_a_child_that_dies_over_many_does_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that crashes it over several clips is asked for each alone."""
    rows = clips(counter(tmp_path / "a.mp4", EVEN, gop=25), (0, 40), (50, 90))
    expected = all_packed(rows, cut="copy")
    real = child.Child.call

    def call(self: child.Child, job: str, **arguments: Any) -> Any:
        if job == "remux" and len(arguments["clips"]) > 1:
            raise RowError("decoder_crashed", "signal SIGSEGV")
        return real(self, job, **arguments)

    monkeypatch.setattr(child.Child, "call", call)
    assert expected == all_packed(rows, cut="copy")


def test_a_turned_video_keeps_its_matrix(tmp_path: Path) -> None:
    """Packets are not turned: the copy says, as its source does, how a player turns it."""
    path = counter(tmp_path / "a.mp4", EVEN[:30], gop=10)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", path, "-c", "copy", turned)
    frame = frames_of(packed(clip(turned, 5, 30), cut="copy")["media"])[0]
    assert (128, 64, 90) == (frame.width, frame.height, frame.rotation)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "aac"), ("a.ts", "aac"), ("a.mkv", "libmp3lame"), ("a.mkv", "libopus"), ("a.flv", "aac")],
)
def test_sounds_are_copied_with_their_pictures(tmp_path: Path, name: str, codec: str) -> None:
    """As long as the clip, but for a packet; a beep that the source has at 3.0 s is where it was."""
    rate = 48000 if codec == "libopus" else 44100
    beep = f"aevalsrc=if(between(t\\,3\\,3.1)\\,sin(2764*t)\\,0):d=6:s={rate}"
    video = encoded(tmp_path, "v.mp4", *X264)
    ffmpeg("-i", video, "-f", "lavfi", "-i", beep, "-c:v", "copy", "-c:a", codec, tmp_path / name)
    made = packed(clip(tmp_path / name, 45, 100), cut="copy", audio="keep")
    assert ("copied", None) == (made["media_how"], made["error"])
    with av.open(io.BytesIO(made["media"])) as container:
        heard = [(float(frame.time), abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0)]
    shown_s = len(frames_of(made["media"])) / 25
    assert abs(heard[0][0]) < 0.03 and abs(heard[-1][0] - shown_s) < 0.06
    loud = [at for at, level in heard if level > 0.3]
    assert abs(loud[0] - (3.0 - (1.8 + made["cut_start_error_s"]))) < 0.06


def test_clips_without_sound_are_copied_without(tmp_path: Path) -> None:
    """A source that has none is no reason to fail, nor is one whose sound ended before the clip."""
    silent = encoded(tmp_path, "a.mp4", *X264)
    made = packed(clip(silent, 0, 40), cut="copy", audio="keep")
    assert ("copied", None) == (made["media_how"], made["error"])

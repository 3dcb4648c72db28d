"""Clips on their way into a shard: the right frames, at their times, in equal bytes."""

import ctypes
import io
import os
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest

from manifests import columns
from manifests.errors import RowError
from stages.pack.cut import CutMedia, run_guarded
from stages.pack.size import packed_size

MEDIA = Path(__file__).parents[4] / "shared" / "media"
needs_media = pytest.mark.skipif(not MEDIA.exists(), reason="no ../shared/media beside the project")
SIDE, BITS = 8, 8


def counter(path: Path, times: list[int], *, time_base: Fraction = Fraction(1, 600), gop: int = 250) -> Path:
    """A video whose every frame shows its own number: eight bars, black or white, lowest bit left."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "g": str(gop), "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 16 * BITS, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        for number, pts in enumerate(times):
            bars = [255 * (number >> bit & 1) for bit in range(BITS)]
            picture = np.repeat(np.repeat(np.array([bars], np.uint8), 16, 1), 64, 0)
            frame = av.VideoFrame.from_ndarray(np.dstack([picture] * 3), format="rgb24")
            frame.pts, frame.time_base = pts, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shown(frame: av.VideoFrame) -> int:
    """The number that a counter's frame shows."""
    gray = frame.to_ndarray(format="gray")
    width = gray.shape[1] // BITS
    bars = [
        gray[:, bit * width + width // 4 : (bit + 1) * width - width // 4].mean() > 127 for bit in range(BITS)
    ]
    return sum(1 << bit for bit, lit in enumerate(bars) if lit)


def frames_of(content: bytes | str) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(content) if isinstance(content, bytes) else content, "r") as container:
        return list(container.decode(video=0))


def small(frame: av.VideoFrame) -> Any:
    return frame.reformat(width=32, height=32, format="gray").to_ndarray().astype(int)


def times_of(path: Path) -> tuple[list[int], Fraction, float]:
    """When each frame is shown, in ticks, the tick in seconds, and the rate.

    AVI stores no presentation times: there, frames are shown in the order and at the times of decoding.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [frame.dts if container.format.name == "avi" else frame.pts for frame in frames]
        base, rate = stream.time_base, float(stream.average_rate or 25)
    assert base is not None
    return [time for time in times if time is not None], base, rate


def clip(path: Path, first: int, last: int, **values: Any) -> dict[str, Any]:
    """The row of a clip that begins with frame `first` and ends before frame `last`, from a full decode."""
    pts, base, rate = times_of(path)
    start, end = pts[first], pts[last] if last < len(pts) else pts[-1] + 1
    row = {
        "id": "a",
        "kind": "video",
        "location": {"path": str(path), "offset": None, "size": None},
        "time_base": str(base),
        "start_pts": start,
        "end_pts": end,
        "start_s": float(start * base),
        "end_s": float(end * base),
        "fps": rate,
        "frame_count": last - first,
    }
    return {**row, **values}


def packed(row: dict[str, Any], **settings: Any) -> dict[str, Any]:
    stage = CutMedia(**settings)
    table = columns.table([row], ["id", *stage.reads])
    made: dict[str, Any] = stage.open()(table).to_pylist()[0]
    return made


EVEN = [24 * n for n in range(150)]
UNEVEN = [n * 20 + (n * n) % 17 for n in range(150)]


@pytest.mark.parametrize("times", [EVEN, UNEVEN, [t + 900 for t in EVEN]], ids=["even", "uneven", "late"])
@pytest.mark.parametrize(("first", "last"), [(0, 1), (0, 40), (57, 91), (99, 101), (120, 150)])
@pytest.mark.parametrize("gop", [250, 12])
def test_a_clip_has_its_frames_and_no_other(
    tmp_path: Path, times: list[int], first: int, last: int, gop: int
) -> None:
    """Every frame from the first to the last, by the number it shows, at its own distance from the first."""
    path = counter(tmp_path / "a.mp4", times, gop=gop)
    row = packed(clip(path, first, last))
    frames = frames_of(row["media"])
    assert (None, "mp4", "encoded") == (row["error"], row["media_ext"], row["media_how"])
    assert list(range(first, last)) == [shown(frame) for frame in frames]
    distances = [Fraction(time - times[first], 600) for time in times[first:last]]
    assert distances == [Fraction(frame.pts or 0) * (frame.time_base or 0) for frame in frames]


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.ts", "a.flv"])
def test_other_containers_are_cut_as_exactly(tmp_path: Path, name: str) -> None:
    """Whatever the container does with time: the numbers are right."""
    path = counter(tmp_path / name, EVEN, gop=30)
    row = packed(clip(path, 61, 83))
    assert None is row["error"]
    assert list(range(61, 83)) == [shown(frame) for frame in frames_of(row["media"])]


def test_a_member_of_a_tar_is_cut_like_a_file(tmp_path: Path) -> None:
    """A range of a file gives the bytes of the file of its own; odd names are only names."""
    path = counter(tmp_path / "-a%03d:b.mp4", EVEN)
    content = path.read_bytes()
    (tmp_path / "all.tar").write_bytes(b"before" + content + b"after")
    place = {"path": str(tmp_path / "all.tar"), "offset": 6, "size": len(content)}
    expected = packed(clip(path, 30, 50))
    assert None is expected["error"]
    assert expected["media"] == packed(clip(path, 30, 50, location=place))["media"]


def test_equal_clips_are_equal_bytes(tmp_path: Path) -> None:
    """Twice the same bytes, wherever the file lies; the index stands first; nothing tells the time."""
    path = counter(tmp_path / "a.mp4", EVEN)
    first = packed(clip(path, 30, 80))["media"]
    (tmp_path / "elsewhere").mkdir()
    assert first == packed(clip(path.rename(tmp_path / "elsewhere/b.mp4"), 30, 80))["media"]
    assert first.index(b"moov") < first.index(b"mdat")
    with av.open(io.BytesIO(first)) as container:
        assert "creation_time" not in container.metadata


def test_key_frames_are_no_further_apart_than_asked(tmp_path: Path) -> None:
    """At 25 frames a second and 0.4 s there is one in ten frames."""
    path = counter(tmp_path / "a.mp4", EVEN)
    content = packed(clip(path, 0, 40, fps=25.0), gop_s=0.4)["media"]
    places = [n for n, frame in enumerate(frames_of(content)) if frame.key_frame]
    assert 0 == places[0]
    assert max(after - before for before, after in pairwise([*places, 40])) <= 10


def test_a_bound_shrinks_and_sizes_are_even(tmp_path: Path) -> None:
    """128 x 64 within 75 is 74 x 36; without a bound it stays."""
    path = counter(tmp_path / "a.mp4", EVEN[:10])
    sizes = [
        (frame.width, frame.height)
        for bound in (None, 75, 500)
        for frame in frames_of(packed(clip(path, 0, 5), max_side_px=bound)["media"])[:1]
    ]
    assert [(128, 64), (74, 36), (128, 64)] == sizes
    assert sizes == [packed_size("video", 128, 64, bound) for bound in (None, 75, 500)]


def test_a_wrong_count_is_a_failed_row(tmp_path: Path) -> None:
    """A row that promises more frames than there are is not packed."""
    path = counter(tmp_path / "a.mp4", EVEN[:30])
    row = packed(clip(path, 20, 25, frame_count=6))
    assert "cut_mismatch: the clip was cut to 5 frames, expected 6" == row["error"]


def test_a_picture_too_small_for_the_encoder_is_a_failed_row(tmp_path: Path) -> None:
    """One pixel has no even size: the row says what ffmpeg said first, in the same words every time."""
    path = tmp_path / "a.mkv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "color=s=1x1:r=25:d=1"]
    subprocess.run([*command, "-c:v", "ffv1", str(path)], check=True, stdin=subprocess.DEVNULL)
    first, second = (packed(clip(path, 0, 5))["error"] for _ in range(2))
    assert first == second
    assert first.startswith("encode_failed: ffmpeg ended with code ")
    assert "\n" not in first


def test_a_broken_file_is_a_failed_row(tmp_path: Path) -> None:
    """What ffmpeg says stands in the row, and the neighbours' rows are made."""
    path = counter(tmp_path / "a.mp4", EVEN[:10])
    good = clip(path, 0, 5)
    broken = tmp_path / "b.mp4"
    broken.write_bytes(b"no video")
    bad = {**good, "id": "b", "location": {"path": str(broken), "offset": None, "size": None}}
    stage = CutMedia()
    made = stage.open()(columns.table([bad, good], ["id", *stage.reads])).to_pylist()
    assert ["b", "a"] == [row["id"] for row in made]
    assert made[0]["error"].startswith("encode_failed: ffmpeg ended with code")
    assert None is made[1]["error"]


@pytest.mark.parametrize("head", ["#EXTM3U\n#EXTINF:1,\n{0}\n", "ffconcat version 1.0\nfile {0}\n"])
def test_a_playlist_named_mp4_opens_nothing(tmp_path: Path, head: str) -> None:
    """Another file that a playlist names is not read: the row fails."""
    secret = counter(tmp_path / "secret.mp4", EVEN[:10])
    path = tmp_path / "a.mp4"
    path.write_text(head.format(secret.name))
    row = clip(secret, 0, 5, location={"path": str(path), "offset": None, "size": None})
    assert packed(row)["error"].startswith("encode_failed: ")


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    """The display matrix is baked in: a video turned by 90 degrees has its sides exchanged and no matrix."""
    path = counter(tmp_path / "a.mp4", EVEN[:10])
    turned = tmp_path / "turned.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", "90", "-i", str(path)]
    subprocess.run([*command, "-c", "copy", str(turned)], check=True, stdin=subprocess.DEVNULL)
    frame = frames_of(packed(clip(turned, 0, 5))["media"])[0]
    assert (64, 128, 0) == (frame.width, frame.height, frame.rotation)


def test_sound_is_kept_on_request(tmp_path: Path) -> None:
    """`audio="keep"` packs as much sound as picture; by default there is none."""
    path = tmp_path / "sound.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=4", "-f", "lavfi", "-i", "sine=d=4"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    row = clip(path, 50, 75)
    kept, dropped = (packed(row, audio=audio)["media"] for audio in ("keep", "drop"))
    with av.open(io.BytesIO(kept), "r") as container:
        heard = sum([frame.samples for frame in container.decode(audio=0)]) / 44100
    assert abs(heard - 1.0) < 0.05
    with av.open(io.BytesIO(dropped)) as container:
        assert 0 == len(container.streams.audio)


@needs_media
@pytest.mark.parametrize(
    "name",
    [
        "torchcodec/test/resources/var_fps_video.mp4",
        "torchcodec/test/resources/h265_10bits.mp4",
        "torchcodec/test/resources/av1_video.mkv",
        "PySceneDetect/tests/resources/delayed_start.mp4",
        "moviepy/media/clip1024.flv",
        "moviepy/media/transparent.webm",
    ],
)
def test_real_videos_are_cut_to_their_frames(name: str) -> None:
    """Variable rates, 10 bits, AV1, late starts, VP6, VP9: the middle third, picture by picture."""
    source = frames_of(str(MEDIA / name))
    first, last = len(source) // 3, 2 * len(source) // 3
    made = frames_of(packed(clip(MEDIA / name, first, last))["media"])
    assert last - first == len(made)
    for expected, actual in ((source[first], made[0]), (source[last - 1], made[-1])):
        planes = [
            frame.reformat(width=32, height=32, format="gray").to_ndarray() for frame in (expected, actual)
        ]
        apart = np.abs(planes[0].astype(int) - planes[1].astype(int)).mean()
        assert apart < 4


def guarded(code: str, **limits: Any) -> str:
    null = os.open(os.devnull, os.O_WRONLY)
    options: dict[str, Any] = {"deadline_s": 20.0, "memory_bytes": 2 << 30, **limits}
    try:
        return run_guarded([sys.executable, "-S", "-E", "-c", code], output=null, **options)
    finally:
        os.close(null)


def test_a_program_that_hangs_is_killed_with_its_children() -> None:
    """At the deadline the whole group goes: the child that it started, too."""
    code = "import os, time; os.fork(); time.sleep(60)"
    begun = time.monotonic()
    with pytest.raises(RowError, match="deadline: encoding took longer than 1 s"):
        guarded(code, deadline_s=1.0)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "ffmpeg died of SIGABRT"),
        ("import sys; sys.exit('bad things')", "ffmpeg ended with code 1: bad things"),
        ("import sys; sys.exit('Cannot allocate memory')", "out_of_memory"),
        ("import time; time.sleep(0.3); x = bytes(3 << 30)", "ffmpeg ended with code 1: Traceback"),
    ],
)
def test_what_ends_a_program_is_told(code: str, words: str) -> None:
    """A signal, a code with its last words, memory beyond the limit."""
    with pytest.raises(RowError, match=words):
        guarded(code)


def test_a_program_has_no_input_and_cannot_fill_the_disk(tmp_path: Path) -> None:
    """Standard input is empty; a file larger than the limit is not written; there is no core file."""
    assert "''\n" == guarded("import sys; print(repr(sys.stdin.read()))")
    code = f"import time; time.sleep(0.3); open({str(tmp_path / 'f')!r}, 'wb').truncate(2 << 30)"
    with pytest.raises(RowError, match="encode_failed"):
        guarded(code, memory_bytes=1 << 30)
    core = "import time, resource; time.sleep(0.3); print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert "(0, 0)\n" == guarded(core)


def test_a_program_cannot_write_elsewhere(tmp_path: Path) -> None:
    """No environment, no new rights; where the kernel has Landlock, no file is made or emptied."""
    code = "import os; print(dict(os.environ)); print(open('/proc/self/status').read())"
    printed = guarded(code)
    assert printed.startswith(("{}\n", "{'LC_CTYPE'"))
    assert "NoNewPrivs:\t1" in printed
    if ctypes.CDLL(None).syscall(444, None, 0, 1) < 3:
        pytest.skip("this kernel lacks Landlock (version 3 and newer)")
    path = tmp_path / "f"
    path.write_text("kept")
    for name in ("f", "g"):
        with pytest.raises(RowError, match="encode_failed"):
            guarded(f"open({str(tmp_path / name)!r}, 'w')")
    assert ("kept", False) == (path.read_text(), (tmp_path / "g").exists())


def test_settings_and_versions_decide_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another quality or another ffmpeg is another result."""
    assert (
        len(
            {
                CutMedia().fingerprint(),
                CutMedia(crf=21).fingerprint(),
                CutMedia(video_threads=2).fingerprint(),
            }
        )
        == 3
    )
    before = CutMedia().fingerprint()
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: "/elsewhere/ffmpeg-linux-x86_64-v9.9")
    assert before != CutMedia().fingerprint()

"""Sampling a clip: the frames on show at the wanted times, few of them decoded, whatever the container."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from manifests import columns
from manifests.errors import RowError
from stages.caption.sample import sample_frames, sampled, wanted
from stages.media import ORIENTATION, Limits
from stages.split.shots import SplitShots
from tests.stages.test_media import ffmpeg

PX = 16


def counter(path: Path, times: list[int], *, rate: int = 24, codec: str = "libx264", **options: str) -> Path:
    """A video whose n-th frame, shown at times[n] / rate seconds, has the gray level 6 + 3 n (modulo 240)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        for n, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), _level(n), np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _level(n: int) -> int:
    return 6 + 3 * n % 240


def place(path: Path, start: int, end: int, **facts: Any) -> dict[str, Any]:
    location = {"path": str(path), "offset": None, "size": None}
    return {"location": location, "kind": "video", "start_pts": start, "end_pts": end, "rotation": 0, **facts}


def looked(where: dict[str, Any], frames: int) -> tuple[list[int], int]:
    """The numbers of the sampled frames, read from their gray, and how many frames were decoded."""
    table = sample_frames(Limits(), place=where, frames=frames, frame_px=PX, shape="square")
    pixels = np.frombuffer(table["pixels"][0].as_py(), np.uint8).reshape(frames, PX, PX, 3)
    return [round((float(p.mean()) - 6) / 3) for p in pixels], table["decoded"][0].as_py()


def ticks(path: Path) -> list[int]:
    """The times of all frames by a plain decode, made to rise where a program stream's do not."""
    with av.open(str(path)) as container:
        told = [f.dts if path.suffix == ".avi" else f.pts for f in container.decode(video=0)]
    return list(itertools.accumulate(told, lambda before, time: max(time, before + 1)))


def expected(times: list[int], start: int, end: int, frames: int) -> list[int]:
    """Numbers of the frames on show at the middles of equal parts, by the definition."""
    middles = [start + (end - start) * Fraction(2 * i + 1, 2 * frames) for i in range(frames)]
    return [max(n for n, time in enumerate(times) if time <= at) for at in middles]


def test_the_wanted_times_are_middles_of_equal_parts() -> None:
    """Four frames of ticks 100 to 180: at one, three, five and seven eighths."""
    assert [110, 130, 150, 170] == wanted(100, 180, 4)
    assert [Fraction(201, 2)] == wanted(100, 101, 1)


CASES = {
    "h264_b_frames.mp4": {"bf": "3", "g": "12"},
    "h264_open_gop.mkv": {"x264-params": "open-gop=1:bframes=3:keyint=12:scenecut=0"},
    "hevc.mp4": {"codec": "libx265", "x265-params": "keyint=12:bframes=3:log-level=none"},
    "vp9.webm": {"codec": "libvpx-vp9", "g": "12", "cpu-used": "8", "deadline": "realtime"},
    "mpeg4.avi": {"codec": "mpeg4", "g": "12", "qmin": "1", "qmax": "1"},
    "h264.ts": {"bf": "2", "g": "12"},
    "mpeg2.ts": {"codec": "mpeg2video", "g": "12", "bf": "2", "b": "2M"},
    "vp9.ivf": {"codec": "libvpx-vp9", "g": "12", "cpu-used": "8", "deadline": "realtime"},
    "wmv2.wmv": {"codec": "wmv2", "g": "12", "b": "2M"},
    "mpeg2.mpg": {"codec": "mpeg2video", "g": "12", "bf": "2", "b": "2M"},
    "h264.flv": {"bf": "2", "g": "12"},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("frames", [1, 4, 7])
def test_the_frames_on_show_are_chosen(tmp_path: Path, name: str, frames: int) -> None:
    """Exact frames of a clip inside and of the whole, with B-frames and open groups in any container."""
    path = counter(tmp_path / name, list(range(70)), **CASES[name])
    times = ticks(path)
    step = times[1] - times[0]
    for first, end in ((0, 70), (17, 44), (50, 70), (33, 34)):
        begin = times[first]
        until = times[end] if end < 70 else times[-1] + step
        assert expected(times, begin, until, frames) == looked(place(path, begin, until), frames)[0]


def test_a_variable_frame_rate_is_followed(tmp_path: Path) -> None:
    """Frames shown at 0, 1, 2, 30, 31, 90 of 24ths: most of the clip is frame 2, 4 and 5."""
    path = counter(tmp_path / "a.mp4", [0, 1, 2, 30, 31, 90], g="3")
    times = ticks(path)
    end = times[-1] + (times[1] - times[0])
    assert [2, 4, 4, 4] == looked(place(path, times[0], end), 4)[0]
    assert [2, 2, 2, 4, 4, 4, 4, 4] == looked(place(path, times[0], end), 8)[0]


def test_a_video_may_begin_late(tmp_path: Path) -> None:
    """Times are presentation times: a stream that begins at 40 s is sampled as one that begins at 0."""
    path = counter(tmp_path / "a.mkv", list(range(960, 1000)), g="8", bf="2")
    times = ticks(path)
    assert times[0] > 0
    end = times[-1] + 41
    assert expected(times, times[0], end, 4) == looked(place(path, times[0], end), 4)[0]


def test_few_frames_of_a_long_clip_are_decoded(tmp_path: Path) -> None:
    """Four frames of 20 s with a key frame each second: at most a group and the decoder's delay for each."""
    path = counter(tmp_path / "a.mp4", list(range(480)), g="24", bf="2", keyint_min="24")
    times = ticks(path)
    numbers, decoded = looked(place(path, times[0], times[-1] + times[1]), 4)
    assert [60 % 80, 180 % 80, 300 % 80, 420 % 80] == numbers
    assert decoded <= 4 * (12 + 4)


def test_neighbours_in_one_group_are_decoded_once(tmp_path: Path) -> None:
    """Sixteen frames of a clip within one group of pictures cost one pass over it."""
    path = counter(tmp_path / "a.mp4", list(range(60)), g="60", keyint_min="60")
    times = ticks(path)
    numbers, decoded = looked(place(path, times[0], times[32]), 16)
    assert list(range(1, 32, 2)) == numbers
    assert decoded <= 34


def test_short_clips_repeat_frames(tmp_path: Path) -> None:
    """Of a clip of two frames, four pictures are each of them twice."""
    path = counter(tmp_path / "a.mp4", list(range(8)))
    times = ticks(path)
    assert [3, 3, 4, 4] == looked(place(path, times[3], times[5]), 4)[0]


def test_sampling_agrees_with_split(tmp_path: Path) -> None:
    """The clips that `split` made are sampled at their own frames, none of another clip."""
    path = tmp_path / "a.mkv"
    scenes = [np.random.default_rng(n).integers(0, 255, (48, 64, 3), np.uint8) for n in range(3)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"bf": "2", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for scene in itertools.chain.from_iterable([s] * 30 for s in scenes):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene, format="rgb24")))
        container.mux(stream.encode(None))
    asset = {"id": "a" * 32, "asset_id": "a" * 32, **place(path, 0, 0)}
    clips = SplitShots().open()(columns.table([asset], ["id", *SplitShots.reads])).to_pylist()
    assert 3 == len(clips)
    for clip, scene in zip(clips, scenes, strict=True):
        row = {**place(path, clip["start_pts"], clip["end_pts"]), "end_s": clip["end_s"]}
        pixels = sampled(row, frames=3, frame_px=48, shape="fit")
        assert (3, 36, 48, 3) == pixels.shape
        means = pixels.reshape(3, -1, 3).mean(1)
        assert np.abs(means - scene.reshape(-1, 3).mean(0)).max() < 4


def halves(path: Path, rotation: int) -> Path:
    """A video of 64 x 32 px, its left half white, its right half black, turned by a tag."""
    plain = path.with_name("plain.mp4")
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :32] = 255
    with av.open(str(plain), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    ffmpeg("-display_rotation", -rotation, "-i", plain, "-c", "copy", path)
    return path


@pytest.mark.parametrize(
    ("rotation", "white"),
    [
        *[(0, "left"), (90, "top"), (180, "right"), (270, "bottom")],
        *[(360, "right"), (450, "bottom"), (540, "left"), (630, "top")],
    ],
)
def test_frames_stand_upright(tmp_path: Path, rotation: int, white: str) -> None:
    """A frame that is white on its left is white where the player's mirror and turn put that side."""
    path = halves(tmp_path / "a.mp4", rotation)
    row = {**place(path, 0, ticks(path)[1], rotation=rotation), "end_s": 0.1}
    picture = sampled(row, frames=1, frame_px=32, shape="fit")[0]
    sides = {"left": picture[:, :8], "right": picture[:, -8:], "top": picture[:8], "bottom": picture[-8:]}
    assert ((16, 32, 3) if rotation % 180 == 0 else (32, 16, 3)) == picture.shape
    levels = {side: float(pixels.mean()) for side, pixels in sides.items()}
    assert white == max(levels, key=lambda side: levels[side])
    assert levels[white] > 240


def test_images_are_one_upright_picture(tmp_path: Path) -> None:
    """An image gives one picture: RGB, on white, as its EXIF turns it, squashed or fitted."""
    image = Image.new("RGB", (80, 40), (200, 10, 30))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.save(tmp_path / "a.png", exif=exif)
    row = {**place(tmp_path / "a.png", 0, 0, kind="image"), "start_pts": None, "end_pts": None, "end_s": None}
    fitted = sampled(row, frames=4, frame_px=20, shape="fit")
    squashed = sampled(row, frames=4, frame_px=20, shape="square")
    assert ((1, 20, 10, 3), (1, 20, 20, 3)) == (fitted.shape, squashed.shape)
    assert [200, 10, 30] == fitted[0, 5, 5].tolist()


def fault(path: Path, **facts: Any) -> str:
    with pytest.raises(RowError) as caught:
        sampled({**place(path, 0, 1000, **facts), "end_s": 1.0}, frames=2, frame_px=PX, shape="square")
    return caught.value.reason


def test_broken_files_fail_in_words(tmp_path: Path) -> None:
    """Missing, not media, cut off, of another kind: the words of `media.REASONS`, or unsupported_kind."""
    whole = counter(tmp_path / "a.mp4", list(range(48)), movflags="").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video at all")
    assert "unreadable" == fault(tmp_path / "missing.mp4")
    assert "not_media" == fault(tmp_path / "text.mp4")
    assert fault(tmp_path / "cut.mp4") in ("not_media", "truncated", "decode_error")
    assert "unsupported_kind" == fault(tmp_path / "a.mp4", kind="text")


def test_a_frame_over_the_pixel_limit_is_refused(tmp_path: Path) -> None:
    """The limit holds for what is decoded, too."""
    path = counter(tmp_path / "a.mp4", list(range(8)))
    with pytest.raises(RowError, match="too_many_pixels"):
        sample_frames(
            Limits(max_pixels=64 * 47), place=place(path, 0, 1000), frames=2, frame_px=PX, shape="square"
        )

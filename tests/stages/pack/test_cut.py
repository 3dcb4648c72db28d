"""Clips on their way into a shard: the right frames, at their times, in equal bytes."""

import io
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest

from manifests import columns
from manifests.errors import RecipeError
from stages import child
from stages.pack import exact
from stages.pack.cut import CutMedia
from stages.pack.size import packed_size
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
    shown,
    small,
)

MEDIA = Path(__file__).parents[4] / "shared" / "media"
needs_media = pytest.mark.skipif(not MEDIA.exists(), reason="no ../shared/media beside the project")


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
    assert ["b", "0"] == [row["id"] for row in made]
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


@pytest.mark.parametrize("flip", ["-display_hflip", "-display_vflip"])
def test_a_mirrored_video_is_as_a_player_shows_it(tmp_path: Path, flip: str) -> None:
    """Encoded clips are mirrored themselves; a copied one keeps the matrix that says so."""
    path, mirrored, seen = (tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4"))
    ffmpeg("-display_rotation", 90, flip, "-i", counter(path, EVEN[:10], gop=5), "-c", "copy", mirrored)
    ffmpeg("-i", mirrored, seen)
    expected = small(frames_of(str(seen))[5])
    for cut in ("exact", "copy"):
        path.write_bytes(packed(clip(mirrored, 5, 10), cut=cut)["media"])
        ffmpeg("-i", path, seen)
        assert np.abs(expected - small(frames_of(str(seen))[0])).mean() < 6


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


RESOURCES = "PySceneDetect/tests/resources"
REAL = [
    "torchcodec/test/resources/var_fps_video.mp4",
    "torchcodec/test/resources/h265_10bits.mp4",
    "torchcodec/test/resources/av1_video.mkv",
    f"{RESOURCES}/delayed_start.mp4",
    "moviepy/media/clip1024.flv",
    "moviepy/media/transparent.webm",
    "moviepy/media/fire2.mp4",
]


def ends_are_those(path: Path, row: dict[str, Any], made: dict[str, Any]) -> None:
    """The written clip's first and last frame are those of the source at the times that the row and its
    errors tell, picture by picture."""
    source = frames_of(str(path))
    shown_at = [float((f.dts if path.suffix == ".avi" else f.pts) * f.time_base) for f in source]
    written = frames_of(made["media"])
    first_s, end_s = row["start_s"] + made["cut_start_error_s"], row["end_s"] + made["cut_end_error_s"]
    within = [n for n, at in enumerate(shown_at) if first_s - 1e-6 <= at < end_s - 1e-6]
    assert len(within) == len(written)
    for expected, actual in ((source[within[0]], written[0]), (source[within[-1]], written[-1])):
        pictures = [small(frame) for frame in (expected, actual)]
        if row["rotation"] and made["media_how"].startswith("encoded"):
            pictures[0] = np.rot90(pictures[0], -row["rotation"] // 90)
        assert np.abs(pictures[0] - pictures[1]).mean() < 4


@needs_media
@pytest.mark.parametrize("cut", ["exact", "copy"])
@pytest.mark.parametrize("name", REAL)
def test_real_videos_are_cut_to_their_frames(name: str, cut: str) -> None:
    """Variable rates, 10 bits, AV1, late starts, VP6, VP9, turned: from the beginning, and the middle third,
    picture by picture."""
    path = MEDIA / name
    count = len(frames_of(str(path)))
    rows = clips(path, (0, count // 2), (count // 3, 2 * count // 3))
    for row, made in zip(rows, all_packed(rows, cut=cut), strict=True):
        assert None is made["error"]
        assert cut == "copy" or (0.0, 0.0) == (made["cut_start_error_s"], made["cut_end_error_s"])
        ends_are_those(path, {**row, "rotation": 180 if "fire2" in name else 0}, made)


@needs_media
@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({}, ["encoded"] * 5),
        ({"video_codec": "libsvtav1", "preset": 12}, ["encoded"] * 5),
        ({"video_codec": "libvpx-vp9", "preset": 8}, ["encoded"] * 5),
        ({"cut": "copy"}, ["copied", "copied", *["encoded: no_key_frame"] * 3]),
        ({"cut": "copy", "proof": "packets"}, ["copied", "copied", *["encoded: no_key_frame"] * 3]),
        (
            {"cut": "copy", "copy_lost": 0.1},
            ["copied", "encoded: much_lost", *["encoded: no_key_frame"] * 3],
        ),
    ],
    ids=["x264", "av1", "vp9", "copy", "packets", "copy-whole"],
)
def test_the_counter_is_cut_at_its_numbers(settings: dict[str, Any], how: list[str]) -> None:
    """A real video that counts its frames, 1080p: each clip begins and ends with the numbers that it should,
    told from their neighbours'."""
    path = MEDIA / RESOURCES / "counter.mp4"
    source = [
        frame.reformat(width=480, height=270, format="gray").to_ndarray() for frame in frames_of(str(path))
    ]
    rows = clips(path, (0, 30), (0, 7), (7, 8), (9, 21), (29, 30))
    made = all_packed(rows, **settings)
    assert how == [one["media_how"] for one in made]
    for row, one in zip(rows, made, strict=True):
        written = [
            f.reformat(width=480, height=270, format="gray").to_ndarray() for f in frames_of(one["media"])
        ]
        first = round((row["start_s"] + one["cut_start_error_s"]) * 10)
        last = round((row["end_s"] + one["cut_end_error_s"]) * 10) - 1
        for number, picture in ((first, written[0]), (last, written[-1])):
            apart = [np.abs(picture.astype(int) - other.astype(int)).mean() for other in source]
            assert number == int(np.argmin(apart))


def test_settings_and_versions_decide_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another quality or another ffmpeg, by what it says of itself, is another result."""
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
    other = tmp_path / Path(imageio_ffmpeg.get_ffmpeg_exe()).name
    other.write_text("#!/bin/sh\necho ffmpeg version 9.9-other Copyright")
    other.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(other))
    assert before != CutMedia().fingerprint()
    assert "9.9-other" == CutMedia().identity()["ffmpeg"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv", "a.avi", "a.mpg"])
@pytest.mark.parametrize(
    "options", [{}, {"audio": "keep"}, {"cut": "copy"}, {"cut": "copy", "audio": "keep"}]
)
def test_a_clip_is_the_same_alone_and_with_others(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """Bytes depend on nobody else's being cut: not on neighbours, overlaps, repeats, or clips far away."""
    kind = {"a.avi": "mpeg4", "a.mpg": "mpeg2video"}.get(name, "libx264")
    sound = "mp2" if name == "a.mpg" else "aac"
    back = 0 if name == "a.avi" else 2
    path = encoded(tmp_path, name, "-c:v", kind, "-g", 25, "-bf", back, "-c:a", sound, sound=("-ac", 2))
    rows = clips(path, (3, 30), (30, 80), (60, 110), (100, 150))
    alone = [packed(row, **options)["media_sha256"] for row in rows]
    together = all_packed(rows, **options)
    assert [None] * 4 == [made["error"] for made in together]
    assert alone == [made["media_sha256"] for made in together]
    assert alone[1:3] == [made["media_sha256"] for made in all_packed(rows[1:3], **options)]


@pytest.mark.parametrize("codec", ["libsvtav1", "libvpx-vp9"])
def test_other_encoders_write_equal_bytes_too(tmp_path: Path, codec: Any) -> None:
    """AV1 and VP9: the numbers are right, and the bytes are those of the clip alone."""
    path = counter(tmp_path / "a.mp4", EVEN, gop=25)
    rows = clips(path, (3, 20), (20, 41))
    made = all_packed(rows, video_codec=codec, preset=8)
    assert [list(range(3, 20)), list(range(20, 41))] == [numbers_of(one["media"]) for one in made]
    assert made[1]["media"] == packed(rows[1], video_codec=codec, preset=8)["media"]


def test_clips_of_a_video_come_from_one_decode(tmp_path: Path) -> None:
    """Three clips are one decode; those that lie far apart are one each, and nothing between is decoded."""
    path = counter(tmp_path / "a.mp4", [600 * n for n in range(60)], gop=10)
    before = child.decoder().counts["cut"]
    all_packed(clips(path, (0, 5), (6, 9), (9, 14)))
    assert 1 == child.decoder().counts["cut"] - before
    all_packed(clips(path, (0, 5), (40, 45)))
    assert 3 == child.decoder().counts["cut"] - before


def test_one_clip_that_fails_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    """A row that promises a frame too many fails, and one that lies beyond the end; the others are cut."""
    rows = clips(counter(tmp_path / "a.mp4", EVEN), (0, 20), (20, 40), (40, 60))
    rows[1]["frame_count"] = 21
    beyond = {**rows[2], "id": "x", "start_pts": 90_000, "end_pts": 90_600, "start_s": 6.5, "end_s": 6.6}
    made = all_packed([*rows, beyond])
    assert [None, None] == [made[0]["error"], made[2]["error"]]
    assert "cut_mismatch: the clip was cut to 20 frames, expected 21" == made[1]["error"]
    assert made[3]["error"].startswith(("cut_mismatch: ", "encode_failed: "))


def test_a_run_that_fails_is_done_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process of several clips dies, each is cut alone and comes out as it would have."""
    rows = clips(counter(tmp_path / "a.mp4", EVEN), (0, 20), (20, 40))
    expected = [made["media"] for made in all_packed(rows)]
    real = exact.run_guarded

    def dying(command: list[str], **options: Any) -> tuple[str, str]:
        return real(["/bin/false"] if len(options["outputs"]) > 1 else command, **options)

    monkeypatch.setattr(exact, "run_guarded", dying)
    assert expected == [made["media"] for made in all_packed(rows)]


def test_damage_is_met_the_same_way_by_all(tmp_path: Path) -> None:
    """Where the decoder complains, clips are cut alone: what follows the damage does not depend on what came
    before."""
    path = counter(tmp_path / "a.mp4", EVEN, gop=10)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    place = packets[35].pos + 40
    content[place : place + 12] = bytes(255 - value for value in content[place : place + 12])
    rows = clips(path, (0, 30), (30, 50), (50, 80))
    path.write_bytes(content)
    together = all_packed(rows)
    assert [made["media_sha256"] for made in together] == [packed(row)["media_sha256"] for row in rows]
    assert list(range(50, 80)) == numbers_of(together[2]["media"])


def test_large_pictures_are_cut_by_fewer_encoders_at_once() -> None:
    """Open encoders of 720p take a gigabyte a dozen; of 2160p there is one."""
    sizes = [(None, None), (1280, 720), (1920, 1080), (3840, 2160)]
    found = [
        exact.most_outputs(CutMedia(), [{"width_px": width, "height_px": height}]) for width, height in sizes
    ]
    assert [12, 12, 6, 1] == found
    assert 12 == exact.most_outputs(CutMedia(max_side_px=640), [{"width_px": 3840, "height_px": 2160}])


def test_an_encoder_that_does_not_work_is_found_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check encodes one picture; a recipe learns what is wrong and what to do."""
    CutMedia().check()
    monkeypatch.setattr("stages.pack.codecs._fault", lambda *_: "Cannot load libcuda.so.1")
    with pytest.raises(RecipeError, match=r"h264_nvenc does not work here .*NVIDIA GPU.*libx264"):
        CutMedia(video_codec="h264_nvenc").check()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"preset": "veryfst"}, "pack.preset is 'veryfst', libx264 has ultrafast, superfast, veryfast"),
        ({"video_codec": "libsvtav1", "preset": "veryfast"}, "libsvtav1 has 0, 1, 2, 3"),
        ({"crf": 60}, "pack.crf is 60, expected 0 .best. to 51 for libx264"),
        ({"video_codec": "h264_nvenc", "preset": "slow"}, "h264_nvenc has p1, p2"),
    ],
)
def test_settings_that_an_encoder_lacks_are_refused(settings: dict[str, Any], words: str) -> None:
    """A preset or a quality of another encoder's scale is a fault of the recipe, not of every clip."""
    with pytest.raises(RecipeError, match=words):
        CutMedia(**settings)

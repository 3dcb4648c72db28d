"""Opening media from outside: allow-lists and limits hold in PyAV, in Pillow and in the ffmpeg command."""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from PIL import Image

from manifests.errors import RowError
from stages import media
from stages.media import Limits
from tests.stages.conftest import draw

# Two test pictures, as an input of the ffmpeg command.
PATTERN = ("-f", "lavfi", "-i", "testsrc=d=0.2:s=64x48:r=10")


def at(path: Path, offset: int | None = None, size: int | None = None) -> dict[str, Any]:
    return {"path": str(path), "offset": offset, "size": size}


def ffmpeg(*words: object) -> subprocess.CompletedProcess[str]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def guarded(path: Path, limits: Limits | None = None) -> int:
    """The exit code of the ffmpeg command on that file, under the options that pack gives it."""
    options = [word for k, v in media.input_options(limits or Limits()).items() for word in (f"-{k}", v)]
    return ffmpeg(*options, "-i", media.url(at(path)), "-f", "null", "-").returncode


def video_fault(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(RowError) as caught, media.open_video(at(path), limits or Limits()) as container:
        next(container.decode(media.video_stream(container)))
    return caught.value.reason


def image_fault(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(RowError) as caught, media.open_image(at(path), limits or Limits()) as image:
        image.load()
    return caught.value.reason


def test_a_deadline_grows_with_the_media() -> None:
    """A minute, and ten seconds for each second of media; an unknown or absurd duration changes little."""
    limits = Limits(max_duration_s=100)
    assert [60, 60, 90, 1060] == [limits.deadline_for(s) for s in (None, 0, 3, 1e9)]


def test_urls_are_absolute_and_ranges_are_subfiles() -> None:
    """No name begins with a dash or a protocol; a tar member is bytes [offset, offset + size)."""
    assert f"file:{Path.cwd()}/-i.mp4" == media.url(at(Path("-i.mp4")))
    assert "subfile,,start,512,end,612,,:file:/a/b.tar" == media.url(at(Path("/a/b.tar"), 512, 100))


@pytest.mark.parametrize("name", ["x.tar", "a, :t%03d,,:.tar", "-i.tar"])
def test_a_range_is_read_by_ffmpeg_too(tmp_path: Path, name: str) -> None:
    """The ffmpeg command reads a member in place, whatever the tar is called."""
    content = draw(tmp_path / "a.mp4").read_bytes()
    (tmp_path / name).write_bytes(b"\0" * 512 + content + b"\0" * 1024)
    options = [word for k, v in media.input_options(Limits()).items() for word in (f"-{k}", v)]
    done = ffmpeg(*options, "-i", media.url(at(tmp_path / name, 512, len(content))), "-f", "null", "-")
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("codec", ["qtrle", "rpza"])
def test_codecs_outside_the_list_never_decode(tmp_path: Path, codec: str) -> None:
    """A codec that is not allowed is refused by our opener, by its decoder, and by the ffmpeg command."""
    path = tmp_path / "a.mov"
    assert 0 == ffmpeg(*PATTERN, "-c:v", codec, path).returncode
    assert "codec_not_allowed" == video_fault(path)
    with pytest.raises(RowError), media.open_video(at(path), Limits()) as container:
        next(container.decode(video=0))
    assert 0 != guarded(path)


def ivf(header: int, frame: int) -> bytes:
    """A VP8 key frame (RFC 6386, 9.1) that claims `frame` pixels a side, in a file that claims `header`."""
    content = b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", frame, frame) + bytes(200)
    head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", header, header, 25, 1, 1, 0)
    return head + struct.pack("<IQ", len(content), 0) + content


def test_a_claim_of_256_megapixels_is_refused(tmp_path: Path) -> None:
    """A container or a frame header that claims 16000 x 16000 pixels is not decoded."""
    (tmp_path / "a.ivf").write_bytes(ivf(16_000, 16_000))
    (tmp_path / "b.ivf").write_bytes(ivf(64, 16_000))
    assert "too_many_pixels" == video_fault(tmp_path / "a.ivf")
    assert "decode_error" == video_fault(tmp_path / "b.ivf")


def test_the_pixel_limit_holds_for_late_decoders(tmp_path: Path) -> None:
    """The limit is given to the decoder itself; the ffmpeg command has it too."""
    path = draw(tmp_path / "a.mp4")
    small = Limits(max_pixels=64 * 48 - 1)
    assert "too_many_pixels" == video_fault(path, small)
    assert (0, True) == (guarded(path), guarded(path, small) != 0)
    with media.open_video(at(path), Limits()) as container:
        options = container.streams.video[0].codec_context.options
    assert str(8192 * 8192) == options["max_pixels"]


def test_streams_are_limited(tmp_path: Path) -> None:
    """A file with more streams than the limit is refused, and not cut down to the limit in silence."""
    video = draw(tmp_path / "a.mp4", frames=2)
    assert 0 == ffmpeg("-i", video, *["-map", "0:v"] * 5, "-c", "copy", tmp_path / "b.mkv").returncode
    assert "too_many_streams" == video_fault(tmp_path / "b.mkv", Limits(max_streams=4))
    with media.open_video(at(tmp_path / "b.mkv"), Limits(max_streams=5)) as container:
        assert 5 == len(container.streams)


@pytest.fixture
def cover(tmp_path: Path) -> Iterator[Path]:
    Image.new("RGB", (16, 16), "red").save(tmp_path / "cover.png")
    yield tmp_path / "cover.png"


def test_cover_art_is_no_video(tmp_path: Path, cover: Path) -> None:
    """The first moving picture counts, even behind a cover; a cover alone is no video."""
    video = draw(tmp_path / "a.mp4")
    words = ["-map", "1", "-map", "0", "-c:v:0", "png", "-c:v:1", "copy"]
    first = ["-disposition:v:0", "attached_pic"]
    assert 0 == ffmpeg("-i", video, "-i", cover, *words, *first, tmp_path / "b.mp4").returncode
    with media.open_video(at(tmp_path / "b.mp4"), Limits()) as container:
        assert "h264" == media.video_stream(container).codec_context.name
    sound = ["-f", "lavfi", "-i", "sine=d=0.2", "-i", cover, "-map", "0", "-map", "1", "-c:v", "png"]
    assert 0 == ffmpeg(*sound, "-disposition:v", "attached_pic", tmp_path / "c.m4a").returncode
    assert "no_video_stream" == video_fault(tmp_path / "c.m4a")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:1,\nfile://{folder}/secret.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8"])
def test_scripts_open_no_other_file(tmp_path: Path, text: str, name: str) -> None:
    """Playlists, concat scripts and SDP are refused by PyAV and the ffmpeg command, whatever their names."""
    draw(tmp_path / "secret.ts", codec="mpeg2video")
    (tmp_path / name).write_text(text.replace("{folder}", str(tmp_path)))
    assert video_fault(tmp_path / name) in ("not_media", "format_not_allowed")
    assert 0 != guarded(tmp_path / name)


def test_what_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    """A missing file and a folder are unreadable, for both openers."""
    for path in (tmp_path / "gone.mp4", tmp_path):
        assert ("unreadable", "unreadable") == (video_fault(path), image_fault(path))


PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(64)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
FITS = b"".join(
    b"%-80s" % card for card in (b"SIMPLE  =   T", b"BITPIX  =   8", b"NAXIS   =   0", b"END")
).ljust(2880)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize("content", [PSD, EPS, FITS, HEIC, b"\xff\x0a" + bytes(40)])
def test_image_formats_outside_the_list_are_named(tmp_path: Path, content: bytes) -> None:
    """PSD, EPS, FITS, HEIC and JPEG XL reach none of Pillow's parsers."""
    (tmp_path / "a.png").write_bytes(content)
    assert "format_not_allowed" == image_fault(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "decode_error"),
        (bytes(range(256)), "not_media"),
        (b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;", "too_many_pixels"),
    ],
)
def test_bad_images_are_told_apart(tmp_path: Path, content: bytes, reason: str) -> None:
    """A damaged header, bytes that are no image, and a GIF that claims 65535 x 65535 pixels."""
    (tmp_path / "a.png").write_bytes(content)
    assert reason == image_fault(tmp_path / "a.png")


def test_the_pixel_limit_is_an_error_and_not_a_warning(tmp_path: Path) -> None:
    """One pixel above the limit fails, the limit itself does not: Pillow only warns up to twice the limit."""
    Image.new("1", (101, 100)).save(tmp_path / "a.png")
    assert "too_many_pixels" == image_fault(tmp_path / "a.png", Limits(max_pixels=10_099))
    with media.open_image(at(tmp_path / "a.png"), Limits(max_pixels=10_100)) as image:
        assert (101, 100) == image.size


def test_the_pixel_limit_ends_with_the_image(tmp_path: Path) -> None:
    """Pillow's own limit is the process's: who opens another image afterwards, good or bad, finds his own."""
    before = Image.MAX_IMAGE_PIXELS
    Image.new("1", (101, 100)).save(tmp_path / "a.png")
    with media.open_image(at(tmp_path / "a.png"), Limits(max_pixels=10_100)):
        assert 10_100 == Image.MAX_IMAGE_PIXELS
    assert before == Image.MAX_IMAGE_PIXELS
    image_fault(tmp_path / "a.png", Limits(max_pixels=10_099))
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_limit_holds_for_a_picture_within_a_picture(tmp_path: Path) -> None:
    """An icon of 16 pixels may hold a PNG of another size; that one is measured, too."""
    Image.new("1", (300, 300)).save(tmp_path / "a.png")
    png = (tmp_path / "a.png").read_bytes()
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(png), 22)
    (tmp_path / "a.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + png)
    assert "too_many_pixels" == image_fault(tmp_path / "a.ico", Limits(max_pixels=80_000))


# EXIF 2.32, section 4.6.4: where the stored picture's first row and column are seen.
@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (2, 1)), (6, (1, 0)), (8, (0, 2))])
def test_upright_applies_the_exif_orientation(
    tmp_path: Path, orientation: int, corner: tuple[int, int]
) -> None:
    """The stored picture's top left pixel comes where the orientation says, and stays there."""
    image = Image.new("L", (3, 2))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[media.ORIENTATION] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    with media.open_image(at(tmp_path / "a.png"), Limits()) as stored:
        turned = media.upright(stored)
    assert (255, 1) == (turned.getpixel(corner), turned.getexif().get(media.ORIENTATION, 1))


def test_a_member_image_is_its_range_only(tmp_path: Path) -> None:
    """An image in a tar is read in place; one byte less is a truncated image."""
    Image.effect_noise((40, 30), 60).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.tar").write_bytes(b"\0" * 512 + content + b"\0" * 512)
    with media.open_image(at(tmp_path / "b.tar", 512, len(content)), Limits()) as image:
        image.load()
        assert (40, 30) == image.size
    half = at(tmp_path / "b.tar", 512, len(content) // 2)
    with pytest.raises(RowError, match="truncated"), media.open_image(half, Limits()) as image:
        image.load()

"""What an asset is: by its content, whatever its name says; hostile content opens nothing else."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import pyarrow as pa
import pytest
from PIL import Image

from manifests import columns
from stages.ingest.content import HashContent, sniff
from stages.ingest.probe import ProbeAsset
from tests.stages.conftest import draw


def probe(*paths: Path, names: list[str] | None = None) -> list[dict[str, object]]:
    rows = [
        {"id": str(n), "location": {"path": str(p), "offset": None, "size": None}, "source_uri": names[n] if names else p.name}
        for n, p in enumerate(paths)
    ]
    return list(ProbeAsset().open()(columns.table(rows, ["id", "location", "source_uri"])).to_pylist())


def test_facts_of_a_video(tmp_path: Path) -> None:
    """Frames, rate, duration and size are those that were drawn."""
    (facts,) = probe(draw(tmp_path / "a.mp4", frames=30, fps=15))
    assert (None, "video", "mov", "h264", 64, 48, 0, 15.0, False, 30, 2.0) == tuple(
        facts[k] for k in "error kind format codec width_px height_px rotation fps vfr frame_count duration_s".split()
    )


def test_member_of_a_tar_is_a_range(tmp_path: Path) -> None:
    """A video inside another file is read in place."""
    video = draw(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "x, t%03d: .tar").write_bytes(b"\0" * 512 + video + b"\0" * 1024)
    location = {"path": str(tmp_path / "x, t%03d: .tar"), "offset": 512, "size": len(video)}
    rows = columns.table([{"id": "a", "location": location, "source_uri": "a.mp4"}], ["id", "location", "source_uri"])
    (facts,) = ProbeAsset().open()(rows).to_pylist()
    assert ("video", 24, None) == (facts["kind"], facts["frame_count"], facts["error"])


def test_uneven_times_are_vfr(tmp_path: Path) -> None:
    """Frames at uneven times make a variable frame rate."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n, pts in enumerate([0, 1, 2, 6, 7, 12]):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (facts,) = probe(path)
    assert (True, 6) == (facts["vfr"], facts["frame_count"])


@pytest.mark.parametrize("name", ["-i.mp4", "a%03d.mp4", "http:x.mp4", "concat:a|b.mp4", "line\nbreak.mp4", "mit Leerzeichen ü.mp4"])
def test_names_are_only_names(tmp_path: Path, name: str) -> None:
    """No name is an option, a pattern or a protocol."""
    (facts,) = probe(draw(tmp_path / name))
    assert ("video", None) == (facts["kind"], facts["error"])


def reason(path: Path) -> str:
    (facts,) = probe(path)
    return str(facts["error"]).partition(":")[0]


def test_cut_off_files(tmp_path: Path) -> None:
    """A file that ends early is truncated, whether its index comes first or last."""
    whole = draw(tmp_path / "a.mp4", frames=120, size=(320, 240)).read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    assert "truncated" == reason(tmp_path / "b.mp4")
    (tmp_path / "c.mp4").write_bytes(whole[:32] + b"\0\0\xff\xffmdat" + b"\0" * 4000)
    assert "truncated" == reason(tmp_path / "c.mp4")
    picture = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(picture, "JPEG")
    (tmp_path / "d.jpg").write_bytes(picture.getvalue()[:-200])
    assert "truncated" == reason(tmp_path / "d.jpg")


@pytest.mark.parametrize("text", ["a caption", "#EXTM3U\n#EXTINF:1,\nsecret.ts\n", "ffconcat version 1.0\nfile secret.ts\n", "v=0\nm=video 0 RTP/AVP 96\n"])
def test_scripts_named_like_media_open_nothing(tmp_path: Path, text: str) -> None:
    """A playlist, a concat script and an SDP named .mp4 are text, and the file beside them is not read."""
    draw(tmp_path / "secret.ts", codec="mpeg2video")
    (tmp_path / "a.mp4").write_text(text)
    assert "not_media" == reason(tmp_path / "a.mp4")


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\nsecret.ts\n", "ffconcat version 1.0\nfile secret.ts\n"])
def test_even_the_demuxer_refuses_scripts(tmp_path: Path, text: str) -> None:
    """The allow-list holds where content passes the first look: a script opened as a container is refused."""
    from manifests.errors import RowError
    from stages.media import Limits, open_video

    draw(tmp_path / "secret.ts", codec="mpeg2video")
    (tmp_path / "a.m3u8").write_text(text)
    location = {"path": str(tmp_path / "a.m3u8"), "offset": None, "size": None}
    with pytest.raises(RowError), open_video(location, Limits()) as container:
        next(container.demux())


def png_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = zlib.compress(b"\0" * ((width // 8 + 2) * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [13_000, 30_000, 65_535])
def test_pixel_bombs_are_refused_by_their_header(tmp_path: Path, side: int) -> None:
    """A picture beyond the pixel limit is not loaded."""
    (tmp_path / "a.png").write_bytes(png_claiming(side, side))
    assert "too_many_pixels" == reason(tmp_path / "a.png")


def test_wrong_extension_is_no_fault(tmp_path: Path) -> None:
    """Content decides: a PNG named .jpg is an image, an MP4 named .mkv is a video."""
    Image.new("RGB", (60, 70)).save(tmp_path / "p.png")
    (tmp_path / "p.png").rename(tmp_path / "p.jpg")
    draw(tmp_path / "v.mp4").rename(tmp_path / "v.mkv")
    image, video = probe(tmp_path / "p.jpg", tmp_path / "v.mkv")
    assert ("image", "png", "video", "mov") == (image["kind"], image["format"], video["kind"], video["format"])


def test_other_kinds_are_told_not_failed(tmp_path: Path) -> None:
    """Audio, text and documents are what they are; a rule sets them aside later."""
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (tmp_path / "b.md").write_text("words")
    (tmp_path / "c.pdf").write_bytes(b"%PDF-1.7 \xff")
    (tmp_path / "d.bin").write_bytes(bytes(range(256)))
    paths = [tmp_path / name for name in ("a.wav", "b.md", "c.pdf", "d.bin")]
    assert [("audio", None), ("text", None), ("document", None), ("other", None)] == [(f["kind"], f["error"]) for f in probe(*paths)]


def test_real_media_all_have_an_outcome(real_media: Path) -> None:
    """Every real file is a kind or a failure with one of the known reasons; orientation 5 to 8 turns the sides."""
    from stages.media import REASONS

    paths = [p for p in sorted((real_media / "torchcodec").rglob("*")) + sorted((real_media / "moviepy").rglob("*")) if p.is_file()]
    for path, facts in zip(paths, probe(*paths), strict=True):
        assert facts["kind"] or str(facts["error"]).partition(":")[0] in REASONS, path
    turned = sorted((real_media / "exif-orientation-examples").rglob("Landscape_[58].jpg"))
    assert all(f["width_px"] > f["height_px"] for f in probe(*turned))


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\xff\xd8\xff\xe0", "image"), (b"\0\0\0\x20ftypavif", "image"), (b"\0\0\0\x20ftypisom", "video"), (b"RIFF\0\0\0\0AVI ", "video"), (b"RIFF\0\0\0\0WAVE", "audio")]
    + [(b"\x1aE\xdf\xa3", "video"), (b"BMW is a car", "text"), (b"BM\0\0\0\0\0\0\0\0", "image"), (b"P6\n3 2\n255\n", "image"), ("über".encode()[:-1], "text"), (b"\0\1\2", "other")],
)
def test_first_bytes_tell_the_kind(head: bytes, kind: str) -> None:
    """Signatures as the formats' specifications give them; text cut within a character is still text."""
    assert kind == sniff(head)


def test_content_is_the_identity(tmp_path: Path) -> None:
    """The id is the first half of the SHA-256 (FIPS 180-2's example for 'abc'); an empty file and a missing one fail."""
    (tmp_path / "abc").write_bytes(b"abc")
    (tmp_path / "empty").write_bytes(b"")
    rows = [{"id": n, "location": {"path": str(tmp_path / n), "offset": None, "size": None}, "size_bytes": s} for n, s in [("abc", 3), ("empty", 0), ("gone", 3)]]
    done: pa.Table = HashContent().open()(columns.table(rows, ["id", "location", "size_bytes"]))
    assert "ba7816bf8f01cfea414140de5dae2223" == done["asset_id"][0].as_py()
    assert [None, "empty_file", "unreadable"] == [e and e.partition(":")[0] for e in done["error"].to_pylist()]

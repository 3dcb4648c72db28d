"""What an asset is: by its content, whatever its name says; hostile content opens nothing else."""

import io
import random
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import pyarrow as pa
import pytest
from PIL import Image

from manifests import columns
from stages import child
from stages.ingest.probe import FACTS, ProbeAsset
from tests.stages.conftest import draw


def probe(*paths: Path, names: list[str] | None = None) -> list[dict[str, object]]:
    rows = [
        {
            "id": str(n),
            "location": {"path": str(p), "offset": None, "size": None},
            "source_uri": names[n] if names else p.name,
        }
        for n, p in enumerate(paths)
    ]
    return list(ProbeAsset().open()(columns.table(rows, ["id", "location", "source_uri"])).to_pylist())


def test_facts_of_a_video(tmp_path: Path) -> None:
    """Frames, rate, duration and size are those that were drawn."""
    (facts,) = probe(draw(tmp_path / "a.mp4", frames=30, fps=15))
    assert (None, "video", "mov", "h264", 64, 48, 0, 15.0, False, 30, 2.0) == tuple(
        facts[k]
        for k in [
            "error",
            "kind",
            "format",
            "codec",
            "width_px",
            "height_px",
            "rotation",
            "fps",
            "vfr",
            "frame_count",
            "duration_s",
        ]
    )


def test_member_of_a_tar_is_a_range(tmp_path: Path) -> None:
    """A video inside another file is read in place."""
    video = draw(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "x, t%03d: .tar").write_bytes(b"\0" * 512 + video + b"\0" * 1024)
    location = {"path": str(tmp_path / "x, t%03d: .tar"), "offset": 512, "size": len(video)}
    rows = columns.table(
        [{"id": "a", "location": location, "source_uri": "a.mp4"}], ["id", "location", "source_uri"]
    )
    (facts,) = ProbeAsset().open()(rows).to_pylist()
    assert ("video", 24, None) == (facts["kind"], facts["frame_count"], facts["error"])


def test_uneven_times_are_vfr(tmp_path: Path) -> None:
    """Frames at uneven times make a variable frame rate."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pts in [0, 1, 2, 6, 7, 12]:
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (facts,) = probe(path)
    assert (True, 6) == (facts["vfr"], facts["frame_count"])


@pytest.mark.parametrize(
    "name",
    ["-i.mp4", "a%03d.mp4", "http:x.mp4", "concat:a|b.mp4", "line\nbreak.mp4", "mit Leerzeichen ü.mp4"],
)
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


@pytest.mark.parametrize(
    "text",
    [
        "a caption",
        "#EXTM3U\n#EXTINF:1,\nsecret.ts\n",
        "ffconcat version 1.0\nfile secret.ts\n",
        "v=0\nm=video 0 RTP/AVP 96\n",
    ],
)
def test_scripts_named_like_media_open_nothing(tmp_path: Path, text: str) -> None:
    """A playlist, a concat script and an SDP named .mp4 are text, and the file beside them is not read."""
    draw(tmp_path / "secret.ts", codec="mpeg2video")
    (tmp_path / "a.mp4").write_text(text)
    assert "not_media" == reason(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\nsecret.ts\n", "ffconcat version 1.0\nfile secret.ts\n"]
)
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
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = zlib.compress(b"\0" * ((width // 8 + 2) * 64))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


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
    assert ("image", "png", "video", "mov") == (
        image["kind"],
        image["format"],
        video["kind"],
        video["format"],
    )


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
    assert [("audio", None), ("text", None), ("document", None), ("other", None)] == [
        (f["kind"], f["error"]) for f in probe(*paths)
    ]


def test_real_media_all_have_an_outcome(real_media: Path) -> None:
    """Every real file is a kind or a failure with a known reason; orientation 5 to 8 turns the sides."""
    from stages.media import REASONS

    paths = [
        p
        for p in sorted((real_media / "torchcodec").rglob("*")) + sorted((real_media / "moviepy").rglob("*"))
        if p.is_file()
    ]
    for path, facts in zip(paths, probe(*paths), strict=True):
        assert facts["kind"] or str(facts["error"]).partition(":")[0] in REASONS, path
    turned = sorted((real_media / "exif-orientation-examples").rglob("Landscape_[58].jpg"))
    assert all(f["width_px"] > f["height_px"] for f in probe(*turned))


def test_transport_streams_have_all_facts(tmp_path: Path) -> None:
    """A container that cannot be sought to its start is probed like the others; its clock starts late."""
    (facts,) = probe(draw(tmp_path / "a.ts", frames=30, fps=15, codec="mpeg2video"))
    assert (None, "mpegts", 64, 30, 2.0) == tuple(
        facts[k] for k in ("error", "format", "width_px", "frame_count", "duration_s")
    )


# FFmpeg turns counter-clockwise, players are told clockwise; anything else is the nearest quarter.
@pytest.mark.parametrize(("turn", "expected"), [(0, 0), (90, 270), (180, 180), (270, 90), (30, 0)])
def test_rotation_is_clockwise_in_quarters(tmp_path: Path, turn: int, expected: int) -> None:
    """Sides are those that a player shows."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(turn)
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    (facts,) = probe(path)
    sides = (48, 64) if expected in (90, 270) else (64, 48)
    assert (expected, *sides) == (facts["rotation"], facts["width_px"], facts["height_px"])


def test_sound_named_like_a_picture_is_sound(tmp_path: Path) -> None:
    """Sound is content, whatever its name; text, documents and nothing at all are no picture."""
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    (tmp_path / "a.wav").rename(tmp_path / "a.mp4")
    (tmp_path / "b.jpg").write_bytes(b"%PDF-1.7 \xff")
    (tmp_path / "c.mp4").write_bytes(b"")
    sound, document, nothing = probe(*(tmp_path / name for name in ("a.mp4", "b.jpg", "c.mp4")))
    assert ("audio", None) == (sound["kind"], sound["error"])
    assert (
        "not_media: content is document, but the name ends in .jpg, which promises image" == document["error"]
    )
    assert "empty_file: the file holds no bytes" == nothing["error"]


def test_a_small_member_does_not_reach_into_its_neighbour(tmp_path: Path) -> None:
    """The kind of a text of five bytes in a tar is told by these five bytes."""
    (tmp_path / "a.tar").write_bytes(b"words" + bytes(600))
    location = {"path": str(tmp_path / "a.tar"), "offset": 0, "size": 5}
    row = {"id": "a", "location": location, "source_uri": "a.tar/a.md"}
    (facts,) = ProbeAsset().open()(columns.table([row], ["id", "location", "source_uri"])).to_pylist()
    assert ("text", None) == (facts["kind"], facts["error"])


def test_damage_never_ends_the_decoder(tmp_path: Path) -> None:
    """Seeded cuts and flipped bytes give facts or a known reason; the decoder lives on."""
    from stages.media import REASONS

    Image.effect_noise((40, 30), 60).convert("RGB").save(tmp_path / "a.avif")
    Image.effect_noise((40, 30), 60).save(tmp_path / "a.webp")
    whole = [draw(tmp_path / name, codec="mpeg4") for name in ("a.mp4", "a.avi", "a.mkv")]
    whole += [tmp_path / "a.avif", tmp_path / "a.webp"]
    for seed in range(60):
        chance = random.Random(seed)
        source = chance.choice(whole)
        content = bytearray(source.read_bytes())
        for _ in range(chance.choice([1, 5, 50])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        damaged = tmp_path / f"{seed}{source.suffix}"
        damaged.write_bytes(content[: chance.choice([len(content), len(content) // 2])])
        (facts,) = probe(damaged)
        found = str(facts["error"]).partition(":")[0]
        assert facts["kind"] or (found in REASONS and found not in ("decoder_crashed", "deadline")), damaged


def test_a_large_file_has_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every packet is read: 50 GB may take 5000 s more than an empty file, at 10 MB a second."""
    given: list[float] = []

    def call(_: object, job: str, *, deadline_s: float, **arguments: object) -> pa.Table:
        given.append(deadline_s)
        return columns.table([{"kind": "other"}], FACTS)

    monkeypatch.setattr(child.Child, "call", call)
    rows = [
        {"id": str(size), "location": {"path": "x", "offset": None, "size": size}, "source_uri": "x"}
        for size in (0, 50_000_000_000)
    ]
    ProbeAsset().open()(columns.table(rows, ["id", "location", "source_uri"]))
    assert [60.0, 5060.0] == given


def drawn(path: Path, codec: str, *, shape: Fraction = Fraction(1), turn: int = 0) -> Path:
    """Five empty frames of 64 x 48; `shape` is that of a pixel."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        stream.set_display_rotation(turn)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    return path


def test_bits_per_pixel_by_hand(tmp_path: Path) -> None:
    """Raw 4:2:0 has 12; an image 8 for each byte of its file: 54 of a BMP's header and 3 a pixel."""
    drawn(tmp_path / "a.mkv", "rawvideo")
    Image.new("RGB", (40, 30)).save(tmp_path / "b.bmp")
    rows = [
        {
            "id": path.name,
            "location": {"path": str(path), "offset": None, "size": path.stat().st_size},
            "source_uri": path.name,
        }
        for path in sorted(tmp_path.iterdir())
    ]
    found = ProbeAsset().open()(columns.table(rows, ["id", "location", "source_uri"])).to_pylist()
    assert [12.0, 24 + 54 * 8 / 1200] == [row["bits_per_pixel"] for row in found]


@pytest.mark.parametrize(("name", "frames"), [("a.gif", 1), ("b.gif", 3), ("c.webp", 3), ("d.png", 3)])
def test_bits_of_several_pictures_say_nothing_of_one(tmp_path: Path, name: str, frames: int) -> None:
    """An animated image is a file of many frames, of which one is taken; of GIF it is not looked up."""
    first, *more = [Image.new("RGB", (40, 30), (90 * n, 0, 0)) for n in range(frames)]
    first.save(tmp_path / name, save_all=True, append_images=more)
    (row,) = probe(tmp_path / name)
    assert (40 / 30, None, None) == (row["aspect"], row["bits_per_pixel"], row["error"])


@pytest.mark.parametrize(
    ("shape", "turn", "expected"),
    [
        (Fraction(1), 0, 64 / 48),
        (Fraction(1), 90, 48 / 64),
        (Fraction(4, 3), 0, 16 / 9),
        (Fraction(4, 3), 90, 9 / 16),
    ],
)
def test_aspect_as_displayed(tmp_path: Path, shape: Fraction, turn: int, expected: float) -> None:
    """Turned, and with pixels that are wider than high: 64 x 48 of 4:3 are shown as 16:9."""
    (row,) = probe(drawn(tmp_path / "a.mov", "libx264", shape=shape, turn=turn))
    assert row["aspect"] == pytest.approx(expected)

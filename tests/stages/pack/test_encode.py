"""Images on their way into a shard, through the real decode child."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manifests import columns
from stages import child
from stages.pack.cut import CutMedia

MEDIA = Path(__file__).parents[4] / "shared" / "media"


@pytest.fixture(scope="module", autouse=True)
def ended_child() -> Iterator[None]:
    yield
    child.decoder().close()


def location(path: Path, offset: int | None = None, size: int | None = None) -> dict[str, object]:
    return {"path": str(path), "offset": offset, "size": size}


def packed(place: dict[str, object], **settings: Any) -> dict[str, Any]:
    stage = CutMedia(**settings)
    rows = columns.table([{"id": "a", "kind": "image", "location": place}], ["id", *stage.reads])
    row: dict[str, Any] = stage.open()(rows).to_pylist()[0]
    return row


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def picture(row: dict[str, Any]) -> Image.Image:
    image = Image.open(io.BytesIO(row["media"]))
    assert ("JPEG", "jpg", "encoded", None) == (
        image.format,
        row["media_ext"],
        row["media_how"],
        row["error"],
    )
    return image


def two_halves(mode: str, left: Any, right: Any) -> Image.Image:
    image = Image.new(mode, (64, 32), left)
    image.paste(right, (32, 0, 64, 32))
    return image


def near(expected: int | tuple[int, ...], actual: Any) -> bool:
    """Within 2 of 255, which is what JPEG at quality 95 does to a flat colour."""
    pairs = zip(*[v if isinstance(v, tuple) else (v,) for v in (expected, actual)], strict=True)
    return all(abs(one - other) <= 2 for one, other in pairs)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_upright_jpeg_is_copied(tmp_path: Path, mode: str) -> None:
    """Its bytes are those of the file, also out of the middle of a tar."""
    path = saved(tmp_path / "a.jpg", Image.new(mode, (20, 10), 7), progressive=True)
    content = path.read_bytes()
    row = packed(location(path))
    assert (content, "copied", "jpg", len(content)) == (
        row["media"],
        row["media_how"],
        row["media_ext"],
        row["media_bytes"],
    )
    (tmp_path / "a.tar").write_bytes(b"before" + content + b"after")
    assert content == packed(location(tmp_path / "a.tar", 6, len(content)))["media"]


def test_a_turned_jpeg_is_turned(tmp_path: Path) -> None:
    """EXIF orientation 6 (turn by 90 degrees clockwise): left becomes top, the tag is gone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", two_halves("RGB", (255, 0, 0), (0, 0, 255)), exif=exif, quality=95)
    image = picture(packed(location(path)))
    assert (32, 64) == image.size
    assert near((254, 0, 0), image.getpixel((16, 4)))
    assert near((0, 0, 254), image.getpixel((16, 60)))
    assert 1 == image.getexif().get(0x0112, 1)


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    """Nothing there is white, half of black is middle gray, whatever the mode."""
    cases = [
        saved(tmp_path / "rgba.png", two_halves("RGBA", (0, 0, 0, 128), (9, 9, 9, 0))),
        saved(tmp_path / "la.png", two_halves("LA", (0, 128), (9, 0))),
        saved(tmp_path / "rgba.webp", two_halves("RGBA", (0, 0, 0, 128), (9, 9, 9, 0)), lossless=True),
    ]
    for path in cases:
        image = picture(packed(location(path)))
        assert near((127, 127, 127), image.getpixel((4, 4)))
        assert near((255, 255, 255), image.getpixel((60, 4)))


def test_a_transparent_colour_is_white(tmp_path: Path) -> None:
    """A palette's and an RGB picture's transparent colour, too."""
    palette = two_halves("RGB", (0, 0, 0), (250, 0, 0)).quantize(2)
    index = palette.getpixel((4, 4))
    paths = [
        saved(tmp_path / "p.png", palette, transparency=index),
        saved(tmp_path / "p.gif", palette, transparency=index),
        saved(tmp_path / "rgb.png", two_halves("RGB", (0, 0, 0), (250, 0, 0)), transparency=(0, 0, 0)),
    ]
    for path in paths:
        assert near((255, 255, 255), picture(packed(location(path))).getpixel((4, 4)))


def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path) -> None:
    """0x80ff is 0x80, 0x1000 is 0x10: not cut off at 255."""
    values = struct.pack("<64H", *([0x80FF] * 32 + [0x1000] * 32)) * 32
    path = saved(tmp_path / "a.png", Image.frombytes("I;16", (64, 32), values))
    image = picture(packed(location(path)))
    assert near(0x80, image.getpixel((4, 4)))
    assert near(0x10, image.getpixel((60, 4)))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    """Full cyan, without a profile, is blue and green."""
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (255, 0, 0, 0)), quality=95)
    assert near((0, 255, 255), picture(packed(location(path))).getpixel((8, 8)))


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    """A GIF that turns from red to blue is red."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert near((254, 0, 0), picture(packed(location(path))).getpixel((8, 8)))


def test_a_bound_shrinks_both_kinds(tmp_path: Path) -> None:
    """The longer side is bounded, the aspect kept, the smaller picture copied."""
    large = saved(tmp_path / "large.jpg", Image.new("RGB", (300, 100)))
    small = saved(tmp_path / "small.jpg", Image.new("RGB", (90, 30)))
    assert (90, 30) == picture(packed(location(large), max_side_px=90)).size
    assert "copied" == packed(location(small), max_side_px=90)["media_how"]


def test_chroma_is_whole(tmp_path: Path) -> None:
    """4:4:4: each of the three components is sampled at every pixel."""
    image = picture(packed(location(saved(tmp_path / "a.png", Image.new("RGB", (16, 16))))))
    assert [(1, 1)] * 3 == [layer[1:3] for layer in image.layer]  # type: ignore[attr-defined]


def test_equal_pictures_are_equal_bytes(tmp_path: Path) -> None:
    """The same picture in two files, encoded twice, gives the same bytes."""
    drawn = two_halves("RGB", (1, 200, 3), (90, 80, 70))
    rows = [packed(location(saved(tmp_path / name, drawn))) for name in ("a.png", "b.bmp")]
    assert rows[0]["media_sha256"] == rows[1]["media_sha256"]


def test_a_broken_picture_is_a_failed_row(tmp_path: Path) -> None:
    """A truncated JPEG is not copied: its row fails with the reason."""
    path = saved(tmp_path / "a.jpg", Image.effect_noise((64, 64), 90))
    path.write_bytes(path.read_bytes()[:600])
    row = packed(location(path))
    assert None is row["media"]
    assert row["error"].startswith("truncated: ")


def test_floating_point_is_refused(tmp_path: Path) -> None:
    """Pixels without a known range are not guessed at."""
    path = saved(tmp_path / "a.tif", Image.new("F", (8, 8), 0.5))
    assert packed(location(path))["error"].startswith("encode_failed: pixels are floating-point")


@pytest.mark.skipif(not MEDIA.exists(), reason="no ../shared/media beside the project")
def test_all_orientations_are_one_picture() -> None:
    """The EXIF examples show one scene: upright, each looks like the first."""
    folder = MEDIA / "exif-orientation-examples"
    images = []
    for path in sorted(folder.glob("Landscape_*.jpg")):
        content = packed(location(path))["media"]
        images.append(np.asarray(Image.open(io.BytesIO(content)).convert("L").resize((32, 24)), int))
    assert len(images) > 1
    assert all(np.abs(images[0] - image).mean() < 8 for image in images)

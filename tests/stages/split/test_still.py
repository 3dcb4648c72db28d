"""Images: decoded once and no larger than needed, upright and plain whatever the file is like."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from stages.media import Limits
from stages.split import pictures
from stages.split.shots import SplitShots
from stages.split.still import image_row, load, opened

Array = np.ndarray[Any, Any]
ORIENTATION = 0x0112
# Levels of 255 by which a picture of 256 px may differ, in the mean, from that of the whole image.
BOUND = 1.5


def photograph(width: int = 1280, height: int = 720, seed: int = 0) -> Image.Image:
    """Structure of all sizes down to a few pixels, with grain, as a camera sees it."""
    rng = np.random.default_rng(seed)
    made = np.full((height, width, 3), 128.0)
    for cells, strength in ((4, 60), (16, 30), (64, 16), (256, 8)):
        small = rng.integers(-strength, strength + 1, (cells, cells, 3)).astype(np.float32)
        grown = [
            Image.fromarray(small[..., n]).resize((width, height), Image.Resampling.BICUBIC) for n in range(3)
        ]
        made += np.stack([np.asarray(channel) for channel in grown], 2)
    made += rng.normal(0, 3, (height, width, 1))
    return Image.fromarray(made.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return photograph()


def at(path: Path) -> dict[str, Any]:
    return {"path": str(path), "offset": None, "size": None}


def save(path: Path, image: Image.Image, **options: Any) -> dict[str, Any]:
    image.save(path, "JPEG", **{"quality": 90, **options})
    return at(path)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def difference(one: Array, other: Array) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "progressive": {"progressive": True},
    "full chroma": {"subsampling": 0},
    "low quality": {"quality": 40},
    "gray": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
    **{f"orientation {n}": {"exif": turned(n)} for n in (1, 3, 6, 7)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_looks_like_the_whole(tmp_path: Path, photo: Image.Image, kind: str) -> None:
    """Upright, of the same colours, near to the whole shrunk by area."""
    options = dict(KINDS[kind])
    location = save(tmp_path / "a.jpg", photo.convert(options.pop("mode", "RGB")), **options)
    whole, draft = opened(Limits(), location), opened(Limits(), location, 300)
    sides = (720, 1280) if kind[-1] in "67" else (1280, 720)
    assert sides == (whole.width_px, whole.height_px) == (draft.width_px, draft.height_px)
    assert sides[::-1] == whole.pixels.shape[:2]
    assert (sides[1] // 4, sides[0] // 4) == draft.pixels.shape[:2]
    expected = pictures.shrunk(whole.pixels, 256)
    assert difference(expected, pictures.shrunk(draft.pixels, 256)) < BOUND


def test_the_whole_is_what_pillow_gives(tmp_path: Path, photo: Image.Image) -> None:
    """Without a least size nothing is left out: callers that cut and copy see every pixel, as BGR."""
    location = save(tmp_path / "a.jpg", photo, exif=turned(6))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg")))[:, :, ::-1]
    assert np.array_equal(expected, load(Limits(), location))


@pytest.mark.parametrize(
    ("size", "least", "expected"),
    [
        ((1920, 1088), 461, (480, 272)),
        ((1920, 1088), 480, (480, 272)),
        ((1920, 1088), 481, (960, 544)),
        ((1920, 1088), 240, (240, 136)),
        ((1088, 1920), 461, (272, 480)),
        ((4001, 2999), 461, (501, 375)),
        ((921, 300), 461, (461, 150)),
        ((920, 300), 461, (920, 300)),
        ((400, 300), 461, (400, 300)),
        # Of sides under 8 px there is no eighth.
        ((9, 7), 1, (3, 2)),
    ],
)
def test_the_scale_is_the_smallest_that_suffices(
    tmp_path: Path, size: tuple[int, int], least: int, expected: tuple[int, int]
) -> None:
    """A half, a quarter or an eighth of each side, rounded up; a picture that is smaller comes whole."""
    location = save(tmp_path / "a.jpg", Image.new("RGB", size, (200, 100, 50)))
    still = opened(Limits(), location, least)
    assert size == (still.width_px, still.height_px)
    assert expected == still.pixels.shape[1::-1]
    assert np.abs(still.pixels.astype(int) - (50, 100, 200)).max() <= 3


def test_several_pictures_in_one_file(tmp_path: Path, photo: Image.Image) -> None:
    """Of a camera's MPO, which calls itself JPEG, it is the first picture."""
    content = io.BytesIO()
    photo.save(content, "MPO", save_all=True, append_images=[Image.new("RGB", photo.size)], quality=90)
    path = tmp_path / "a.jpg"
    path.write_bytes(content.getvalue())
    assert "MPO" == Image.open(path).format
    draft = opened(Limits(), at(path), 300)
    assert (1280, 720) == (draft.width_px, draft.height_px)
    assert (180, 320) == draft.pixels.shape[:2]
    small = [pictures.shrunk(pixels, 256) for pixels in (load(Limits(), at(path)), draft.pixels)]
    assert difference(*small) < BOUND


@pytest.mark.parametrize("ext", ["png", "webp", "tiff", "gif"])
def test_other_formats_come_whole(tmp_path: Path, ext: str) -> None:
    """Only JPEG has smaller pictures inside."""
    photograph(480, 270).save(tmp_path / f"a.{ext}")
    still = opened(Limits(), at(tmp_path / f"a.{ext}"), 50)
    assert (270, 480, 3) == still.pixels.shape
    assert (480, 270) == (still.width_px, still.height_px)


def row(path: Path, **settings: Any) -> dict[str, Any]:
    return image_row(Limits(), {"asset_id": "a" * 32, "location": at(path)}, SplitShots(**settings))


def test_one_draft_serves_all_measures(tmp_path: Path, photo: Image.Image) -> None:
    """Measures of a draft are near those of the whole, which a PNG of the same pixels gives."""
    save(tmp_path / "a.jpg", photo.resize((1920, 1088)))
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    draft, whole = row(tmp_path / "a.jpg"), row(tmp_path / "a.png")
    for name in ("luma_mean", "detail", "black_share"):
        assert whole[name] == pytest.approx(draft[name], abs=0.01)
    # A draft is sharper than an average, and of 480 px instead of 512.
    assert whole["blur"] == pytest.approx(draft["blur"], abs=0.1)
    frames = [Image.open(io.BytesIO(made["frames"][0]["jpeg"])) for made in (draft, whole)]
    assert [(256, 145), (256, 145)] == [frame.size for frame in frames]
    assert difference(*(np.asarray(frame) for frame in frames)) < BOUND


def test_the_content_hash_is_of_the_draft_and_the_true_size(tmp_path: Path) -> None:
    """Equal for the same pixels in another file, not for another size that gives an equal draft."""
    colour = (200, 100, 50)
    save(tmp_path / "a.jpg", Image.new("RGB", (1920, 1088), colour))
    save(tmp_path / "b.jpg", Image.new("RGB", (1920, 1088), colour), progressive=True, comment=b"a copy")
    save(tmp_path / "c.jpg", Image.new("RGB", (1919, 1088), colour))
    hashes = [row(tmp_path / name)["content_hash"] for name in ("a.jpg", "b.jpg", "c.jpg")]
    assert hashes[0] == hashes[1] != hashes[2]
    # Set so that the whole is needed, a JPEG and a PNG of its pixels are equal.
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    assert row(tmp_path / "a.jpg", blur_px=1920) != row(tmp_path / "a.jpg")
    made = [row(tmp_path / name, blur_px=1920)["content_hash"] for name in ("a.jpg", "a.png")]
    assert made[0] == made[1]


def test_real_orientations(real_media: Path) -> None:
    """Files of one photograph, each stored in another orientation, give one upright draft."""
    folder = real_media / "exif-orientation-examples"
    drafts = [opened(Limits(), at(path), 461) for path in sorted(folder.glob("Landscape_*.jpg"))]
    assert 6 < len(drafts)
    assert {(1800, 1200)} == {(draft.width_px, draft.height_px) for draft in drafts}
    expected, *others = (pictures.shrunk(draft.pixels, 256) for draft in drafts)
    assert max(difference(expected, other) for other in others) < BOUND

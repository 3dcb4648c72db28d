"""A hash is the published one, flat pictures have none, colours stand where they are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from manifests import columns
from stages.dedup.phash import HashFrames, grid_colours, hash_grays, phash


def wave(*, across: int = 0, down: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Gray levels of one cosine of the DCT's basis over 32 x 32."""
    along = [np.cos(np.pi * k * (2 * np.arange(32) + 1) / 64) for k in (down, across)]
    return 128 + 100 * np.outer(*along)


def jpeg(picture: Image.Image) -> bytes:
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=90)
    return made.getvalue()


def frames(*jpegs: bytes) -> list[dict[str, object]]:
    return [{"pts": n, "time_s": float(n), "jpeg": content} for n, content in enumerate(jpegs)]


def hashed(*rows: dict[str, object]) -> list[dict[str, object]]:
    given = columns.table(rows, ["id", "frames"])
    return list(HashFrames().open()(given).to_pylist())


def test_hash_is_the_published_one(real_media: Path) -> None:
    """imagehash's own tests say ba8c84536bd3c366 of their picture."""
    picture = Image.open(real_media / "imagehash/tests/data/imagehash.png")
    assert 0xBA8C84536BD3C366 == phash(picture)


def test_hash_survives_another_encoding(real_media: Path) -> None:
    """A PNG and the JPEG of the same picture have one hash."""
    folder = real_media / "imagehash/tests/data"
    assert phash(Image.open(folder / "peppers.png")) == phash(Image.open(folder / "peppers.jpg"))


@pytest.mark.parametrize(
    ("across", "down", "expected"),
    [(3, 0, 1 << 63 | 1 << 60), (0, 2, 1 << 63 | 1 << 47), (7, 7, 1 << 63 | 1 << 0)],
)
def test_one_wave_sets_one_bit(across: int, down: int, expected: int) -> None:
    """Only the mean (highest bit) and the wave's own coefficient exceed the median, 0; bits go row by row."""
    assert expected == hash_grays(wave(across=across, down=down))


def test_half_of_the_bits_are_set() -> None:
    """Without ties 32 coefficients exceed their median."""
    grays = np.random.default_rng(1).integers(0, 256, (32, 32)).astype(np.float64)
    assert 32 == hash_grays(grays).bit_count()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_picture_has_no_hash(level: int) -> None:
    """One colour all over is null, not the hash that all flat pictures would share."""
    assert None is phash(Image.new("RGB", (64, 48), (level, level, level)))


def test_noise_of_compression_is_flat() -> None:
    """A picture of two neighbouring gray levels has a standard deviation of half a level."""
    checks = np.indices((64, 64)).sum(axis=0) // 8 % 2
    assert None is phash(Image.fromarray((127 + checks).astype(np.uint8)))


def test_colours_stand_row_by_row() -> None:
    """The cell in row 1, column 2 is the seventh; its bytes are red, green, blue."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:20, 40:60] = (1, 2, 3)
    assert [0] * 6 + [0x010203] + [0] * 9 == grid_colours(Image.fromarray(pixels))


def test_a_hash_and_16_colours_a_frame() -> None:
    """Frames keep their order; a flat one has a null hash, and colours."""
    picture = Image.fromarray(wave(across=1).astype(np.uint8))
    flat = Image.new("L", (32, 32), 128)
    (row,) = hashed({"id": "a", "frames": frames(jpeg(flat), jpeg(picture))})
    assert [None, 0b11] == [hash_ and hash_ >> 62 for hash_ in row["phashes"]]  # type: ignore[attr-defined]
    assert [0x808080] * 16 == row["colours"][:16]  # type: ignore[index] # a list of 32 numbers


def test_no_frames_no_hashes() -> None:
    """Null frames are unknown hashes, an empty list is an empty list."""
    one, other = hashed({"id": "a", "frames": None}, {"id": "b", "frames": []})
    assert (None, None) == (one["phashes"], one["colours"])
    assert ([], []) == (other["phashes"], other["colours"])


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_spoilt_frame_fails_its_row_only(content: bytes) -> None:
    """The reason can be counted, the neighbour is hashed."""
    good = jpeg(Image.fromarray(wave(across=1).astype(np.uint8)))
    bad, fine = hashed({"id": "a", "frames": frames(content)}, {"id": "b", "frames": frames(good)})
    assert "bad_frame" == str(bad["error"]).split(":")[0]
    assert (None, 16) == (fine["error"], len(fine["colours"]))  # type: ignore[arg-type] # a list


def test_types_are_those_of_the_columns() -> None:
    """Unsigned 64-bit hashes, nulls among them, fit the stored column."""
    made = HashFrames().open()(columns.table([{"id": "a", "frames": []}], ["id", "frames"]))
    assert pa.list_(pa.uint64()) == made.schema.field("phashes").type

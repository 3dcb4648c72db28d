"""Plain images: what their pixels mean is known, or they are refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.errors import RowError
from stages.flat import flat


def flattened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.load()
        return np.asarray(flat(image))


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.pgm", "a.jp2"])
def test_16_bits_keep_their_upper_byte(tmp_path: Path, name: str) -> None:
    """Whatever mode Pillow holds them in: 0x80ff is 0x80."""
    Image.fromarray(np.full((8, 8), 0x80FF, np.uint16)).save(tmp_path / name)
    assert {0x80} == set(flattened(tmp_path / name).flat)


def test_a_pgm_is_as_bright_as_it_says(tmp_path: Path) -> None:
    """Half of the greatest value of 1000 is half of 65535, or 0x8000."""
    (tmp_path / "a.pgm").write_text("P2 2 1 1000\n500 1000\n")
    assert [128, 255] == flattened(tmp_path / "a.pgm").ravel().tolist()


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_no_range_is_invented(tmp_path: Path, kind: type, turn: int) -> None:
    """128 of how much? 32-bit integers are refused as floating-point numbers are."""
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.full((8, 8), 128, kind)).save(tmp_path / "a.tif", exif=exif)
    with pytest.raises(RowError, match=r"^encode_failed: pixels are .*, whose range is not known"):
        flattened(tmp_path / "a.tif")

"""Stored frames become one small picture."""

import io

import pytest
from PIL import Image

from manifests.errors import RowError
from pipeline.web.pictures import SIDE_PX, contact_sheet, data_uri


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (320, 160)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def test_four_of_eight_in_two_columns() -> None:
    """Of eight frames the second, fourth, sixth and eighth, read line by line, each within SIDE_PX."""
    shades = [jpeg((n * 30, 0, 0)) for n in range(8)]
    content, width, height = contact_sheet(shades)
    assert (2 * SIDE_PX + 2, SIDE_PX + 2) == (width, height)
    sheet = Image.open(io.BytesIO(content))
    places = [(10, 10), (width - 10, 10), (10, height - 10), (width - 10, height - 10)]
    assert [30, 90, 150, 210] == [round(sheet.getpixel(at)[0] / 30) * 30 for at in places]  # type: ignore[index]


def test_one_frame_is_larger_and_none_is_enlarged() -> None:
    """An image of one frame takes twice the side; a tiny one stays tiny."""
    assert (2 * SIDE_PX, SIDE_PX) == contact_sheet([jpeg((1, 2, 3))])[1:]
    assert (16, 8) == contact_sheet([jpeg((1, 2, 3), (16, 8))])[1:]


def test_a_spoilt_frame_is_told() -> None:
    """The reason is that of the stages."""
    with pytest.raises(RowError, match="bad_frame"):
        contact_sheet([b"no picture"])


def test_a_picture_is_its_own_address() -> None:
    """base64 of RFC 2397."""
    assert "data:image/jpeg;base64,AAE=" == data_uri(b"\x00\x01")

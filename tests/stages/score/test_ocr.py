"""Text in frames: words that are known, the area by what was drawn, the same for any batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.errors import RecipeError
from stages.score.ocr import ReadText, _covered
from tests.stages.score.pictures import TINY, plain, real, rows, written


@pytest.fixture(scope="module")
def read() -> Any:
    return ReadText(ocr="text").open()


@pytest.fixture(scope="module")
def find() -> Any:
    return ReadText(ocr="area").open()


def test_drawn_words_are_read(read: Any) -> None:
    """From top to bottom, each line once, however many frames show it; one that is new follows."""
    first = written(("BLUE WINDOW", 40), ("green door", 100))
    second = written(("BLUE WINDOW", 40), ("red house", 100))
    (found,) = read(rows([first, second])).to_pylist()
    assert ["BLUE WINDOW", "green door", "red house"] == found["ocr_text"]


def test_the_area_is_that_of_the_letters(find: Any) -> None:
    """A line of 24 px letters, 150 x 18 of 256 x 144 px (7 %), with the margin that the detector leaves."""
    from PIL import ImageFont

    box = ImageFont.load_default(24).getbbox("BLUE WINDOW")
    letters = (box[2] - box[0]) * (box[3] - box[1]) / (256 * 144)
    (found,) = find(rows([written(("BLUE WINDOW", 72))])).to_pylist()
    assert letters < found["ocr_area_share"] < 2 * letters


def test_the_mean_over_frames(find: Any) -> None:
    """A text that stands in one of two frames has half the area."""
    text = written(("BLUE WINDOW", 72))
    found = find(rows([text], [text, plain()]))["ocr_area_share"].to_pylist()
    assert found[0] / 2 == pytest.approx(found[1], abs=1e-6)


def test_without_text_there_is_none(read: Any) -> None:
    """Nothing, and not null: it was looked for."""
    (found,) = read(rows([plain(), plain()])).to_pylist()
    assert (0.0, []) == (found["ocr_area_share"], found["ocr_text"])


def test_boxes_count_once() -> None:
    """Two boxes of 5 x 4 px that share 2 x 4: 32 of 100 pixels; edges belong to a box."""
    boxes = np.array([[[0, 0], [4, 0], [4, 3], [0, 3]], [[3, 0], [7, 0], [7, 3], [3, 3]]], float)
    assert 0.32 == _covered(boxes, 10, 10)
    assert 1.0 == _covered(np.array([[[0, 0], [9, 0], [9, 9], [0, 9]]], float), 10, 10)


def test_area_and_text_measure_the_same_area_for_any_batch(read: Any, find: Any) -> None:
    """Reading adds a column and changes none; neighbours change nothing."""
    table = rows([written(("BLUE WINDOW", 40))], [plain()], [written(("red house", 90), height_px=40)])
    together = find(table)
    assert together["ocr_area_share"] == read(table)["ocr_area_share"]
    for n in range(len(table)):
        assert together.slice(n, 1).to_pylist() == find(table.slice(n, 1)).to_pylist()


def test_of_tiny_pictures_nothing_is_known(read: Any, find: Any) -> None:
    """Of any shape under 16 px on a side, with what else the row has; from there on none is none."""
    table = rows(*TINY, [plain((16, 16))])
    assert [None] * 4 + [0.0] == find(table)["ocr_area_share"].to_pylist()
    found = read(table)
    assert [None] * 4 + [[]] == found["ocr_text"].to_pylist()
    assert len(table) == found["error"].null_count


def test_rows_without_frames_fail(find: Any) -> None:
    """Their neighbours do not."""
    found = find(rows(None, [plain()], []))["error"].to_pylist()
    assert ["no_frames", None, "no_frames"] == [error and error.partition(":")[0] for error in found]


def test_nothing_is_said_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """The library is silent, with text and without."""
    ReadText(ocr="text").open()(rows([plain(), written(("BLUE WINDOW", 40))]))
    assert ("", "") == tuple(capfd.readouterr())


def test_real_scans_are_read(read: Any, real_media: Path) -> None:
    """Tesseract's own test pages: what phototest.gold.txt says, and nearly half of the page is text."""
    folder = real_media / "tesseract-test" / "testing"
    if not folder.is_dir():
        pytest.skip("Tesseract's test pages are absent: expected in ../shared/media/tesseract-test")
    found = read(rows([real(folder / "phototest.tif")], [real(folder / "HelloGoogle.tif")])).to_pylist()
    expected = (folder / "phototest.gold.txt").read_text().split()
    words = " ".join(found[0]["ocr_text"]).split()
    assert 0.95 * len(expected) < len([word for word in expected if word in words])
    assert 0.3 < found[0]["ocr_area_share"] < 0.6
    assert ["Hello Google"] == found[1]["ocr_text"]


def test_settings() -> None:
    """Off as delivered; what is written follows the setting; a wrong number is refused."""
    assert (False, True) == (ReadText().active, ReadText(ocr="area").active)
    assert ("ocr_area_share", "ocr_text") == ReadText(ocr="text").writes
    ReadText(ocr="text").check()
    assert ReadText(ocr="area").fingerprint() != ReadText(ocr="text").fingerprint()
    with pytest.raises(RecipeError, match=r"score\.ocr_frames is 0, expected 1 to 1000"):
        ReadText(ocr_frames=0)

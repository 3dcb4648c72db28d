"""Exposure, contrast, sharpness and bars of pictures whose values are known by hand."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import columns
from stages.score.pixels import MeasureFrames, bars, of_pictures

Pixels = np.ndarray[Any, Any]


def flat(level: int | tuple[int, int, int], height: int = 72, width: int = 128) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def noise(seed: int = 0, height: int = 72, width: int = 128) -> Pixels:
    return np.random.default_rng(seed).integers(60, 256, (height, width, 3), np.uint8)


def framed(picture: Pixels, colour: int | tuple[int, int, int] = 0, **sides: int) -> Pixels:
    """The picture with lines of one colour laid over its sides."""
    made = picture.copy()
    height, width = made.shape[:2]
    made[: sides.get("top", 0)] = made[height - sides.get("bottom", 0) :] = colour
    made[:, : sides.get("left", 0)] = made[:, width - sides.get("right", 0) :] = colour
    return made


def measured(*every: Sequence[Pixels] | None) -> list[dict[str, Any]]:
    """The stage on rows of these pictures, stored without loss."""
    rows = [
        {
            "id": f"{n}",
            "frames": pictures
            and [{"jpeg": cv2.imencode(".png", picture)[1].tobytes()} for picture in pictures],
        }
        for n, pictures in enumerate(every)
    ]
    return list(MeasureFrames().open()(columns.table(rows, ["id", "frames"])).to_pylist())


def test_a_square_of_known_gray() -> None:
    """A quarter of one frame is 20, the rest 245; all of the other is 128: an eighth of all pixels is below a
    tenth of the range (25.5), three eighths above nine tenths (229.5)."""
    one = flat(245)
    one[:36, :64] = 20
    (row,) = measured([one, flat(128)])
    assert (0.125, 0.375) == (row["dark_share"], row["bright_share"])


def test_rms_contrast_by_hand() -> None:
    """Half black, half white: a deviation of half the range; a quarter 0 and three quarters 200: 200 times
    the root of 3/16. Of two frames the mean."""
    half, quarter = flat(0), flat(200)
    half[:, :64] = 255
    quarter[:36, :64] = 0
    first, second = 0.5, 200 / 255 * (3 / 16) ** 0.5
    found = [row["contrast"] for row in measured([half], [quarter], [half, quarter], [flat(90)])]
    assert found == pytest.approx([first, second, (first + second) / 2, 0.0])


def test_sharpness_by_hand() -> None:
    """A single point of 10 on black among N pixels: the Laplacian is -40 there and 10 at four neighbours, its
    mean 0, its variance (1600 + 400) / N. The sharpest frame counts; a ramp has none but at its ends."""
    point = flat(0)
    point[30, 30] = 10
    (row,) = measured([flat(0), point])
    assert row["sharpness"] == pytest.approx(2000 / (72 * 128))


def test_blurring_lowers_sharpness() -> None:
    """The wider the filter, the lower the value."""
    pictures = [cv2.GaussianBlur(noise(), (0, 0), sigma) for sigma in (0.5, 1, 2, 4)]
    values = [row["sharpness"] for row in measured(*[[p] for p in pictures])]
    assert values == sorted(values, reverse=True) and len(set(values)) == 4


def test_bars_of_known_height() -> None:
    """Nine lines above and below of 72 are a quarter; with 16 columns at each side of 128 three quarters of
    three quarters are left."""
    letterbox = [framed(noise(n), top=9, bottom=9) for n in range(3)]
    window = [framed(noise(n), top=9, bottom=9, left=16, right=16) for n in range(3)]
    above = [framed(noise(n), top=18) for n in range(3)]
    found = measured(letterbox, window, above, [noise()])
    expected = [0.25, 1 - 0.75 * 0.75, 0.25, 0.0]
    assert expected == [row["letterbox_share"] for row in found]
    assert expected == [row["border_share"] for row in found]


def test_bars_survive_the_codec() -> None:
    """As JPEG of quality 90, at most a line is lost on each side."""
    made = [framed(noise(n), top=16, bottom=16) for n in range(3)]
    jpegs = [{"jpeg": cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()} for p in made]
    rows = columns.table([{"id": "a", "frames": jpegs}], ["id", "frames"])
    (row,) = MeasureFrames().open()(rows).to_pylist()
    assert row["letterbox_share"] == pytest.approx(32 / 72, abs=2 / 72)
    assert row["border_share"] == pytest.approx(32 / 72, abs=2 / 72)


def test_a_bar_is_black_in_every_frame() -> None:
    """What is dark in one frame only, as at night, is none: of 20, 9 and 5 lines those 5 count that all have;
    a frame without any takes all away."""
    night = [framed(noise(n), top=top) for n, top in enumerate((20, 9, 5))]
    assert [5 / 72, 0.0] == [
        pytest.approx(row["letterbox_share"]) for row in measured(night, [*night, noise()])
    ]


def test_a_border_of_any_colour() -> None:
    """White bars, or a red one above and a blue one below, are a border and no letterbox."""
    white = framed(noise(), 255, left=32, right=32)
    two = framed(framed(noise(), (0, 0, 250), top=9), (250, 0, 0), bottom=9)
    found = measured([white], [two])
    assert [0.5, 0.25] == [row["border_share"] for row in found]
    assert [0.0, 0.0] == [row["letterbox_share"] for row in found]


def test_cropdetects_limit() -> None:
    """Luma 24 of 16 to 235 is 9.3 of 0 to 255: lines of 9 are black, of 10 they are not."""
    found = measured([framed(noise(), 9, top=18)], [framed(noise(), 10, top=18)])
    assert [0.25, 0.0] == [row["letterbox_share"] for row in found]


def test_a_flat_picture_has_no_bars() -> None:
    """Where nothing is shown nobody knows what frames it: unknown, not all of it."""
    black, gray = measured([flat(0)], [flat(120)])
    assert (None, None) == (black["letterbox_share"], black["border_share"])
    assert (0.0, None) == (gray["letterbox_share"], gray["border_share"])
    assert (1.0, 0.0) == (black["dark_share"], gray["dark_share"])


def test_pictures_of_two_sizes_have_no_common_bars() -> None:
    """Where a stream changes its size; the other measures are known."""
    found = of_pictures([noise(), noise(1, 96)])
    assert found["letterbox_share"] is None and found["border_share"] is None
    assert found["contrast"] is not None


def test_tiny_pictures_are_not_judged() -> None:
    """Below 16 px on a side everything is null; 16 are enough."""
    tiny, small = measured([noise(0, 15, 40)], [noise(0, 16, 40)])
    assert {None} == {tiny[name] for name in (*MeasureFrames.writes, "error")}
    assert None not in {small[name] for name in MeasureFrames.writes}


def test_rows_without_pictures_fail() -> None:
    """No frame, and one that is spoilt; the neighbour is measured."""
    rows = columns.table(
        [
            {"id": "a", "frames": None},
            {"id": "b", "frames": [{"jpeg": b"no picture"}]},
            {"id": "c", "frames": [{"jpeg": cv2.imencode(".jpg", noise())[1].tobytes()}]},
        ],
        ["id", "frames"],
    )
    found = MeasureFrames().open()(rows).to_pylist()
    assert ["no_frames", "bad_frame", ""] == [(row["error"] or "").partition(":")[0] for row in found]
    assert found[2]["contrast"] is not None


@given(*[st.integers(0, 30)] * 2, *[st.integers(0, 50)] * 2, st.integers(1, 3))
def test_bars_are_what_is_left_out(top: int, bottom: int, left: int, right: int, count: int) -> None:
    """Whatever the four sides: 1 - the share that shows something."""
    pictures = [framed(noise(n), top=top, bottom=bottom, left=left, right=right) for n in range(count)]
    expected = 1 - (72 - top - bottom) * (128 - left - right) / (72 * 128)
    assert bars(pictures) == pytest.approx(expected)

"""What a mix counts tokens of is the size that pack really writes."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from manifests import columns
from manifests.errors import RecipeError
from stages import child
from stages.base import Map
from stages.ingest.probe import ProbeAsset
from stages.mix.tokens import VisualRule, visual_tokens
from stages.pack.cut import CutMedia
from stages.pack.size import packed_size

# One token a pixel, and as many as there are: tokens tell the size that was counted.
PIXELS = VisualRule(patch_px=1, merge=1, min_pixels=1, frame_min_pixels=1)
BOUNDS = (None, 2, 33, 64, 75, 128, 4000)
ORIENTATION = 0x0112


@pytest.fixture(scope="module", autouse=True)
def ended_child() -> Iterator[None]:
    yield
    child.decoder().close()


def done(stage: Map, row: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = stage.open()(columns.table([row], ["id", *stage.reads])).to_pylist()[0]
    assert None is made.pop("error")
    return {**row, **made}


def probed(path: Path) -> dict[str, Any]:
    location = {"path": str(path), "offset": None, "size": None}
    return done(ProbeAsset(), {"id": "a", "location": location, "source_uri": path.name})


def film(path: Path, width: int, height: int, turn: int) -> dict[str, Any]:
    """The row of a clip of three frames; whole chroma, as an odd side cannot be halved."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.set_display_rotation(turn)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(width, height, "yuv444p")))
        container.mux(stream.encode(None))
        base = stream.time_base
    times = {"time_base": str(base), "start_pts": 0, "end_pts": 1 << 40, "start_s": 0.0, "end_s": 0.3}
    return {**probed(path), **times}


def picture(path: Path, width: int, height: int, orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new("RGB", (width, height), 90).save(path, exif=exif)
    return probed(path)


def sides(content: bytes, kind: str) -> tuple[int, int]:
    """Width and height of packed media."""
    if kind == "image":
        return Image.open(io.BytesIO(content)).size
    with av.open(io.BytesIO(content), "r") as container:
        frame = next(container.decode(video=0))
        return frame.width, frame.height


def counted(row: dict[str, Any], bound: int | None) -> tuple[int, int]:
    return packed_size(row["kind"], row["width_px"], row["height_px"], bound)


@pytest.mark.parametrize(
    ("width", "height", "turn"), [(129, 43, 0), (43, 129, 0), (129, 43, 90), (64, 48, 180)]
)
def test_a_clip_is_cut_to_the_size_that_is_counted(
    tmp_path: Path, width: int, height: int, turn: int
) -> None:
    """Odd sides, portrait and turned: whatever the bound."""
    row = film(tmp_path / "a.mp4", width, height, turn)
    for bound in BOUNDS:
        size = sides(done(CutMedia(max_side_px=bound), row)["media"], "video")
        assert size == counted(row, bound)
        assert size[0] * size[1] * 2 == visual_tokens(PIXELS, {**row, "frame_count": 4}, bound)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    ("width", "height", "orientation"), [(129, 43, 1), (43, 129, 1), (129, 43, 6), (300, 3, 3)]
)
def test_an_image_is_encoded_to_the_size_that_is_counted(
    tmp_path: Path, suffix: str, width: int, height: int, orientation: int
) -> None:
    """Copied or encoded, upright or turned: whatever the bound."""
    row = picture(tmp_path / f"a.{suffix}", width, height, orientation)
    for bound in BOUNDS:
        size = sides(done(CutMedia(max_side_px=bound), row)["media"], "image")
        assert size == counted(row, bound)
        assert size[0] * size[1] == visual_tokens(PIXELS, row, bound)


def test_no_side_is_shrunk_to_nothing(tmp_path: Path) -> None:
    """A slim clip or picture keeps a side of 2 or 1 pixels."""
    row = film(tmp_path / "a.mp4", 128, 4, 0)
    assert (16, 2) == counted(row, 16) == sides(done(CutMedia(max_side_px=16), row)["media"], "video")
    assert (16, 1) == packed_size("image", 128, 4, 16)


@pytest.mark.parametrize("bound", [1, 0, -5])
def test_a_bound_without_a_picture_is_refused(bound: int) -> None:
    """The smallest clip has two pixels a side."""
    with pytest.raises(RecipeError, match=f"pack.max_side_px is {bound}, expected 2 or more"):
        CutMedia(max_side_px=bound)

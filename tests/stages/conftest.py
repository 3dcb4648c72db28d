"""Where real media is, and tiny media drawn on the spot."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from stages import child

MEDIA = Path(__file__).parents[2] / ".." / "shared" / "media"


@pytest.fixture(scope="session")
def real_media() -> Path:
    """The folder of real media; without it the test is skipped."""
    if not MEDIA.is_dir():
        pytest.skip("real media is absent: expected at ../shared/media beside the project")
    return MEDIA


@pytest.fixture(scope="session", autouse=True)
def _one_child() -> Iterator[None]:
    yield
    child.decoder().close()


def draw(
    path: Path, *, frames: int = 24, fps: int = 24, size: tuple[int, int] = (64, 48), codec: str = "libx264"
) -> Path:
    """A video whose frame n has the gray level 8 * n (modulo 256)."""
    with av.open(
        str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}
    ) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for n in range(frames):
            image = np.full((size[1], size[0], 3), (8 * n) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path

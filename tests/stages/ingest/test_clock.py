"""Clocks of containers: a jump is told, a pause is none."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from manifests.errors import RowError
from stages.ingest.probe import probe_file
from stages.media import Limits
from tests.stages.conftest import draw
from tests.stages.test_media import at, ffmpeg


def joined(path: Path, *parts: Path) -> Path:
    """The bytes of these files, one after the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def shifted(path: Path, seconds: int) -> Path:
    """A copy whose clock begins so much later."""
    later = path.with_stem(f"{path.stem}{seconds}")
    ffmpeg("-i", path, "-c", "copy", "-output_ts_offset", seconds, later)
    return later


def fault(path: Path) -> str:
    with pytest.raises(RowError) as caught:
        probe_file(Limits(), location=at(path), source_uri=path.name)
    return str(caught.value)


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("a.mpg", "mpeg2video")])
def test_a_clock_that_falls_back_is_told(tmp_path: Path, name: str, codec: str) -> None:
    """A file joined to itself is twice as long, but its times are not."""
    one = draw(tmp_path / name, frames=50, fps=25, codec=codec)
    assert fault(joined(tmp_path / f"b{name}", one, one)).startswith("time_jump: the clock jumps from ")


def test_a_clock_that_leaps_ahead_is_told_and_can_be_mended(tmp_path: Path) -> None:
    """A second part from an hour later; what the reason says makes the file whole: 4 s of 25 frames each."""
    one = draw(tmp_path / "a.ts", frames=50, fps=25)
    both, mended = joined(tmp_path / "b.ts", one, shifted(one, 3600)), tmp_path / "c.mp4"
    said = fault(both)
    assert "re-mux the file (ffmpeg -fflags +genpts -i FILE -c copy NEW.mp4)" in said
    ffmpeg("-fflags", "+genpts", "-i", both, "-c", "copy", mended)
    (facts,) = probe_file(Limits(), location=at(mended), source_uri="c.mp4").to_pylist()
    assert (100, 25.0, 4.0) == (facts["frame_count"], facts["fps"], facts["duration_s"])


def test_a_late_clock_is_none_that_jumps(tmp_path: Path) -> None:
    """Where a recording begins in the middle of the day, only its beginning is late."""
    late = shifted(draw(tmp_path / "a.ts", frames=50, fps=25), 3600)
    (facts,) = probe_file(Limits(), location=at(late), source_uri="a.ts").to_pylist()
    assert (25.0, 2.0) == (facts["fps"], facts["duration_s"])


@pytest.mark.parametrize(("name", "pause_s"), [("a.mp4", 600), ("a.mkv", 600), ("a.ts", 9)])
def test_a_pause_is_no_jump(tmp_path: Path, name: str, pause_s: int) -> None:
    """A recording of a screen on which nothing moves for minutes."""
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 10)
        for n, pts in enumerate([0, 1, 10 * pause_s, 10 * pause_s + 1]):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 50 * n, np.uint8), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (facts,) = probe_file(Limits(), location=at(path), source_uri=name).to_pylist()
    assert (4, True) == (facts["frame_count"], facts["vfr"])
    assert pause_s + 0.2 == pytest.approx(facts["duration_s"], abs=0.01)


@pytest.mark.parametrize("name", ["a.ts", "a.mkv"])
def test_sound_that_goes_on_bridges_a_pause(tmp_path: Path, name: str) -> None:
    """20 s of sound with a picture at either end only."""
    inputs = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=1:d=20", "-f", "lavfi", "-i", "sine=d=20")
    ends = ("-vf", "select=lt(n\\,2)+gt(n\\,17)", "-fps_mode", "passthrough")
    ffmpeg(*inputs, *ends, tmp_path / name)
    (facts,) = probe_file(Limits(), location=at(tmp_path / name), source_uri=name).to_pylist()
    assert (4, 20) == (facts["frame_count"], round(facts["duration_s"]))

"""Files that ask for too much, end too early or hold nothing fail in words that are counted."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from manifests.errors import RowError
from stages.media import Limits
from stages.split.effort import Effort
from stages.split.shots import measure
from tests.stages.split.drawn import asset, encoded, scenes

EFFORTS: tuple[Effort, ...] = ("exact", "fast", "keyframes")


def failed(path: Path, effort: Effort, limits: Limits | None = None) -> str:
    """The word by which the step refuses a file."""
    with pytest.raises(RowError) as error:
        measure(limits or Limits(), asset=asset(path), settings={"effort": effort})
    return error.value.reason


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_frame_over_the_limit_in_the_middle(tmp_path: Path, effort: Effort) -> None:
    """The header of the stream promised less: the row fails before such a picture is looked at, whether the
    decoder refuses it or the pass."""
    small = encoded(tmp_path / "a.ts", scenes([1] * 24))
    large = encoded(
        tmp_path / "b.ts", (np.repeat(np.repeat(p, 4, 0), 4, 1) for p in scenes([2] * 24)), pts=range(26, 50)
    )
    path = tmp_path / "c.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    assert failed(path, effort, Limits(max_pixels=128 * 96)) in ("too_many_pixels", "decode_error")
    assert measure(Limits(), asset=asset(path), settings={"effort": effort})


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_stream_without_a_packet(tmp_path: Path, effort: Effort) -> None:
    """A header and nothing behind it."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        container.start_encoding()
    assert failed(path, effort) in ("decode_error", "truncated")


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_a_stream_that_decodes_to_nothing(tmp_path: Path, effort: Effort, codec: str) -> None:
    """Packets of noise behind a sound header."""
    path = encoded(tmp_path / "a.mp4", scenes([1] * 24), codec=codec)
    content = path.read_bytes()
    at = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    path.write_bytes(content[:at] + b"\xa5" * (end - at) + content[end:])
    assert failed(path, effort) in ("decode_error", "not_media")


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_stream_without_a_key_frame(tmp_path: Path, effort: Effort) -> None:
    """Nothing to begin with: it fails, or what the decoder makes of it is in clips once and in order."""
    whole = encoded(tmp_path / "a.mkv", scenes([1] * 48), g="1000", bf="0")
    path = tmp_path / "b.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and not packet.is_keyframe:
                packet.stream = stream
                target.mux(packet)
    try:
        rows = measure(Limits(), asset=asset(path), settings={"effort": effort}).to_pylist()
    except RowError as error:
        assert "decode_error" == error.reason
        return
    assert sum(row["frame_count"] for row in rows) <= 47
    assert all(a["end_pts"] <= b["start_pts"] for a, b in pairwise(rows))


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_a_file_that_was_cut_off(tmp_path: Path, effort: Effort, name: str) -> None:
    """Half of what its packets promised is missing."""
    path = encoded(tmp_path / name, scenes([n // 24 for n in range(240)]), g="24")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RowError, match="truncated"):
        measure(Limits(), asset=asset(path, duration_s=10.0), settings={"effort": effort})


@pytest.mark.parametrize("effort", EFFORTS)
def test_damage_in_the_middle(tmp_path: Path, effort: Effort) -> None:
    """Bytes that were written over either fail the row in a counted word or cost frames of that place alone:
    never an answer in which clips overlap."""
    path = encoded(tmp_path / "a.ts", scenes([n // 24 for n in range(96)]), g="24", bf="2")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(bytes(content))
    try:
        rows = measure(Limits(), asset=asset(path), settings={"effort": effort}).to_pylist()
    except RowError as error:
        assert "decode_error" == error.reason
        return
    assert all(a["end_pts"] <= b["start_pts"] for a, b in pairwise(rows))
    assert all(row["start_pts"] < row["end_pts"] and row["frame_count"] for row in rows)

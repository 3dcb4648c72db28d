"""Where reading begins, and which clips are read in one go."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import child
from stages.pack.seek import runs, seek_s
from tests.stages.pack.clips import clips, encoded


def row(start_s: int, end_s: int, format_: str = "mov") -> dict[str, Any]:
    place = {"start_pts": start_s * 1000, "end_pts": end_s * 1000, "time_base": "1/1000"}
    return {"id": f"{start_s}-{end_s}", "format": format_, "start_s": start_s, "end_s": end_s, **place}


def test_a_seek_leads_ahead_of_the_clip() -> None:
    """Half a second; to nowhere before the beginning, nor where a container tells other times after it."""
    assert Fraction(3, 2) == seek_s(row(2, 3))
    assert None is seek_s(row(0, 3))
    assert None is seek_s(row(2, 3, "mpeg"))


@pytest.mark.parametrize(
    ("format_", "expected"),
    [("mov", [["0-5", "5-9", "19-30"], ["41-42"]]), ("mpeg", [["0-5", "5-9", "19-30", "41-42"]])],
)
def test_far_clips_are_read_by_themselves(format_: str, expected: list[list[str]]) -> None:
    """From a gap of more than ten seconds on; where nothing can be sought, all is read from the beginning
    anyway."""
    rows = [row(*span, format_) for span in ((41, 42), (0, 5), (19, 30), (5, 9))]
    assert expected == [[one["id"] for one in run] for run in runs(rows, 12)]


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 60)), max_size=40), st.integers(1, 12))
def test_every_clip_is_in_one_run(spans: list[tuple[int, int]], most: int) -> None:
    """Runs lose nothing, hold no more than asked, and take no more than minutes."""
    rows = [{**row(start, start + length), "id": str(n)} for n, (start, length) in enumerate(spans)]
    made = list(runs(rows, most))
    assert sorted(one["id"] for one in rows) == sorted(one["id"] for run in made for one in run)
    assert all(len(run) <= most and run[-1]["start_s"] - run[0]["start_s"] <= 180 for run in made)


def test_a_transport_stream_is_entered_at_a_key_frame(tmp_path: Path) -> None:
    """The last one that is shown half a second or more ahead; a seek by time alone leads into the middle."""
    path = encoded(tmp_path, "a.ts", "-c:v", "libx264", "-g", 25, "-bf", 0, "-sc_threshold", 0)
    start = clips(path, (90, 100))[0]["start_pts"]
    decoder = child.decoder()
    place = {"path": str(path), "offset": None, "size": None}
    found = decoder.call("landing", deadline_s=30, location=place, start_pts=start)["seek_s"][0].as_py()
    with av.open(str(path)) as container:
        keys = [packet.dts for packet in container.demux(video=0) if packet.is_keyframe and packet.size]
    assert Fraction(found) == Fraction(keys[3], 90_000)

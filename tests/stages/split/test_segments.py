"""Very long videos in segments: where they begin, and that together they give the clips of the whole."""

import dataclasses
import gc
import weakref
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from manifests import columns
from manifests.errors import RecipeError, RowError
from manifests.ids import segment_id
from stages.media import Limits
from stages.split.segments import CutSegments, segments
from stages.split.watch import SEAM_S
from tests.stages.split.drawn import (
    CUT,
    asset,
    encoded,
    gapless,
    places,
    plan,
    scenes,
    slow,
    split_here,
    watched,
)

RATE, GROUP = 2, 20
FACTS = {"fps": float(RATE)}
SEGMENT = ("segment_start_pts", "segment_end_pts")


def lengths(seed: int, frames: int) -> list[int]:
    """Shots of 4 to 15 seconds."""
    made, rng = list[int](), np.random.default_rng(seed)
    while sum(made) + 60 < frames:
        made.append(int(rng.integers(8, 30)))
    return [*made, frames - sum(made)]


def film(path: Path, shots: Sequence[int], **options: str) -> Path:
    """Shots of so many half seconds, with a key frame every ten seconds and nowhere else."""
    numbers = [n for n, length in enumerate(shots) for _ in range(length)]
    chosen = {"bf": "2", "g": str(GROUP), "sc_threshold": "0", "preset": "veryfast", **options}
    return encoded(path, scenes(numbers), rate=RATE, **chosen)


def cut(path: Path, segment_s: float = 60.0) -> list[dict[str, Any]]:
    return list(segments(Limits(), asset=asset(path), segment_s=segment_s).to_pylist())


def piecewise(path: Path, pieces: Sequence[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    """The clips of all segments, each split by itself."""
    return [
        clip
        for piece in pieces
        for clip in split_here(
            path,
            facts={**FACTS, **{k: piece[k] for k in SEGMENT}},
            **settings,
        )
    ]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five minutes of 600 frames and some thirty shots."""
    return film(tmp_path_factory.mktemp("long") / "a.mkv", lengths(1, 600))


def test_segments_begin_at_key_frames(long: Path) -> None:
    """Each as long as was asked or longer, with nothing between them; the ends of the whole are open."""
    with av.open(str(long)) as container:
        keys = [packet.pts for packet in container.demux(video=0) if packet.is_keyframe]
    found = cut(long, 75.0)
    starts, stops = [s["segment_start_pts"] for s in found], [s["segment_end_pts"] for s in found]
    assert [None, 80_000, 160_000] == starts
    assert starts[1:] == stops[:-1] and None is stops[-1]
    assert set(starts[1:]) <= set(keys)
    assert [80.0, 80.0, 140.0] == [s["duration_s"] for s in found]
    assert [segment_id("a" * 32, start or 0) for start in starts] == [s["id"] for s in found]


@pytest.mark.parametrize("effort", ["fast", "keyframes"])
def test_where_frames_are_left_out_the_key_frame_parts(long: Path, effort: str) -> None:
    """Two segments may not see the same frames: one ends where the next begins, none is doubled, and none
    lost but one at a cut that fast did not see."""
    parts, seams = piecewise(long, cut(long), effort=effort), [s["segment_end_pts"] for s in cut(long)[:-1]]
    assert set(seams) <= {c["end_pts"] for c in parts}
    lost = [after["start_pts"] - before["end_pts"] for before, after in pairwise(parts)]
    assert set(lost) <= ({0, 500} if effort == "fast" else {0})
    assert 600 == sum(c["frame_count"] for c in parts) + sum(lost) // 500


def test_a_film_goes_when_nobody_needs_it(long: Path) -> None:
    """Without waiting for the collector of cycles, which may not come for hours of film."""
    _, piece, *_ = cut(long)
    gc.disable()
    try:
        film = watched(long, facts={**FACTS, **{k: piece[k] for k in SEGMENT}})
        seen = weakref.ref(film)
        del film
        assert seen() is None
    finally:
        gc.enable()


def test_segment_by_segment_is_the_whole(long: Path) -> None:
    """Where a boundary follows within half a minute: the same clips, ids, measures and pictures."""
    whole = split_here(long, facts=FACTS)
    parts = piecewise(long, cut(long))
    assert 4 < len(cut(long)) < len(whole)
    assert [c["id"] for c in whole] == [c["id"] for c in parts]
    assert places(whole) == places(parts)
    for one, other in zip(whole, parts, strict=True):
        differing = {
            name for name in one if one[name] != other[name] and name not in ("frames", "detail", "blur")
        }
        assert set() == differing
        assert 1 <= len(other["frames"]) <= 8
        assert all(other["start_pts"] <= f["pts"] < other["end_pts"] for f in other["frames"])


def test_segments_measure_movement_alike(tmp_path: Path) -> None:
    """Also where a segment begins within a half second: flow, vectors, jumps and flashes of the same
    frames."""
    shots = [40, 70, 75, 65, 60, 80, 90]
    numbers = [n for n, length in enumerate(shots) for _ in range(length)]
    large = (np.tile(picture, (3, 3, 1))[:256, :256] for picture in scenes(numbers))
    options = {"bf": "2", "g": "25", "sc_threshold": "0", "preset": "veryfast"}
    path = encoded(tmp_path / "a.mkv", large, rate=3, **options)
    whole = split_here(path, codec_vectors=True)
    parts = piecewise(path, pieces := cut(path), codec_vectors=True)
    assert all(piece["segment_start_pts"] % 500 for piece in pieces[1:])
    assert places(whole) == places(parts)
    for name in ("flow", "codec_motion", "jump_share", "flash_rate"):
        assert [clip[name] for clip in whole] == [clip[name] for clip in parts]
        assert None not in {clip[name] for clip in whole}


@pytest.mark.parametrize(("name", "seed"), [("a.mp4", 2), ("a.mkv", 3)])
def test_no_frame_is_lost_or_doubled(tmp_path: Path, seed: int, name: str) -> None:
    """Whatever is cut where: the clips of all segments lie one behind the other."""
    path = film(tmp_path / name, lengths(seed, 360), bf="3" if seed == 2 else "0")
    parts = piecewise(path, cut(path))
    assert gapless(parts)
    assert 360 == sum(c["frame_count"] for c in parts)


@pytest.mark.parametrize("near", [-2, 0, 1, 5])
def test_a_cut_beside_the_seam(tmp_path: Path, near: int) -> None:
    """Just before, at, and just behind the key frame between two segments: each boundary counts once."""
    shots = [100, 20 + near, 30 - near, 10, 60, 30]
    path = film(tmp_path / "a.mkv", shots)
    pieces = cut(path)
    assert [None, 60_000] == [p["segment_start_pts"] for p in pieces]
    parts = piecewise(path, pieces, max_shot_s=1000.0)
    assert list(accumulate(shots)) == list(accumulate(c["frame_count"] for c in parts))
    assert gapless(parts)


@pytest.mark.parametrize("near", [-4, 0, 3])
def test_a_dissolve_over_the_seam(tmp_path: Path, near: int) -> None:
    """No frame of the shots on either side is lost or doubled, and both segments agree on the dissolve or on
    what follows it."""
    drawn = plan([120 + near, 32 - near, 40, 80], [slow("dissolve", 8), CUT, CUT], seed=5)
    options = {"bf": "2", "g": str(GROUP), "sc_threshold": "0"}
    path = encoded(tmp_path / "a.mkv", drawn.frames((128, 72)), rate=RATE, **options)
    parts = piecewise(path, cut(path), max_shot_s=1000.0)
    spans = [(c["start_pts"] * RATE // 1000, c["end_pts"] * RATE // 1000) for c in parts]
    held = [n for first, end in spans for n in range(first, end)]
    assert len(set(held)) == len(held) and held == sorted(held)
    assert set(range(280)) - set(held) <= set(range(120 + near - 4, 128 + near + 4))
    assert {160, 200} <= {end for _, end in spans}


@pytest.mark.parametrize("detector", ["reelmix", "histogram", "none"])
def test_without_a_boundary_near_the_seam_it_is_a_limit(tmp_path: Path, detector: str) -> None:
    """Where one shot goes on for longer, one clip ends at the key frame and the next begins there."""
    shots = [100, 150, 70]
    path = film(tmp_path / "a.mkv", shots)
    parts = piecewise(path, cut(path), detector=detector, max_shot_s=1000.0)
    kinds = {"none": [(120, "start", "limit"), (200, "limit", "end")]}
    usual = [(100, "start", "hard"), (20, "hard", "limit"), (130, "limit", "hard"), (70, "hard", "end")]
    assert kinds.get(detector, usual) == places(parts)
    assert gapless(parts)
    assert 130 / RATE > SEAM_S


def test_a_segment_in_the_middle_of_one_shot(tmp_path: Path) -> None:
    """Without any boundary at all every segment is a shot, divided evenly by the maximum."""
    path = film(tmp_path / "a.mkv", [400])
    parts = piecewise(path, cut(path), max_shot_s=30.0)
    assert gapless(parts) and 400 == sum(c["frame_count"] for c in parts)
    assert all(c["duration_s"] <= 30.0 for c in parts)
    assert {"limit"} == {c["ends_with"] for c in parts[:-1]}


def test_which_rows_are_cut() -> None:
    """Videos longer than two segments, of a container that can be sought exactly; all else stays as it is."""
    rows = [
        {"id": "a" * 32, "kind": kind, "format": form, "duration_s": seconds}
        for kind, form, seconds in (
            ("video", "mov", 121.0),
            ("video", "matroska", 121.0),
            ("video", "mov", 120.0),
            ("video", "mpegts", 500.0),
            ("image", "mov", 500.0),
            ("video", None, 500.0),
            ("video", "mov", None),
        )
    ]
    chosen = CutSegments(segment_s=60.0).applies(columns.table(rows, ["id", "kind", "format", "duration_s"]))
    assert chosen is not None
    assert [True, True, False, False, False, False, False] == chosen.to_pylist()


def test_a_segment_is_not_too_short() -> None:
    """A minute at least; the default is ten."""
    with pytest.raises(RecipeError, match="segment_s"):
        CutSegments(segment_s=10.0)
    assert {"segment_s": 600.0} == dataclasses.asdict(CutSegments())


def test_few_key_frames_make_few_segments(tmp_path: Path) -> None:
    """With a single key frame the video is one segment without ends."""
    (piece,) = cut(film(tmp_path / "a.mkv", [400], g="1000"))
    assert (None, None, 200.0) == tuple(
        piece[k] for k in ("segment_start_pts", "segment_end_pts", "duration_s")
    )


def test_the_stage_gives_rows(long: Path) -> None:
    """Through the decode child: one row a segment, under the asset's id."""
    stage = CutSegments(segment_s=60.0)
    row = {**asset(long), "format": "matroska", "duration_s": 300.0}
    made = stage.open()(columns.table([row], ["id", *stage.reads])).to_pylist()
    assert [s["id"] for s in cut(long)] == [m["id"] for m in made]
    assert {"a" * 32} == {m["parent_id"] for m in made} and {None} == {m["error"] for m in made}


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """Fails in words of the media door."""
    (tmp_path / "a.mkv").write_bytes(b"nothing at all")
    with pytest.raises(RowError, match="not_media"):
        cut(tmp_path / "a.mkv")

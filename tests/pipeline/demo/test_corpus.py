"""The corpus on disk: drawn the same each time, and as its truth says."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from manifests.errors import ManifestError
from pipeline.demo import corpus as corpus_module
from pipeline.demo.corpus import draw_corpus, truth_of
from pipeline.demo.plan import make_plan

SEED, SCALE = 3, 0.1
File = dict[str, Any]
Frames = list[npt.NDArray[np.float64]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    draw_corpus(folder, seed=SEED, scale=SCALE)
    return folder


@pytest.fixture(scope="module")
def truth(folder: Path) -> list[File]:
    files: list[File] = json.loads((folder / "truth.json").read_text())["files"]
    return files


@pytest.fixture(scope="module")
def frames(folder: Path, truth: list[File]) -> dict[str, Frames]:
    """Every video's frames as luma, as stored."""
    return {f["path"]: decoded(folder / "corpus" / f["path"]) for f in truth if f["kind"] == "video"}


def decoded(path: Path) -> Frames:
    with av.open(f"file:{path}") as container:
        return [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]


def of(truth: list[File], plant: str, kind: str = "video") -> list[File]:
    return [file for file in truth if plant in file["plants"] and file["kind"] == kind]


def changes(frames: Frames) -> npt.NDArray[np.float64]:
    return np.array([np.abs(one - two).mean() for one, two in pairwise(frames)])


def digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Every file, captions and truth included."""
    draw_corpus(tmp_path, seed=SEED, scale=SCALE)
    assert digests(tmp_path) == digests(folder)


def test_another_seed_gives_other_scenes() -> None:
    """No content is shared but by the names of the files."""
    one, two = (truth_of(make_plan(seed, SCALE)) for seed in (1, 2))
    scenes = [[json.dumps(shot["scene"]) for file in files for shot in file["shots"]] for files in (one, two)]
    assert len(set(scenes[0]) & set(scenes[1])) <= 2


def test_a_drawn_corpus_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp spares a second drawing."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr(corpus_module, "make_plan", None)
    draw_corpus(folder, seed=SEED, scale=SCALE)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Nothing is deleted that was not drawn here."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(ManifestError, match=r"no truth\.json"):
        draw_corpus(tmp_path, seed=SEED, scale=SCALE)
    assert (tmp_path / "corpus" / "holiday.mp4").read_bytes() == b"mine"


def test_every_medium_stands_in_the_truth(folder: Path, truth: list[File]) -> None:
    """Sidecars aside, files and truth are the same set; each sidecar holds the captions of the truth."""
    paths = {str(p.relative_to(folder / "corpus")) for p in (folder / "corpus").rglob("*") if p.is_file()}
    sidecars = {path for path in paths if path.endswith((".txt", ".json"))}
    assert paths - sidecars == {file["path"] for file in truth}
    for file in truth:
        stem = (folder / "corpus" / file["path"]).with_suffix("")
        text, texts = stem.with_name(stem.name + ".txt"), stem.with_name(stem.name + ".json")
        found = [text.read_text().strip()] if text.exists() and file["captions"] else []
        found = json.loads(texts.read_text())["texts"] if texts.exists() else found
        assert found == file["captions"], file["path"]


def test_frames_and_sizes_are_as_decoded(truth: list[File], frames: dict[str, Frames]) -> None:
    """Counts of frames exactly; a rotated video is stored lying."""
    for file in (file for file in truth if file["kind"] == "video"):
        size = (file["height_px"], file["width_px"])[:: -1 if file["rotation"] else 1]
        found = frames[file["path"]]
        assert (len(found), found[0].shape) == (file["frame_count"], size), file["path"]


def test_hard_cuts_are_where_the_picture_changes(truth: list[File], frames: dict[str, Frames]) -> None:
    """The change at a planted cut is above every change inside the two shots beside it."""
    for file in (file for file in truth if file["kind"] == "video"):
        change = changes(frames[file["path"]])
        for cut in (boundary["frame"] for boundary in file["boundaries"] if boundary["kind"] == "hard"):
            around = np.concatenate([change[max(cut - 9, 0) : cut - 1], change[cut : cut + 8]])
            assert change[cut - 1] > 1.5 * around.max(), (file["path"], cut)


def test_soft_joints_change_no_frame_much(truth: list[File], frames: dict[str, Frames]) -> None:
    """Inside a dissolve every step is smaller than the whole way."""
    spans = [(f["path"], b) for f in truth for b in f["boundaries"] if b["kind"] == "dissolve"]
    assert spans
    for path, span in spans:
        inside = frames[path][span["first_frame"] - 1 : span["last_frame"] + 2]
        assert changes(inside).max() < 0.5 * np.abs(inside[0] - inside[-1]).mean()


def test_spoilt_shots_are_spoilt_after_encoding_too(truth: list[File], frames: dict[str, Frames]) -> None:
    """Black is black, frozen stands, flat is flat and changes; sound shots are none of these."""
    for file in truth:
        for shot in file["shots"] if file["kind"] == "video" else []:
            part = frames[file["path"]][shot["first_frame"] : shot["last_frame"] + 1]
            still = float((changes(part) < 0.255).mean())
            spread = float(np.mean([frame.std() for frame in part]))
            black = max(float(np.quantile(frame, 0.98)) for frame in part) < 25.5
            told = (shot["defect"], still, spread, black)
            assert (black, still > 0.9, spread < 2) == {
                "black": (True, True, True),
                "frozen": (False, True, False),
                "flat": (False, False, True),
            }.get(shot["defect"], (False, False, False)), told


def test_copies_show_what_their_originals_show(truth: list[File], frames: dict[str, Frames]) -> None:
    """Byte copies and re-encodes frame by frame, a trim from its first frame on."""
    by_path = {file["path"]: file for file in truth}
    for how, limit in (("byte copy", 0.0), ("re-encode", 8.0), ("trim", 8.0)):
        for file in of(truth, how):
            original = by_path[file["variant_of"]]
            skipped = (original["frame_count"] - file["frame_count"]) // 2 if how == "trim" else 0
            mine, other = frames[file["path"]], frames[original["path"]]
            offsets = range(max(skipped - 30, 0), skipped + 30) if how == "trim" else (0,)
            nearest = min(np.abs(mine[0] - other[offset]).mean() for offset in offsets)
            assert nearest <= limit, file["path"]
            assert file["shots"][0]["content"] == original["shots"][0]["content"]


def test_twins_share_a_scene_and_no_content(truth: list[File]) -> None:
    """Not duplicates."""
    contents = Counter(shot["content"] for file in truth for shot in file["shots"])
    for twin in of(truth, "twin") + of(truth, "twin", "image"):
        scenes = [shot["scene"] for file in truth for shot in file["shots"]]
        assert scenes.count(twin["shots"][0]["scene"]) >= 2 and contents[twin["shots"][0]["content"]] == 1


def test_wrong_captions_are_wrong_in_shape_and_colour(truth: list[File]) -> None:
    """The file's text names neither its shape nor its colour."""
    for file in of(truth, "wrong caption") + of(truth, "wrong caption", "image"):
        event = file["shots"][0]["scene"]["events"][0]
        first = file["captions"][0].split(", then")[0]
        assert f"{event['colour']} {event['shape']}" not in first


def test_broken_files_are_broken_and_odd_ones_are_not(folder: Path, truth: list[File]) -> None:
    """The shapes of damage: no index, an index and too little behind it, no bytes, text."""
    found = {
        Path(f["path"]).name: (folder / "corpus" / f["path"]).read_bytes()
        for f in of(truth, "broken", "broken")
    }
    assert b"moov" not in found["tail.mp4"] and b"ftyp" in found["tail.mp4"]
    assert 0 < found["head.mp4"].index(b"moov") < found["head.mp4"].index(b"mdat")
    assert found["empty.mp4"] == found["empty.jpg"] == b"" and found["notes.mp4"].isascii()
    for name in ("picture.jpg", "picture.png"):
        with Image.open(BytesIO(found[name])) as image, pytest.raises(OSError, match="truncated"):
            image.load()
    with Image.open(folder / "corpus" / "images" / "paint.jpg") as paint:
        assert paint.format == "PNG"


def test_the_phone_video_is_turned_up_by_its_matrix(folder: Path, truth: list[File]) -> None:
    """Turned as its matrix says, the object is where the scene puts it."""
    plan = make_plan(SEED, SCALE)
    drawn = next(planted.film for planted in plan.planted if planted.sideways)
    with av.open(str(folder / "corpus" / "videos" / "phone.mp4")) as container:
        frame = next(container.decode(video=0))
    upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90).astype(float)
    assert np.abs(upright - next(drawn.pictures())).mean() < 8


def test_the_uneven_video_changes_its_rate(folder: Path, truth: list[File]) -> None:
    """Frames last one tick before the middle and two after it."""
    (file,) = of(truth, "variable frame rate")
    with av.open(str(folder / "corpus" / file["path"])) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    steps = np.diff(times)
    assert steps[0] == pytest.approx(1 / 24, abs=1e-3) and steps[-1] == pytest.approx(2 / 24, abs=1e-3)
    assert times[file["boundaries"][0]["frame"]] == pytest.approx(file["boundaries"][0]["time_s"], abs=1e-3)


def test_the_whole_plan_has_what_was_asked_for() -> None:
    """At least 50 hard cuts, some dissolves and fades, every plant; at most eight minutes of video."""
    files = truth_of(make_plan(1))
    kinds = Counter(b["kind"] for f in files if f.get("how") != "byte copy" for b in f["boundaries"])
    assert kinds["hard"] >= 50 and kinds["dissolve"] >= 5 and kinds["fade"] >= 4
    assert 60 <= sum(file["kind"] == "video" for file in files) <= 80
    assert 40 <= sum(file["kind"] == "image" for file in files) <= 60
    assert sum(file["duration_s"] or 0 for file in files if file["kind"] == "video") <= 480

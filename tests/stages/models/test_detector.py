"""Object detectors: outputs decoded by hand, and the same as by the models' own processors."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.errors import RecipeError
from stages.models.detector import Detector, corners, label_odds
from tests.stages.models.build import LABELS, pictures, tiny_detector, tiny_timm_classifier, write


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("detectors")
    return {kind: tiny_detector(root / kind, kind) for kind in ("yolos", "rt_detr")}


def test_odds_with_an_output_for_nothing_by_hand() -> None:
    """Softmax of (ln 2, 0, ln 5) is (2, 1, 5) / 8: the last is nothing; where another label leads it is 0."""
    logits = torch.tensor([[[2.0, 1.0, 5.0], [1.0, 3.0, 4.0]]]).log()
    assert [0.25, 0.0] == pytest.approx(label_odds(logits, 2, 0)[0].tolist())
    assert [0.0, 0.375] == pytest.approx(label_odds(logits, 2, 1)[0].tolist())


def test_odds_of_labels_by_themselves_by_hand() -> None:
    """1 / (1 + exp(-ln 3)) = 0.75, whatever the other label has."""
    logits = torch.tensor([[[3.0, 9.0], [1.0, 9.0]]]).log()
    assert [0.75, 0.5] == pytest.approx(label_odds(logits, 2, 0)[0].tolist())


def test_corners_by_hand() -> None:
    """Middle (.5, .25), sides .25 and .5; what leaves the picture ends at its border."""
    boxes = torch.tensor([[[0.5, 0.25, 0.25, 0.5], [0.0, 1.0, 0.5, 0.5]]])
    assert [[0.375, 0.0, 0.625, 0.5], [0.0, 0.75, 0.25, 1.0]] == corners(boxes)[0].tolist()


@pytest.mark.parametrize("kind", ["yolos", "rt_detr"])
def test_boxes_are_those_of_the_models_own_processor(folders: dict[str, Path], kind: str) -> None:
    """For each label, over pictures of several sizes, one by one as the library's pages show it."""
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    processor = AutoImageProcessor.from_pretrained(folders[kind])
    model = AutoModelForObjectDetection.from_pretrained(folders[kind]).eval()
    seen = 0
    for place, label in enumerate(LABELS):
        detector = Detector(str(folders[kind]), label, batch=2)
        detector.check()
        find, pixels = detector.open(), detector.pictures()
        for picture in pictures(4):
            with torch.inference_mode():
                answer = model(**processor(images=picture, return_tensors="pt"))
            (theirs,) = processor.post_process_object_detection(answer, threshold=0.4)
            mine = theirs["labels"] == place
            expected = torch.cat([theirs["scores"][mine][:, None], theirs["boxes"][mine].clamp(0, 1)], 1)
            found = find(pixels([picture]))[0]
            found = found[found[:, 0] > 0.4]
            assert np.allclose(ordered(expected.numpy()), ordered(found), atol=1e-4)
            seen += len(found)
    assert seen > 5


def ordered(found: Any) -> Any:
    """The likeliest first; boxes of the same odds by their place."""
    return found[np.lexsort(found.round(4).T)]


def test_pictures_of_a_row_get_one_shape(folders: dict[str, Path]) -> None:
    """That of the first: a stream may change its size."""
    pixels = Detector(str(folders["yolos"]), "dog").pictures()
    small, wide = pictures(2)
    assert small.size != wide.size
    assert pixels([small]).shape[1:] == pixels([small, wide]).shape[1:]


def changed(**values: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        write(path / "config.json", {**json.loads((path / "config.json").read_text()), **values})

    return change


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda p: (p / "config.json").unlink(), "is no detector"),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), "lacks weights"),
    "no processor": (lambda p: (p / "preprocessor_config.json").unlink(), r"lacks preprocessor_config\.json"),
    "no head": (changed(architectures=["YolosModel"]), "is no image detector"),
    "a classifier": (changed(architecture="vit_tiny", architectures=None), "is no image detector"),
    "other labels": (changed(id2label={"0": "cat", "1": "dogs"}), "did you mean 'dogs'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_work_is_told_before_any_work(
    folders: dict[str, Path], tmp_path: Path, fault: str
) -> None:
    """One sentence that names what is missing or wrong."""
    break_it, message = FAULTS[fault]
    path = Path(shutil.copytree(folders["yolos"], tmp_path / "model"))
    break_it(path)
    with pytest.raises(RecipeError, match=message):
        Detector(str(path), "dog").check()


def test_what_is_no_detector(tmp_path: Path) -> None:
    """A timm classifier, a word."""
    folder = tiny_timm_classifier(tmp_path / "timm")
    with pytest.raises(RecipeError, match="is no image detector"):
        Detector(str(folder), "cat").check()
    with pytest.raises(RecipeError, match="no detector 'people': write a folder or a hub's owner/name"):
        Detector("people", "cat").check()

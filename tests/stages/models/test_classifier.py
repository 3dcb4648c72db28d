"""Image classifiers of timm and transformers: the same odds as by hand, labels by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.errors import RecipeError
from stages.models.classifier import Classifier
from tests.stages.models.build import (
    LABELS,
    pictures,
    tiny_timm_classifier,
    tiny_transformers_classifier,
    write,
)

KINDS = {"timm": tiny_timm_classifier, "transformers": tiny_transformers_classifier}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("classifiers")
    return {name: make(root / name) for name, make in KINDS.items()}


def by_hand(kind: str, folder: Path) -> Any:
    """The probabilities (pictures, labels), picture by picture, as the libraries' own pages show it."""
    if kind == "timm":
        import timm
        from timm.data import create_transform, resolve_data_config

        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        transform = create_transform(**resolve_data_config({}, model=model))
        with torch.inference_mode():
            return torch.cat([model(transform(p)[None]).softmax(-1) for p in pictures(5)]).numpy()
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForImageClassification.from_pretrained(folder)
    with torch.inference_mode():
        shown = (processor(images=p, return_tensors="pt") for p in pictures(5))
        return torch.cat([model(**given).logits.softmax(-1) for given in shown]).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_odds_are_those_of_the_library(folders: dict[str, Path], kind: str) -> None:
    """For each label, over pictures of several sizes, in batches that do not fit their number."""
    expected = by_hand(kind, folders[kind])
    assert expected.std(0).min() > 0.001
    for place, label in enumerate(LABELS):
        classifier = Classifier(str(folders[kind]), label, batch=3)
        classifier.check()
        found = classifier.open()(classifier.pictures()(pictures(5)))
        assert expected[:, place] == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_odds_do_not_depend_on_neighbours(folders: dict[str, Path], kind: str) -> None:
    """In another order, among others, every bit stays, in batches of a multiple of 16."""
    classifier = Classifier(str(folders[kind]), "dog", batch=16)
    odds, pixels = classifier.open(), classifier.pictures()(pictures(37))
    found = odds(pixels)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(37)[: 37 - 9 * seed]
        assert np.array_equal(found[order], odds(pixels[order]))


def test_one_output_or_several_labels_at_once_are_sigmoids(tmp_path: Path) -> None:
    """The odds of one label do not then depend on the others': 1 / (1 + exp(-logit))."""
    from transformers import AutoModelForImageClassification

    one = tiny_transformers_classifier(tmp_path / "one", ("nsfw",))
    many = tiny_transformers_classifier(tmp_path / "many", problem_type="multi_label_classification")
    for folder, label, place in ((one, "nsfw", 0), (many, "dog", 1)):
        classifier = Classifier(str(folder), label, batch=2)
        pixels = classifier.pictures()(pictures(2))
        with torch.inference_mode():
            logits = AutoModelForImageClassification.from_pretrained(folder)(torch.from_numpy(pixels)).logits
        expected = 1 / (1 + np.exp(-logits[:, place].numpy()))
        assert expected == pytest.approx(classifier.open()(pixels), abs=1e-5)


def test_labels_of_numbers(folders: dict[str, Path], tmp_path: Path) -> None:
    """Without names of labels a timm model has numbers; names may stand by number, or in pretrained_cfg."""
    folder = Path(shutil.copytree(folders["timm"], tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config.pop("label_names")
    write(folder / "config.json", config)
    Classifier(str(folder), "2").check()
    config["pretrained_cfg"]["label_names"] = {"0": "cat", "2": "news"}
    write(folder / "config.json", config)
    Classifier(str(folder), "news").check()
    with pytest.raises(RecipeError, match="knows no label 'dog'; known: cat, news"):
        Classifier(str(folder), "dog").check()


def changed(**values: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        write(path / "config.json", {**json.loads((path / "config.json").read_text()), **values})

    return change


FAULTS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "no config": ("timm", lambda p: (p / "config.json").unlink(), "is no classifier"),
    "no weights": ("timm", lambda p: (p / "model.safetensors").unlink(), "lacks weights"),
    "weights of another name": (
        "timm",
        lambda p: (p / "model.safetensors").rename(p / "x.safetensors"),
        r"lacks model\.safetensors",
    ),
    "no processor": (
        "transformers",
        lambda p: (p / "preprocessor_config.json").unlink(),
        r"lacks preprocessor_config\.json",
    ),
    "no head": ("transformers", changed(architectures=["ViTModel"]), "is no image classifier"),
    "other labels": ("transformers", changed(id2label={"0": "cat", "1": "dogs"}), "did you mean 'dogs'"),
    "no labels": ("transformers", changed(id2label=None), "known: LABEL_0, LABEL_1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_work_is_told_before_any_work(
    folders: dict[str, Path], tmp_path: Path, fault: str
) -> None:
    """One sentence that names what is missing or wrong."""
    kind, break_it, message = FAULTS[fault]
    path = Path(shutil.copytree(folders[kind], tmp_path / "model"))
    break_it(path)
    with pytest.raises(RecipeError, match=message):
        Classifier(str(path), "dog").check()


def test_a_word_is_no_classifier() -> None:
    """A hub's names have an owner."""
    with pytest.raises(RecipeError, match="no classifier 'nsfw': write a folder or a hub's owner/name"):
        Classifier("nsfw", "dog").check()
    Classifier("owner/nsfw@refs/pr/4", "dog").check()
    with pytest.raises(RecipeError, match="lacks a revision"):
        Classifier("owner/nsfw@", "dog").check()

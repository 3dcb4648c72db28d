"""CLIP models of open_clip: its own embeddings, whatever the neighbours; errors before any work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from manifests.errors import RecipeError
from stages.models import weights
from stages.models.clip import OpenClip
from tests.stages.models.build import RESNET, VIT, pictures, tiny_clip, write

TEXTS = ["a red ring", "", "two blue stars, then a green cross moving up", "Caf\u00e9 \u732b"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A vision transformer and a residual network, of random weights."""
    root = tmp_path_factory.mktemp("clip")
    return {"vit": tiny_clip(root / "vit", VIT), "resnet": tiny_clip(root / "resnet", RESNET, seed=1)}


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A folder to break."""
    return Path(shutil.copytree(folders["vit"], tmp_path / "model"))


def bare(folder: Path) -> tuple[Any, Any, Any]:
    """The model, its preprocessing and its tokenizer by open_clip itself."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{folder}")


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_embeddings_are_those_of_open_clip(folders: dict[str, Path], name: str) -> None:
    """Pictures and texts by a bare forward pass, one by one: equal within float32."""
    model, preprocess, tokenize = bare(folders[name])
    ours = OpenClip(str(folders[name]), batch=4)
    opened = ours.open()
    shown = pictures(6)
    with torch.inference_mode():
        images = [model.encode_image(preprocess(p)[None], normalize=True)[0].numpy() for p in shown]
        texts = [model.encode_text(tokenize([t]), normalize=True)[0].numpy() for t in TEXTS]
    assert np.array(images) == pytest.approx(opened.images(ours.pictures()(shown)), abs=2e-6)
    assert np.array(texts) == pytest.approx(opened.texts(ours.texts()(TEXTS)), abs=2e-6)


@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
def test_preprocessing_is_that_of_the_folder(tmp_path: Path, mode: str) -> None:
    """Resized as its config says, to the size of the model; scaled and normalized, the very same numbers."""
    folder = tiny_clip(tmp_path / "model", resize_mode=mode, size=[999, 999], interpolation="bilinear")
    _, preprocess, _ = bare(folder)
    pixels = OpenClip(str(folder)).pictures()(pictures(3))
    assert (np.uint8, (3, 3, 32, 32)) == (pixels.dtype, pixels.shape)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in ([0.5, 0.4, 0.3], [0.25, 0.5, 0.2]))
    normalized = (torch.from_numpy(pixels).float() / 255 - mean) / std
    assert torch.equal(torch.stack([preprocess(picture) for picture in pictures(3)]), normalized)


@pytest.mark.parametrize("name", ["vit", "resnet", "embedded"])
def test_an_embedding_does_not_depend_on_its_neighbours(folders: dict[str, Path], name: str) -> None:
    """In any order and among others, every bit of a row's embedding stays."""
    if name == "embedded" and not (weights.SHIPPED / "clip").is_dir():
        pytest.skip("the embedded model is absent: expected at pipeline/demo/models/clip")
    settings = OpenClip(str(folders.get(name, name)), batch=8)
    opened = settings.open()
    pixels = settings.pictures()(pictures(21))
    tokens = settings.texts()([f"a shape number {n}" for n in range(21)])
    images, texts = opened.images(pixels), opened.texts(tokens)
    assert np.linalg.norm(images, axis=1) == pytest.approx(1, abs=1e-6)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(21)[: 21 - 5 * seed]
        assert np.array_equal(images[order], opened.images(pixels[order]))
        assert np.array_equal(texts[order], opened.texts(tokens[order]))


@pytest.mark.parametrize(("dtype", "least"), [("bfloat16", 0.99), ("float16", 0.9999)])
def test_other_precisions_come_close(folders: dict[str, Path], dtype: Any, least: float) -> None:
    """Results are float32 of length 1 whatever the model runs in."""
    settings = OpenClip(str(folders["vit"]), batch=4)
    pixels, tokens = settings.pictures()(pictures(4)), settings.texts()(TEXTS)
    exact, opened = settings.open(), OpenClip(str(folders["vit"]), dtype, batch=4).open()
    for found, expected in (
        (opened.images(pixels), exact.images(pixels)),
        (opened.texts(tokens), exact.texts(tokens)),
    ):
        assert np.float32 == found.dtype
        assert (found * expected).sum(1).min() > least


def test_long_texts_are_cut_off(folders: dict[str, Path]) -> None:
    """The context is the model's: twelve tokens, the last of them the end."""
    tokens = OpenClip(str(folders["vit"])).texts()(["a" * 100, "a"])
    assert (np.int64, (2, 12)) == (tokens.dtype, tokens.shape)
    assert (258, 0) == (tokens[0, -1], tokens[1, -1])


def test_a_model_is_its_content(copied: Path, folders: dict[str, Path]) -> None:
    """Its digest is the same wherever it lies; its label is the folder's name; its dimension is known."""
    assert OpenClip(str(folders["vit"])).identity() == OpenClip(str(copied)).identity()
    assert OpenClip(str(folders["resnet"])).identity() != OpenClip(str(copied)).identity()
    assert ("model", 16) == (OpenClip(str(copied)).label, OpenClip(str(copied)).dimension)


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A change of open_clip_config.json."""

    def edit(path: Path) -> None:
        config = json.loads((path / "open_clip_config.json").read_text())
        change(config)
        write(path / "open_clip_config.json", config)

    return edit


def _ends_unknown(path: Path) -> None:
    config = json.loads((path / "tokenizer_config.json").read_text())
    names = ("bos", "eos", "pad", "unk", "sep", "cls", "mask")
    write(path / "tokenizer_config.json", {**config, **{f"{name}_token": f"[{name}]" for name in names}})


def _larger_tokenizer(path: Path) -> None:
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    tokenizer["added_tokens"][0]["id"] = 5000
    write(path / "tokenizer.json", tokenizer)


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda p: (p / "open_clip_config.json").unlink(), "is no open_clip folder"),
    "a broken config": (lambda p: (p / "open_clip_config.json").write_text("{"), "is no open_clip folder"),
    "a config of a list": (lambda p: write(p / "open_clip_config.json", []), "lacks model_cfg"),
    "no preprocessing": (edited(lambda c: c.pop("preprocess_cfg")), "lacks model_cfg or preprocess_cfg"),
    "no weights": (lambda p: (p / "open_clip_model.safetensors").unlink(), "lacks weights"),
    "pickled weights": (
        lambda p: (p / "open_clip_model.safetensors").rename(p / "open_clip_pytorch_model.bin"),
        "pickled weights are never loaded",
    ),
    "pickled weights that open_clip prefers": (
        lambda p: (
            (p / "open_clip_model.safetensors").rename(p / "model.safetensors"),
            (p / "open_clip_pytorch_model.bin").touch(),
        ),
        r"several files of weights \(model\.safetensors, open_clip_pytorch_model\.bin\)",
    ),
    "a larger tokenizer": (_larger_tokenizer, "has 5001 words, the model's table holds 264"),
    "another tokenizer of equal size": (_ends_unknown, "has 266 words, the model's table holds 264"),
    "OpenAI's tokenizer": (
        edited(lambda c: c["model_cfg"]["text_cfg"].pop("hf_tokenizer_name")),
        "has 49408 words, the model's table holds 264",
    ),
    "no tokenizer": (lambda p: (p / "tokenizer.json").unlink(), r"lacks a tokenizer\.json"),
    "a broken tokenizer": (lambda p: write(p / "tokenizer.json", {}), r"lacks a tokenizer\.json"),
    "code of others": (
        edited(
            lambda c: c["model_cfg"]["text_cfg"].update({"tokenizer_kwargs": {"trust_remote_code": True}})
        ),
        "run code of its own",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_work_is_told_before_any_work(copied: Path, fault: str) -> None:
    """One sentence that names what is missing or wrong; a whole folder passes."""
    OpenClip(str(copied)).check()
    OpenClip(str(copied)).fetch()
    break_it, message = FAULTS[fault]
    break_it(copied)
    with pytest.raises(RecipeError, match=message):
        OpenClip(str(copied)).check()


def test_names_are_those_of_open_clip() -> None:
    """A known pair passes; a misspelt model, tag or word is told with the nearest, without asking a hub."""
    OpenClip("ViT-L-14/openai").check()
    wrong = {
        "ViT-B-23/openai": "did you mean 'ViT-B-32'",
        "ViT-L-14/openia": "did you mean 'openai'",
        "ViT-L-14": "no weights '' of ViT-L-14; known: .*openai",
        "embeded": "did you mean 'embedded'",
        "my-models/clip": "write 'embedded', a folder, hf-hub:owner/name",
        "ViTamin-S/datacomp1b": "pickled weights only",
    }
    for model, message in wrong.items():
        with pytest.raises(RecipeError, match=message):
            OpenClip(model).check()


def test_names_stand_for_hub_models() -> None:
    """Digests of what is not on this machine are names: open_clip's own, or the hub's."""
    assert {"model": "hub:owner/none"} == OpenClip("hf-hub:owner/none").identity()
    assert "hf-hub:owner/none" == OpenClip("hf-hub:owner/none").label
    assert OpenClip("hf-hub:owner/none").dimension is None
    assert {"model": "hub:owner/none@v1"} == OpenClip("hf-hub:owner/none@v1").identity()
    assert "hf-hub:owner/none" == OpenClip("hf-hub:owner/none@v1").label


def test_open_clips_names_take_a_revision_of_their_hub() -> None:
    """It follows the weights; nothing after the @ is told before any work."""
    OpenClip("ViT-L-14/openai@v1").check()
    (plain,) = OpenClip("ViT-L-14/openai").identity().values()
    assert {"model": f"{plain}@v1"} == OpenClip("ViT-L-14/openai@v1").identity()
    assert "ViT-L-14/openai" == OpenClip("ViT-L-14/openai@v1").label
    for model in ("ViT-L-14/openai@", "hf-hub:owner/none@"):
        with pytest.raises(RecipeError, match="lacks a revision"):
            OpenClip(model).check()

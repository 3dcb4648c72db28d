"""Captions in this process: greedy, each of its own row, whatever the rows beside it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForImageTextToText, AutoProcessor

from manifests.errors import RecipeError
from stages.models import device
from stages.models.captioner import OpenedCaptioner, TransformersCaptioner, check, fetch, video_metadata
from stages.models.protocols import Caption
from tests.models import END, tiny_captioner

Rows = list[tuple[np.ndarray[Any, Any], bool]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner of random weights."""
    return tiny_captioner(tmp_path_factory.mktemp("models") / "tiny")


def ask(video: bool, pictures: int) -> list[dict[str, Any]]:
    media = [{"type": "video"}] if video else [{"type": "image"}] * pictures
    return [{"role": "user", "content": [*media, {"type": "text", "text": "Describe."}]}]


def captioner(folder: Path, *, batch: int = 4, max_tokens: int = 12) -> OpenedCaptioner:
    return TransformersCaptioner(str(folder), batch=batch, max_tokens=max_tokens).open(ask)


@pytest.fixture(scope="module")
def opened(folder: Path) -> OpenedCaptioner:
    return captioner(folder)


def rows(count: int) -> Rows:
    """Clips of four flat pictures and, every third, a single picture; every fifth is wider than high."""
    made: Rows = []
    for n in range(count):
        video, width = n % 3 != 0, 96 if n % 5 == 0 else 64
        levels = np.random.default_rng(n).integers(0, 255, (4 if video else 1, 1, 1, 3), np.uint8)
        made.append((np.ascontiguousarray(np.broadcast_to(levels, (len(levels), 64, width, 3))), video))
    return made


def batch(chosen: Rows) -> dict[str, Any]:
    frames = np.empty(len(chosen), object)
    for n, (pixels, _) in enumerate(chosen):
        frames[n] = pixels
    video = np.array([video for _, video in chosen])
    return {"frames": frames, "video": video, "seconds": np.where(video, 2.0, 0.0)}


def test_captions_do_not_depend_on_their_neighbours(opened: OpenedCaptioner) -> None:
    """Clips and pictures of several sizes: shuffled or alone, each row gets the caption that it gets here."""
    all_rows = rows(11)
    together = opened.captions(batch(all_rows))
    order = np.random.default_rng(0).permutation(11)
    shuffled = opened.captions(batch([all_rows[n] for n in order]))
    assert [together[n] for n in order] == shuffled
    assert together[:3] == [opened.captions(batch([row]))[0] for row in all_rows[:3]]
    assert len({answer.text for answer in together}) > 6


def test_captions_are_the_likeliest_words(folder: Path, opened: OpenedCaptioner) -> None:
    """The words are those of a bare loop that takes the likeliest next word of the whole text so far."""
    pixels = rows(2)[1][0]
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    asked = "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Describe.<|im_end|>\n"
    inputs = processor(
        text=[f"{asked}<|im_start|>assistant\n"],
        videos=[pixels],
        videos_kwargs={"do_sample_frames": False},
        return_tensors="pt",
    )
    words: list[int] = []
    prompt = inputs["input_ids"].shape[1]
    end = processor.tokenizer.convert_tokens_to_ids(END)
    while len(words) < 12 and end not in words:
        with torch.inference_mode():
            words.append(int(model(**inputs).logits[0, -1].argmax()))
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([words[-1:]])], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        kinds = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros((1, 1), dtype=kinds.dtype)], 1)
    said = processor.tokenizer.decode([w for w in words if w != end]).strip()
    reason = "stop" if end in words else "length"
    assert Caption(said, reason, prompt, len(words)) == opened.captions(batch(rows(2)))[1]


def test_an_end_is_told_from_a_limit(folder: Path) -> None:
    """A caption that ends by itself says "stop" and counts its end; one that is cut off says "length"."""
    answers = captioner(folder, max_tokens=40).captions(batch(rows(16)))
    stopped = [a for a in answers if a.finish_reason == "stop"]
    cut = [a for a in answers if a.finish_reason == "length"]
    assert stopped and cut
    assert {40} == {a.tokens for a in cut}
    assert all(1 <= a.tokens <= 40 for a in stopped)
    again = captioner(folder, max_tokens=max(a.tokens for a in stopped)).captions(batch(rows(16)))
    assert [a for a in again if a.finish_reason == "stop"] == stopped


def test_the_models_own_sampling_is_not_taken_over(folder: Path, opened: OpenedCaptioner) -> None:
    """A generation config with a temperature and a penalty changes nothing: captions are greedy."""
    other = folder.parent / "warm"
    shutil.copytree(folder, other, dirs_exist_ok=True)
    (other / "generation_config.json").write_text(
        '{"do_sample": true, "temperature": 3.0, "top_k": 50, "repetition_penalty": 5.0, "eos_token_id": 258}'
    )
    assert opened.captions(batch(rows(4))) == captioner(other).captions(batch(rows(4)))


def test_processors_are_told_that_frames_are_chosen() -> None:
    """Four frames of a clip of 8 s are half a frame a second, all of them; without a length, one a second."""
    frames = np.zeros((4, 6, 8, 3), np.uint8)
    told = {"total_num_frames": 4, "frames_indices": [0, 1, 2, 3], "height": 6, "width": 8}
    assert {**told, "fps": 0.5, "duration": 8.0} == video_metadata(frames, 8.0)
    assert {**told, "fps": 1.0, "duration": 0.0} == video_metadata(frames, 0.0)


def test_a_batch_that_does_not_fit_is_halved(
    folder: Path, opened: OpenedCaptioner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Out of memory with four rows, the captions are made two by two, and it is said."""
    narrow = captioner(folder)
    real = narrow.model.generate

    def generate(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(**inputs)

    monkeypatch.setattr(narrow.model, "generate", generate)
    assert opened.captions(batch(rows(7))) == narrow.captions(batch(rows(7)))
    assert "batches of 2" in caplog.text
    assert device.__name__ in {record.name for record in caplog.records}


def without(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def written(name: str, **values: Any) -> Callable[[Path], None]:
    """A JSON file with other values."""

    def write(path: Path) -> None:
        found = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps({**found, **values}))

    return write


def pickled(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (without("model.safetensors"), "lacks weights"),
    "pickled weights": (pickled, "pickled weights are never loaded"),
    "no tokenizer": (without("tokenizer.json"), "lacks one of tokenizer.json"),
    "no processor": (without("processor_config.json"), "lacks one of processor_config.json"),
    "no template": (without("chat_template.jinja"), "lacks a chat template"),
    "no config": (without("config.json"), "lacks config.json"),
    "a model that sees nothing": (
        lambda path: (path / "config.json").write_text('{"model_type": "gpt2"}') and None,
        "has no vision_config",
    ),
    "a broken config": (lambda path: (path / "config.json").write_text("{") and None, "is not JSON"),
    "a tokenizer without the marks": (
        written("tokenizer.json", added_tokens=[]),
        "no mark of image_token_id",
    ),
    "a tokenizer of a larger model": (
        written("tokenizer.json", added_tokens=[{"id": n, "content": f"<{n}>"} for n in (261, 262, 999)]),
        "its ids go up to 1001",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_work_is_told_before_any_work(folder: Path, tmp_path: Path, fault: str) -> None:
    """One sentence that names what is missing or wrong; a whole folder passes."""
    path = tmp_path / "model"
    shutil.copytree(folder, path)
    check(str(path))
    fetch(str(path))
    break_it, message = FAULTS[fault]
    break_it(path)
    with pytest.raises(RecipeError, match=message):
        check(str(path))


def test_a_name_that_is_no_model_is_told() -> None:
    """A misspelt word and a folder that is not there are told without asking a hub."""
    with pytest.raises(RecipeError, match="no captioner 'embeded'"):
        check("embeded")
    with pytest.raises(RecipeError, match="no model folder"):
        check("./nowhere")
    with pytest.raises(RecipeError, match="lacks a revision"):
        check("owner/name@")


def test_a_broken_off_download_passes_so_that_it_is_resumed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights came, the tokenizer did not: a name on a hub is judged when it has been fetched."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    place = tmp_path / "models--owner--name"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("a" * 40)
    shutil.copytree(folder, place / "snapshots" / ("a" * 40))
    check("owner/name")
    fetch("owner/name")
    (place / "snapshots" / ("a" * 40) / "tokenizer.json").unlink()
    check("owner/name")
    with pytest.raises(RecipeError, match=r"lacks one of tokenizer\.json"):
        fetch("owner/name")

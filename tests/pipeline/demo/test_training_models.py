"""That training computes what the libraries compute which run the models later, and that it learns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.demo.scenes import caption, random_scene
from pipeline.demo.training import captioner, captioner_files, clip, clip_files, exam
from pipeline.demo.training.exam_clips import draw_question
from pipeline.demo.training.eyes import Eyes, gray, patches
from pipeline.demo.training.sample import Samples, draw
from stages.models.weights import SHIPPED


@pytest.fixture(scope="module")
def samples() -> Samples:
    return draw(8, 6, 3)


def test_patches_are_those_of_the_processor(samples: Samples) -> None:
    """A video of four frames is two grids of 8 x 8 patches, pixel for pixel as transformers makes them."""
    processor = captioner_files.processor(captioner_files.tokenizer())
    videos = [torch.from_numpy(frames).permute(0, 3, 1, 2) for frames in samples.area[:2]]
    theirs = processor.video_processor(videos=videos, return_tensors="pt")
    assert [[2, 8, 8]] * 2 == theirs["video_grid_thw"].tolist()
    ours = patches(samples.area[:2])
    torch.testing.assert_close(theirs["pixel_values_videos"].view(ours.shape), ours, rtol=0, atol=1e-5)


def test_eyes_see_what_the_tower_sees(samples: Samples) -> None:
    """The batched vision forward is transformers' own; another computation is refused."""
    model = captioner_files.model(captioner_files.tokenizer())
    eyes = Eyes(model.model.visual)
    eyes.check(samples.area[:2])
    eyes._sin = eyes._sin + 1
    with pytest.raises(RuntimeError, match="sees otherwise"):
        eyes.check(samples.area[:2])


def test_gray_is_luma() -> None:
    """0.299 R + 0.587 G + 0.114 B, in all three channels (Rec. 601)."""
    assert [[149] * 3] == gray(np.array([[255, 125, 0]], np.uint8)).tolist()


def test_chat_is_one_user_turn() -> None:
    """The prompt has no system message, one video, and ends where the answer begins."""
    processor = captioner_files.processor(captioner_files.tokenizer())
    chat = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Describe this clip."}]}]
    expected = (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Describe this clip.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert expected == processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)


def test_captions_are_short_and_come_back() -> None:
    """A caption is at most 30 tokens and decodes to itself."""
    words, rng = captioner_files.tokenizer(), np.random.default_rng(1)
    for text in [caption(random_scene(rng)) for _ in range(50)]:
        tokens = words(text)["input_ids"]
        assert len(tokens) <= 30
        assert text == words.decode(tokens)


def test_tokenizers_are_those_that_are_shipped(tmp_path: Path) -> None:
    """The shipped models were trained with the words that training makes today."""
    captioner_files.tokenizer().save_pretrained(tmp_path / "captioner")
    clip_files.write_tokenizer(tmp_path / "clip")
    for name in ("captioner", "clip"):
        shipped, today = (
            json.loads((at / name / "tokenizer.json").read_text()) for at in (SHIPPED, tmp_path)
        )
        assert shipped["model"] == today["model"]
        assert shipped["added_tokens"] == today["added_tokens"]


def test_text_is_encoded_as_open_clip_does(tmp_path: Path) -> None:
    """Leaving out the padding changes nothing."""
    import open_clip

    words = clip_files.write_tokenizer(tmp_path)
    model = open_clip.model.CLIP(
        **{
            name: dict(value) if isinstance(value, dict) else value
            for name, value in clip_files.MODEL.items()
        }
    ).eval()
    text = "a red circle on a gray plain background"
    tokens = words(text, padding="max_length", max_length=clip_files.CONTEXT, return_tensors="pt")[
        "input_ids"
    ]
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_text(tokens), clip.encode_text(model, tokens[:, :16]))


def test_training_writes_models_that_open(
    samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After two steps there are two small folders that the pipeline opens and can question."""
    monkeypatch.setattr(clip, "BATCH", 4)
    monkeypatch.setattr(captioner, "BATCH_CLIPS", 4)
    clip.train(samples, tmp_path / "clip", steps=2)
    captioner.train(samples, tmp_path / "captioner", eye_steps=1, steps=1)
    asked = [draw_question("seen", "picture", number) for number in range(2)]
    assert 0 <= exam.mark_clip(exam.Looks(tmp_path / "clip"), asked).altered <= 1
    assert 2 == len(exam.captions(tmp_path / "captioner", asked))
    assert re.search(r"captioner 0 .*loss", capsys.readouterr().out)
    for path in tmp_path.glob("*/*"):
        assert 0o644 == path.stat().st_mode & 0o777
        assert path.stat().st_size <= 4_000_000

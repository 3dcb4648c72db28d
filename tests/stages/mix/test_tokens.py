"""Tokens are those that the models' own code makes of the same media and words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from manifests.errors import RecipeError, RowError
from stages.mix.tokens import VisualRule, open_tokenizer, text_tokens, tokenizer_digest, visual_tokens

QWEN = VisualRule()
# Keye-VL 1 (arXiv 2507.01949, section 2): every frame on its own, 24,576 tokens a video.
KEYE = VisualRule(temporal_patch=1, video_max_pixels=24_576 * 784)
CONVERSATION = [
    {"role": "user", "content": "<video>\nDescribe."},
    {"role": "assistant", "content": "A cat."},
]
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for p in m['content'] %}"
    "{% if p['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ p['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
)
WORDS = "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' + m['content'] }}<|im_end|>\n{% endfor %}"
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")


def byte_tokenizer(folder: Path, template: str | None, special: tuple[str, ...] = SPECIAL) -> str:
    """A folder with a tokenizer of one token a byte, beside the special ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(BPE({letter: n for n, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment] # its stubs say read-only
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment] # as above
    made.add_special_tokens(list(special))
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize(
    ("width_px", "height_px", "expected"),
    [
        (140, 28, 5),
        (3192, 4004, 16_302),
        (1280, 720, 1196),
        (1920, 1080, 2691),
        (8000, 6000, 16_170),
        (640, 480, 391),
        (20, 20, 4),
    ],
)
def test_pictures(width_px: int, height_px: int, expected: int) -> None:
    """The first two are figure 2 of arXiv 2507.01949; then 46 x 26, 69 x 39, 147 x 110, 23 x 17 and 2 x 2."""
    assert expected == QWEN.image_tokens(width_px, height_px)


def test_video_of_keye() -> None:
    """18 s at 2 a second are 36 frames of 36 x 20 tokens; 60 s are 120 of 26 x 15, twice the stated limit."""
    assert 25_920 == KEYE.video_tokens(1280, 720, 18.0, 540)
    assert 46_800 == KEYE.video_tokens(1280, 720, 60.0, 1800)


@pytest.mark.parametrize(("fps", "expected"), [(2.0, 1944), (1.0, 972)])
def test_video_of_the_figure(fps: float, expected: int) -> None:
    """Figure 2 of arXiv 2507.01949 draws 18 s of 252 x 168 px, without a least size of a frame."""
    rule = dataclasses.replace(KEYE, fps=fps, frame_min_pixels=1)
    assert expected == rule.video_tokens(252, 168, 18.0, 540)


def test_two_frames_share_their_tokens() -> None:
    """Qwen2-VL: 36 frames are 18 pairs of 36 x 20 tokens."""
    assert 18 * 720 == QWEN.video_tokens(1280, 720, 18.0, 540)


@pytest.mark.parametrize(
    ("duration_s", "frame_count", "expected"),
    [
        (18.0, 540, 36),
        (3.9999999999, 120, 8),
        (4.9, 147, 8),
        (0.5, 15, 4),
        (0.1, 3, 2),
        (0.04, 1, 2),
        (9.0, 9, 8),
        (3600.0, 108_000, 768),
    ],
)
def test_frames(duration_s: float, frame_count: int, expected: int) -> None:
    """2 a second, rounded down to an even number, at least 4, at most 768 and what there is."""
    assert expected == QWEN.frames(duration_s, frame_count)


SIDES = st.integers(1, 6000)


@given(SIDES, SIDES, st.sampled_from([(3136, 12_845_056), (100_352, 602_112), (4096, 4096)]))
@settings(max_examples=300)
def test_sizes_are_those_of_transformers(width_px: int, height_px: int, limits: tuple[int, int]) -> None:
    """As `smart_resize` of its Qwen2-VL, but that it rounds a side below half a token to nothing."""
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    if max(width_px, height_px) > 200 * min(width_px, height_px):
        with pytest.raises(RowError, match="too_slim"):
            QWEN.resized(width_px, height_px, *limits)
        return
    if min(width_px, height_px) > 14:
        theirs = smart_resize(height_px, width_px, 28, *limits)
        assert theirs[::-1] == QWEN.resized(width_px, height_px, *limits)


def test_tokens_of_rows() -> None:
    """By kind; what is not known is told."""
    still: dict[str, Any] = {"kind": "image", "width_px": 1280, "height_px": 720}
    film = {**still, "kind": "video", "duration_s": 18.0, "frame_count": 540}
    assert (1196, 12_960) == (visual_tokens(QWEN, still), visual_tokens(QWEN, film))
    with pytest.raises(RowError, match="unknown_size: frame_count is None"):
        visual_tokens(QWEN, {**film, "frame_count": None})
    with pytest.raises(RowError, match="unsupported_kind: found audio"):
        visual_tokens(QWEN, {**still, "kind": "audio"})


def test_words_and_template(tmp_path: Path) -> None:
    """A template is given parts or words, as it takes them; one token is a byte or a special one.

    `<|im_start|>user\\n` is 6, the two around the media are 2, `\\nDescribe.<|im_end|>\\n` is 12;
    `<|im_start|>assistant\\nA cat.<|im_end|>\\n` is 19. The media's own token is not counted.
    """
    for name, template in (("parts", PARTS), ("words", WORDS)):
        tokenizer = open_tokenizer(byte_tokenizer(tmp_path / name, template))
        assert 39 == text_tokens(tokenizer, CONVERSATION)


def test_model_without_media(tmp_path: Path) -> None:
    """A placeholder that neither template nor tokenizer knows is 7 letters, where it was 2 tokens."""
    tokenizer = open_tokenizer(byte_tokenizer(tmp_path / "text", WORDS, SPECIAL[:2]))
    assert 39 - 2 + 7 == text_tokens(tokenizer, CONVERSATION)


def test_digest_is_of_content(tmp_path: Path) -> None:
    """A copied folder is the same tokenizer, another template is another; a hub name is itself."""
    one, other, changed = (
        tokenizer_digest(byte_tokenizer(tmp_path / name, template))
        for name, template in (("a", PARTS), ("b", PARTS), ("c", WORDS))
    )
    assert (True, False) == (one == other, one == changed)
    assert "hub:owner/name" == tokenizer_digest("owner/name")


def test_tokenizers_that_cannot_be_used(tmp_path: Path) -> None:
    """No folder, no file, no template: one clear sentence each."""
    (tmp_path / "empty").mkdir()
    bare = byte_tokenizer(tmp_path / "bare", None)
    for name, message in (
        (str(tmp_path / "nowhere"), "there is no model folder"),
        (str(tmp_path / "empty"), r"holds no tokenizer\.json"),
        (bare, "has no chat template"),
    ):
        with pytest.raises(RecipeError, match=message):
            open_tokenizer(name)


@pytest.mark.parametrize(
    "changes", [{"patch_px": 0}, {"fps": 0.0}, {"min_pixels": 9, "max_pixels": 8}, {"max_frames": 3}]
)
def test_senseless_rules_are_refused(changes: dict[str, Any]) -> None:
    """The message names the setting."""
    with pytest.raises(RecipeError, match=rf"visual\.{next(iter(changes))[:4]}"):
        VisualRule(**changes)


def test_rule_comes_from_a_recipe() -> None:
    """A table of numbers is a rule; a misspelt one is an error."""
    assert VisualRule(fps=1.0) == TypeAdapter(VisualRule).validate_python({"fps": 1})
    with pytest.raises(ValidationError, match="fsp"):
        TypeAdapter(VisualRule).validate_python({"fsp": 1})

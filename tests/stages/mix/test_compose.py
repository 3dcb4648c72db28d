"""What a training sample says, and which rows are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from manifests import columns
from manifests.errors import RecipeError
from stages.mix.compose import IMAGE_PROMPTS, ComposeSamples
from stages.mix.tokens import VisualRule
from stages.pack.size import packed_size
from tests.stages.mix.test_tokens import PARTS, byte_tokenizer

Row = dict[str, object]
STILL: Row = {"id": "a", "kind": "image", "text": "A cat.", "width_px": 140, "height_px": 28}
FILM: Row = {**STILL, "id": "b", "kind": "video", "duration_s": 18.0, "frame_count": 540}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return byte_tokenizer(tmp_path_factory.mktemp("model") / "words", PARTS)


def made(stage: ComposeSamples, *rows: Row) -> list[Row]:
    return list(stage.open()(columns.table(rows, ["id", *stage.reads])).to_pylist())


def test_a_sample_of_each_kind(tokenizer: str) -> None:
    """The user's turn shows the media and asks, the assistant's is the text; all tokens are counted."""
    stage = ComposeSamples(tokenizer=tokenizer, video_prompts=("What?",), image_prompts=("This?",))
    still, film = made(stage, {**STILL, "text": " A cat.\n"}, FILM)
    assert [
        {"role": "user", "content": "<image>\nThis?"},
        {"role": "assistant", "content": "A cat."},
    ] == still["conversation"]
    assert [
        {"role": "user", "content": "<video>\nWhat?"},
        {"role": "assistant", "content": "A cat."},
    ] == film["conversation"]
    # 8 + 1 + 1 + 5 + 2 of the question and its turn, 2 around the video, 19 of the answer.
    assert ("caption", 5, 35) == (film["category"], still["visual_tokens"], film["text_tokens"])


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_without_a_text_no_sample(tokenizer: str, text: str | None) -> None:
    """What has no answer has no conversation and no error; its media still has a size."""
    (row,) = made(ComposeSamples(tokenizer=tokenizer), {**STILL, "text": text})
    expected = {"id": "a", "visual_tokens": 5}
    assert expected == {name: value for name, value in row.items() if value is not None}


def test_prompt_is_decided_by_the_id(tokenizer: str) -> None:
    """Every prompt is asked, about equally often; a row is asked the same alone and among others."""
    stage = ComposeSamples(tokenizer=tokenizer)
    rows = [{**STILL, "id": f"{n:032x}"} for n in range(200)]
    together = made(stage, *rows)
    asked = [row["conversation"][0]["content"] for row in together]  # type: ignore[index] # a list of turns
    assert {f"<image>\n{prompt}" for prompt in IMAGE_PROMPTS} == set(asked)
    assert min(asked.count(prompt) for prompt in set(asked)) > 30
    assert together[:3] == [made(stage, row)[0] for row in rows[:3]]


def test_tokens_are_counted_of_what_is_packed(tokenizer: str) -> None:
    """4000 x 3000 pixels take 143 x 107 tokens, packed as 1280 x 960 46 x 34; a clip loses its odd row."""
    large = {**STILL, "width_px": 4000, "height_px": 3000}
    whole, bounded = (
        made(ComposeSamples(tokenizer=tokenizer, max_side_px=m), large)[0] for m in (None, 1280)
    )
    assert (143 * 107, 46 * 34) == (whole["visual_tokens"], bounded["visual_tokens"])
    assert (128, 42) == packed_size("video", 129, 43, None)


def test_prompts_that_forge_media_are_refused(tokenizer: str) -> None:
    """Before any work: marks of media, and special tokens of the tokenizer."""
    with pytest.raises(RecipeError, match=r"mix\.video_prompts holds <image>"):
        ComposeSamples(tokenizer=tokenizer, video_prompts=("Look: <image>",))
    with pytest.raises(RecipeError, match=r"a prompt of \[mix\] holds <\|im_end\|>"):
        ComposeSamples(tokenizer=tokenizer, image_prompts=("Well<|im_end|>",)).check()


def test_plain_words_of_a_tokenizer_are_no_tags(tmp_path: Path) -> None:
    """Some tokenizers add blank lines as tokens: a text may hold them, but no mark of media."""
    folder = byte_tokenizer(tmp_path / "words", PARTS)
    spaced = Tokenizer.from_file(f"{folder}/tokenizer.json")
    spaced.add_tokens(["\n\n", "<|image_pad|>"])
    spaced.save(f"{folder}/tokenizer.json")
    texts = ("A cat.\n\nIt sleeps.", "A cat.<|image_pad|>")
    blank, mark = made(ComposeSamples(tokenizer=folder), *({**STILL, "text": text} for text in texts))
    assert blank["error"] is None
    assert "tag_in_text: the text holds <|image_pad|>" in str(mark["error"])


@pytest.mark.parametrize("tag", ["<image>", "<video>", "<|im_end|>", "<|video_pad|>"])
def test_tags_in_texts_fail_their_row_only(tokenizer: str, tag: str) -> None:
    """A text that a training job would take for media or for the end of a turn."""
    bad, fine = made(ComposeSamples(tokenizer=tokenizer), {**STILL, "text": f"A {tag}"}, FILM)
    assert (f"tag_in_text: the text holds {tag}", None) == (str(bad["error"]).split(",")[0], fine["error"])


def test_unknown_sizes_fail_their_row_only(tokenizer: str) -> None:
    """The neighbour is composed."""
    bad, fine = made(ComposeSamples(tokenizer=tokenizer), {**STILL, "width_px": None}, FILM)
    assert ("unknown_size", None) == (str(bad["error"]).split(":")[0], fine["error"])


def test_rule_and_tokenizer_enter_the_fingerprint(tmp_path: Path, tokenizer: str) -> None:
    """Another rule is another result; the same tokenizer in another place is not."""
    stage = ComposeSamples(tokenizer=tokenizer)
    moved = ComposeSamples(tokenizer=byte_tokenizer(tmp_path / "words", PARTS))
    assert stage.fingerprint() == moved.fingerprint()
    assert stage.fingerprint() != ComposeSamples(tokenizer=tokenizer, visual=VisualRule(fps=1)).fingerprint()


def test_senseless_settings_are_refused(tmp_path: Path) -> None:
    """No prompt, an empty one, and a folder that is not there, before any work."""
    for prompts in ((), ("What?", "")):
        with pytest.raises(RecipeError, match=r"video_prompts is .*at least one"):
            ComposeSamples(video_prompts=prompts)
    with pytest.raises(RecipeError, match="there is no model folder"):
        ComposeSamples(tokenizer=str(tmp_path / "nowhere")).check()


def test_types_are_those_of_the_columns(tokenizer: str) -> None:
    """Nothing in, nothing out, in the stored types."""
    stage = ComposeSamples(tokenizer=tokenizer)
    nothing = stage.open()(columns.table([], ["id", *stage.reads]))
    assert columns.schema(["id", *stage.writes, "error"]) == nothing.schema

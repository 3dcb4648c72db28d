"""How the embedded models are marked, and that the shipped ones pass on a few questions."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.demo.scenes import Event, Scene
from pipeline.demo.training import exam
from pipeline.demo.training.exam_clips import Question, draw_question
from pipeline.demo.training.sample import is_pair, is_triple
from stages.models.weights import SHIPPED


def test_auc_counts_pairs_and_half_of_ties() -> None:
    """Of the pairs of 3, 1 with 2, 1, 0 right ones win 3 + 1 and tie 1: 4.5 of 6."""
    assert 4.5 / 6 == exam.auc(np.array([3.0, 1.0]), np.array([2.0, 1.0, 0.0]))


def test_facts_that_are_missing_or_invented_are_wrong() -> None:
    """One of two captions is right; the other has a wrong colour and an event too many."""
    scene = Scene((Event("ring", "cyan", "small", "still"),), "dotted", "teal")
    asked = [Question(scene, 0.0, [], np.zeros((1, 64, 64, 3), np.uint8))] * 2
    right = "a small cyan ring on a teal dotted background"
    marks = exam.mark_captions(
        asked, [right, "a small red ring on a teal dotted background, then a star grows"]
    )
    # Of 6 + 6 facts the second caption gets colour and events wrong, and says a shape and a motion more.
    assert (0.5, 10 / 14) == (marks.exact, marks.facts)
    assert 0.5 == marks.by_fact["colour"]


@pytest.mark.parametrize(("group", "held_out"), [("triple", is_triple), ("pair", is_pair)])
def test_questions_are_held_out(group: str, held_out: object) -> None:
    """The groups are those that training leaves out; equal numbers draw equal questions."""
    assert callable(held_out)
    first, again = (draw_question(group, "picture", 3) for _ in range(2))
    assert held_out(first.scene)
    assert first.scene == again.scene
    np.testing.assert_array_equal(first.frames, again.frames)


def test_a_clip_is_seen_as_the_pipeline_sees_it() -> None:
    """Eight stored frames for CLIP, four of 64 x 64 for the captioner; copies and a twin."""
    asked = draw_question("seen", "video", 1, copied=True)
    assert (4, 64, 64, 3) == asked.frames.shape
    assert [8] * 5 == [len(frames) for frames in (asked.stored, asked.twin, *asked.copies)]
    assert {160, 120} == set(asked.stored[0].size)
    assert [(160, 120), (120, 90), (160, 120)] == [frames[0].size for frames in asked.copies]


def test_shipped_models_pass() -> None:
    """Of twelve new pictures, CLIP tells right captions from altered ones; the captioner says 95 % right."""
    asked = [draw_question(group, "picture", number) for group in ("seen", "triple") for number in range(6)]
    assert exam.mark_clip(exam.Looks(SHIPPED / "clip"), asked).altered >= 0.99
    marks = exam.mark_captions(asked, exam.captions(SHIPPED / "captioner", asked))
    assert marks.facts >= 0.95

"""A classifier as a measure: its label's odds over frames, in a column of its own name."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests import columns
from manifests.errors import RecipeError, RowError
from pipeline.recipe import load
from pipeline.steps import SHAPES
from stages.frames import decoded
from stages.models.classifier import Classifier
from stages.score.classify import ClassifyFrames
from tests.stages.models.build import frames, tiny_timm_classifier
from tests.stages.score.work import done

COUNTS = [1, 4, 2, 8, 3]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> ClassifyFrames:
    folder = tiny_timm_classifier(tmp_path_factory.mktemp("models") / "pets")
    return ClassifyFrames(called="cats", model=str(folder), label="cat", batch=16)


def table() -> pa.Table:
    return columns.table(frames(COUNTS), ["id", "frames"])


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_frames_are_pooled(stage: ClassifyFrames, pool: str) -> None:
    """The mean, or the highest, of the odds of a row's own frames, under the row's id."""
    found = done(dataclasses.replace(stage, pool=pool), table())
    assert ["id", "class_cats"] == found.column_names == ["id", *stage.writes]
    classifier = Classifier(stage.model, "cat", batch=16)
    odds, pixels = classifier.open(), classifier.pictures()
    for row, value in zip(frames(COUNTS), found["class_cats"].to_pylist(), strict=True):
        each = odds(pixels([decoded(frame["jpeg"]) for frame in row["frames"]]))
        assert (each.mean() if pool == "mean" else each.max()) == pytest.approx(value, abs=1e-6)


def test_rows_do_not_depend_on_their_neighbours(stage: ClassifyFrames) -> None:
    """In another order, the same numbers."""
    order = pa.array(np.random.default_rng(0).permutation(len(COUNTS)))
    assert done(stage, table()).take(order).equals(done(stage, table().take(order)))


def test_a_row_without_frames_fails(stage: ClassifyFrames) -> None:
    """Nothing was stored of it."""
    with pytest.raises(RowError, match="no_frames"):
        stage.prepare()(columns.table([{"id": "a", "frames": []}], ["id", "frames"]))


def test_each_table_of_a_recipe_is_a_classifier(stage: ClassifyFrames, tmp_path: Path) -> None:
    """[score.classify.NAME] makes one stage that writes class_NAME; without one there is none."""
    settings = [f"score.classify.{name}.model={stage.model}" for name in ("cats", "news")]
    labels = ["score.classify.cats.label=cat", "score.classify.news.label=news"]
    made = [s for s in load("default", SHAPES, [*settings, *labels]).stages["score"] if s.section]
    assert [("class_cats",), ("class_news",)] == [s.writes for s in made]
    assert ["ClassifyFrames.cats", "ClassifyFrames.news"] == [s.name for s in made]
    assert [] == [s for s in load("default", SHAPES).stages["score"] if s.section]
    for each in made:
        each.check()


def test_names_that_differ_in_case_are_refused() -> None:
    """Their columns would be one to DuckDB."""
    settings = [f"score.classify.{name}.label=cat" for name in ("nsfw", "NSFW")]
    with pytest.raises(RecipeError, match=r"^\[score.classify.NSFW\] writes class_NSFW, .* class_nsfw of"):
        load("default", SHAPES, settings)


def test_the_fingerprint_is_of_the_models_content(stage: ClassifyFrames, tmp_path: Path) -> None:
    """Where a model lies does not matter; its label and pooling do."""
    there = shutil.copytree(stage.model, tmp_path / "pets")
    assert stage.fingerprint() == dataclasses.replace(stage, model=str(there)).fingerprint()
    assert stage.fingerprint() != dataclasses.replace(stage, label="dog").fingerprint()
    assert stage.fingerprint() != dataclasses.replace(stage, pool="max").fingerprint()
    assert "pets" == stage.model_label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "cats"}, "knows no label 'cats'; did you mean 'cat'"),
        ({"label": ""}, "needs a name of letters and digits, a model and a label"),
        ({"model": ""}, "needs a name"),
        ({"called": "my-cats"}, "needs a name"),
        ({"model": "./nowhere"}, "there is no model folder"),
        ({"batch": 0}, "batch is 1 or more"),
        ({"batch": 24}, "batch is a multiple of 16, found 24"),
    ],
)
def test_what_cannot_work_is_told_before_any_work(
    stage: ClassifyFrames, change: dict[str, object], message: str
) -> None:
    """One sentence that names the table or the model."""
    stage.check()
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(stage, **change).check()

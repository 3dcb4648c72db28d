"""A detector as measures: the most in one frame, the largest union, each row by itself."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import RecipeError, RowError
from pipeline.recipe import load
from pipeline.steps import SHAPES
from stages.score.objects import CountObjects
from tests.stages.models.build import pictures, tiny_detector
from tests.stages.score.pictures import TINY, plain, rows
from tests.stages.score.work import done


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> CountObjects:
    folder = tiny_detector(tmp_path_factory.mktemp("models") / "pets")
    return CountObjects(called="cats", model=str(folder), label="cat", threshold=0.3)


def table() -> pa.Table:
    """Rows of one to four frames; pictures of a row have one size, those of rows three."""
    some = pictures(12)
    return rows([some[0]], [some[1], some[6]], [some[2]] * 2, [some[5], some[10], some[0], some[5]])


def test_the_most_and_the_largest_by_hand(stage: CountObjects) -> None:
    """Frame 1: halves that share a quarter, 0.75 in all; frame 2: three of 0.01; what is unlikely is none."""
    halves = [[0.9, 0.0, 0.0, 0.5, 1.0], [0.8, 0.0, 0.0, 1.0, 0.5], [0.3, 0.0, 0.0, 1.0, 1.0]]
    small = [[0.9, 0.1 * n, 0.0, 0.1 * (n + 1), 0.1] for n in (0, 2, 4)]
    measures = stage._counted(np.array([halves, small]))
    assert {"count_cats": 3, "area_cats": 0.75} == measures
    nothing = stage._counted(np.array([[[0.3, 0.0, 0.0, 1.0, 1.0]]]))
    assert {"count_cats": 0, "area_cats": 0.0} == nothing


def test_each_row_has_its_own(stage: CountObjects) -> None:
    """Alone, in another order, in batches that do not fit: the same numbers under the same id."""
    found = done(stage, table()).sort_by("id")
    assert ["id", "count_cats", "area_cats"] == found.column_names
    assert sum(found["count_cats"].to_pylist()) > 0
    assert all(0 <= area <= 1 for area in found["area_cats"].to_pylist())
    alone = [row for n in range(len(found)) for row in done(stage, table().slice(n, 1)).to_pylist()]
    assert found.to_pylist() == alone
    assert found == done(stage, table().take(pa.array([3, 1, 0, 2]))).sort_by("id")


def test_of_tiny_pictures_nothing_is_known(stage: CountObjects) -> None:
    """Of any shape under 16 px on a side, alone and among others, which they do not change."""
    (large,) = done(stage, table().slice(1, 1)).to_pylist()
    small = rows(*TINY, [plain((16, 16))])
    among = pa.concat_tables([table().slice(1, 1), small.set_column(0, "id", pa.array(list("abcde")))])
    found = done(stage, among).sort_by("id").to_pylist()
    assert large == found[0]
    assert [None] * 4 == [row["count_cats"] for row in found[1:5]] == [row["area_cats"] for row in found[1:5]]
    assert found[5]["count_cats"] is not None
    assert [None] * 4 == done(stage, small.slice(0, 4))["count_cats"].to_pylist()


def test_a_row_without_frames_fails(stage: CountObjects) -> None:
    """Nothing was stored of it."""
    with pytest.raises(RowError, match="no_frames"):
        stage.prepare()(rows([]))


def test_each_table_of_a_recipe_is_a_detector(stage: CountObjects) -> None:
    """[score.detect.NAME] makes one stage that writes count_NAME and area_NAME."""
    settings = [f"score.detect.{name}.model={stage.model}" for name in ("cats", "dogs")]
    settings += ["score.detect.cats.label=cat", "score.detect.dogs.label=dog"]
    made = [s for s in load("default", SHAPES, settings).stages["score"] if s.section]
    assert [("count_cats", "area_cats"), ("count_dogs", "area_dogs")] == [s.writes for s in made]
    assert ["CountObjects.cats", "CountObjects.dogs"] == [s.name for s in made]
    for each in made:
        each.check()


def test_the_fingerprint_is_of_the_models_content(stage: CountObjects) -> None:
    """Its label and its threshold are part of the measure."""
    assert "pets" == stage.model_label
    assert stage.fingerprint() != dataclasses.replace(stage, label="dog").fingerprint()
    assert stage.fingerprint() != dataclasses.replace(stage, threshold=0.4).fingerprint()
    assert stage.fingerprint() == dataclasses.replace(stage, batch=32).fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "cats"}, "the detector pets knows no label 'cats'; did you mean 'cat'"),
        ({"label": ""}, r"\[score.detect.cats\] needs a name of letters and digits, a model and a label"),
        ({"threshold": 50.0}, r"\[score.detect.cats\] threshold is 50.0, expected 0 to 1"),
        ({"batch": 24}, "batch is a multiple of 16, found 24"),
    ],
)
def test_what_cannot_work_is_told_before_any_work(
    stage: CountObjects, change: dict[str, object], message: str
) -> None:
    """One sentence that names the table or the model."""
    stage.check()
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(stage, **change).check()

"""Columns: the names that a recipe gives, and what is said of one that is not there."""

import pyarrow as pa
import pytest

from manifests import columns
from manifests.errors import RecipeError


def test_no_fixed_column_is_taken_for_one_that_a_recipe_names() -> None:
    """Their names begin otherwise."""
    assert [] == [name for name in columns.COLUMNS if columns.is_named(name)]


@pytest.mark.parametrize(
    ("name", "kind", "asked"),
    [
        ("class_nsfw", pa.float64(), "[score.classify.NAME]"),
        ("count_people", pa.int64(), "[score.detect.NAME]"),
        ("area_people", pa.float64(), "[score.detect.NAME]"),
        ("own_x", pa.float64(), "[score.own.NAME]"),
    ],
)
def test_columns_that_a_recipe_names(name: str, kind: pa.DataType, asked: str) -> None:
    """The beginning decides type and meaning, the rest stands in the meaning."""
    found = columns.column(name)
    assert (name, kind, asked, False) == (found.name, found.type, found.asked, found.side)
    assert name.partition("_")[2] in found.meaning


def test_what_no_recipe_can_name() -> None:
    """A prefix alone is none, nor is a name that SQL would have to quote."""
    for name in ("own-x", "own_x y", "count"):
        with pytest.raises(RecipeError, match="unknown column"):
            columns.column(name)


def test_the_remedy_is_a_setting_or_the_nearest_name() -> None:
    """What a recipe has to ask for says how; what is misspelt offers what is near."""
    assert "score.faces = true has it computed" == columns.remedy("face_count", ["fps"])
    assert "[score.detect.NAME] has it computed" == columns.remedy("count_dogs", ["fps"])
    assert "did you mean 'fps'?" == columns.remedy("fsp", ["fps"])

"""Heads over embeddings: linear layers by hand, and which files are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from manifests import columns
from manifests.errors import RecipeError
from stages.score.aesthetic import RateAesthetics
from tests.stages.models.build import tiny_clip


def head(path: Path, **tensors: Any) -> RateAesthetics:
    """A stage with these arrays as its head; a dot in a name is written as two underscores."""
    arrays = {name.replace("__", "."): np.array(value, np.float32) for name, value in tensors.items()}
    save_file(arrays, path)
    return RateAesthetics(aesthetic_head=str(path), clip_model="hf-hub:owner/none")


def linear(path: Path) -> RateAesthetics:
    return head(path, weight=[[2.0, -1.0]], bias=[5.0])


def rated(stage: RateAesthetics, *embeddings: list[float] | None) -> pa.Table:
    rows = [{"id": f"{n}", "embedding": values} for n, values in enumerate(embeddings)]
    return stage.open()(columns.table(rows, ["id", "embedding"]))


def test_a_linear_head_by_hand(tmp_path: Path) -> None:
    """2 x 0.6 - 0.8 + 5 = 5.4, 2 x 1 + 5 = 7."""
    stage = linear(tmp_path / "head.safetensors")
    stage.check()
    assert [5.4, 7.0] == rated(stage, [0.6, 0.8], [1.0, 0.0])["aesthetic"].to_pylist()


def test_a_chain_of_layers_by_hand(tmp_path: Path) -> None:
    """LAION's names; numbers leave out dropout and are ordered as numbers: 2, then 10. No activation between.

    (0.6, 0.8) by [[1, 0], [0, -1], [1, 1]] + (0, 0, 1) = (0.6, -0.8, 2.4); by (1, 1, 2) - 0.5 = 4.1.
    """
    stage = head(
        tmp_path / "mlp.safetensors",
        layers__10__weight=[[1, 1, 2]],
        layers__10__bias=[-0.5],
        layers__2__weight=[[1, 0], [0, -1], [1, 1]],
        layers__2__bias=[0, 0, 1],
    )
    stage.check()
    assert [4.1] == rated(stage, [0.6, 0.8])["aesthetic"].to_pylist()


def test_another_models_embedding_fails_the_row(tmp_path: Path) -> None:
    """Three numbers, or none, do not fit a head of two; neighbours are rated."""
    found = rated(linear(tmp_path / "head.safetensors"), [1.0, 0.0], [1.0, 0.0, 0.0], None)
    assert [7.0, None, None] == found["aesthetic"].to_pylist()
    given = [error and error.partition(",")[2].strip() for error in found["error"].to_pylist()]
    assert [None, "it was given 3", "it was given 0"] == given


def test_no_rows_are_no_ratings(tmp_path: Path) -> None:
    """An empty table stays one."""
    assert 0 == len(rated(linear(tmp_path / "head.safetensors")))


def test_the_head_decides_the_fingerprint(tmp_path: Path) -> None:
    """Its content and its name, not where it lies; without one the stage is left out."""
    here, there = linear(tmp_path / "head.safetensors"), tmp_path / "there"
    there.mkdir()
    assert here.fingerprint() == linear(there / "head.safetensors").fingerprint()
    other = head(there / "head.safetensors", weight=[[2.0, -1.5]], bias=[5.0])
    assert here.fingerprint() != other.fingerprint()
    assert (True, "head") == (here.active, here.model_label)
    assert (False, "") == (RateAesthetics().active, RateAesthetics().model_label)


def test_a_head_of_another_dimension_is_told_before_any_work(tmp_path: Path) -> None:
    """The recipe's CLIP model makes 16 numbers."""
    model = tiny_clip(tmp_path / "tiny")
    head(tmp_path / "wide.safetensors", weight=[[1.0] * 16], bias=[0])
    RateAesthetics(str(tmp_path / "wide.safetensors"), str(model)).check()
    linear(tmp_path / "head.safetensors")
    with pytest.raises(RecipeError, match=r"reads embeddings of 2 numbers, .*tiny makes 16"):
        RateAesthetics(str(tmp_path / "head.safetensors"), str(model)).check()


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": [[1, 1], [1, 1]], "bias": [0, 0]},
        {"weight": [[1, 1]]},
        {"weight": [1, 1], "bias": [0]},
        {"weight": [[1, 1]], "bias": [0, 0]},
        {"a__0__weight": [[1, 1]], "a__0__bias": [0], "a__1__weight": [[1, 1]], "a__1__bias": [0]},
        {"embedding": [[1, 1]]},
    ],
    ids=["two numbers", "no bias", "a vector", "a long bias", "a gap in the chain", "no layer"],
)
def test_what_is_no_head_is_told(tmp_path: Path, tensors: dict[str, Any]) -> None:
    """Linear layers with biases, each as wide as the one before is high, to one number."""
    with pytest.raises(RecipeError, match="is no chain of linear layers"):
        head(tmp_path / "head.safetensors", **tensors).check()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("head.pth", "pickled heads are never loaded"),
        ("nowhere.safetensors", "No such file"),
        ("empty.safetensors", "is no safetensors file"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, message: str) -> None:
    """Pickled, missing, broken."""
    (tmp_path / "empty.safetensors").touch()
    with pytest.raises(RecipeError, match=message):
        RateAesthetics(aesthetic_head=str(tmp_path / name)).check()

"""One contract for every stage that sees rows one by one, switched on where a recipe has to ask for it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests import columns
from manifests.store import Results
from pipeline.steps import SHAPES
from pipeline.worker import apart, checked, failed
from stages.base import Map, Model, Stage
from stages.dedup.phash import HashFrames
from tests.stages.models.build import tiny_detector, tiny_transformers_classifier

STAGES = [kind for kinds in SHAPES.values() for kind in kinds]
BY_ROW = [kind for kind in STAGES if issubclass(kind, Map | Model)]
Settings = Callable[[type[Stage]], dict[str, Any]]


def transnet(folder: Path) -> dict[str, Any]:
    from safetensors.torch import save_file

    from tests.stages.models.test_transnet import narrow

    save_file(narrow(), folder / "net.safetensors")
    return {"detector": "transnet", "transnet_model": str(folder / "net.safetensors")}


def head(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import save_file

    ones = {"weight": np.ones((1, 2), np.float32), "bias": np.ones(1, np.float32)}
    save_file(ones, folder / "head.safetensors")
    return {"aesthetic_head": str(folder / "head.safetensors")}


def label(model: Path) -> dict[str, Any]:
    return {"called": "cats", "model": str(model), "label": "cat"}


def scorer(_: Path) -> dict[str, Any]:
    """One that leaves out rows of which it knows nothing."""
    code = "def known(rows):\n    return rows.rename_columns(['id', 'known']).drop_null()\n"
    names = {"reads": ("blur",), "writes": ("own_known",)}
    return {"called": "known", "function": "a.py:known", "code": code, **names}


# What switches on the stages that a recipe has to ask for; models are built in the folder.
ON: dict[str, Callable[[Path], dict[str, Any]]] = {
    "StoreTinyFrames": lambda _: {"detector": "transnet"},
    "PredictBoundaries": transnet,
    "SplitByModel": lambda _: {"detector": "transnet"},
    "RateAesthetics": head,
    "ReadText": lambda _: {"ocr": "text"},
    "CountFaces": lambda _: {"faces": True},
    "HearSpeech": lambda _: {"speech": True},
    "ClassifyFrames": lambda folder: label(tiny_transformers_classifier(folder)),
    "CountObjects": lambda folder: label(tiny_detector(folder)),
    "CallScorer": scorer,
}
# Settings beside which all others decide: without chunks their overlap does not.
BESIDE: dict[str, dict[str, Any]] = {name: {"chunk_frames": 16} for name in ("SplitShots", "SplitByModel")}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What switches a stage on, made once."""
    made: dict[str, dict[str, Any]] = {}

    def of(kind: type[Stage]) -> dict[str, Any]:
        name = kind.__name__
        if name in ON and name not in made:
            made[name] = ON[name](tmp_path_factory.mktemp(name))
        return made.get(name, {})

    return of


def given(stage: Stage, ids: list[str]) -> pa.Table:
    """Rows that no stage can do: their file is missing and everything else is unknown."""
    nowhere = {"path": "/nonexistent/file", "offset": None, "size": None}
    known: dict[str, Any] = {"location": nowhere, "size_bytes": 1, "kind": "video", "asset_id": "a" * 32}
    known |= {"source_uri": "a.mp4", "time_base": "1/1000", "start_pts": 0, "end_pts": 9, "frame_count": 1}
    known |= {"start_s": 0.0, "end_s": 1.0, "fps": 1.0, "rotation": 0, "format": "mov", "audio": "aac"}
    names = ["id", *stage.reads]
    return columns.table([{n: known.get(n) for n in names} | {"id": id_} for id_ in ids], names)


def opened(stage: Map | Model, results: Results) -> Callable[[pa.Table], pa.Table]:
    """The work as a worker does it: a model fails the rows on which it raises, others say so themselves."""
    if isinstance(stage, Map):
        work = stage.open()
        return lambda rows: checked(stage, work(rows), results, rows)
    prepare, forward = stage.prepare(), stage.forward()

    def whole(rows: pa.Table) -> pa.Table:
        ids = np.array(rows["id"].to_pylist(), object)
        return checked(stage, forward({**prepare(rows), "id": ids}), results, rows)

    def done(rows: pa.Table) -> pa.Table:
        made, errors = apart(whole, rows)
        return pa.concat_tables([*made, failed(stage, results, errors)])

    return done


@pytest.mark.parametrize("kind", STAGES, ids=lambda kind: kind.__name__)
def test_settings_decide_the_fingerprint(kind: type[Stage], settings: Settings) -> None:
    """Equal settings are one fingerprint, another one is another, but for resources; columns are known."""
    stage = kind(**settings(kind), **BESIDE.get(kind.__name__, {}))
    assert kind().fingerprint() == kind().fingerprint()
    assert hash(kind()) == hash(kind())
    assert all(columns.column(name) for name in (*stage.reads, *stage.writes))
    for field in dataclasses.fields(kind):
        if field.type == "int":
            other = dataclasses.replace(stage, **{field.name: getattr(stage, field.name) + 1})
            assert (field.name in kind.resources) == (other.fingerprint() == stage.fingerprint())


@pytest.mark.parametrize("kind", BY_ROW, ids=lambda kind: kind.__name__)
def test_no_row_is_lost(kind: type[Map | Model], settings: Settings) -> None:
    """Zero rows give zero rows; rows that cannot be done come back with an error each, whatever the batch."""
    stage = kind(**settings(kind))
    assert stage.active
    results = Results(Path("out"), "step", stage.name, "f", stage.writes)
    done, ids = opened(stage, results), ["a" * 32, "b" * 32, "c" * 32]
    assert 0 == len(done(given(stage, [])))
    together = done(given(stage, ids))
    alone = [done(given(stage, [id_])) for id_ in ids]
    assert ids == sorted(together[results.key].to_pylist())
    assert together.sort_by(results.key) == pa.concat_tables(alone).sort_by(results.key).combine_chunks()
    # A clip without frames has no hashes, which is no failure.
    if {"location", "frames"} & set(stage.reads) and kind is not HashFrames:
        assert 0 == together["error"].null_count

"""One contract for every stage that sees rows one by one."""

import dataclasses
from typing import Any

import pyarrow as pa
import pytest

from manifests import columns
from manifests.store import Results
from pipeline.steps import SHAPES
from pipeline.worker import checked
from stages.base import Map, Stage

MAPS = [kind for kinds in SHAPES.values() for kind in kinds if issubclass(kind, Map) and kind().active]
STAGES = [kind for kinds in SHAPES.values() for kind in kinds]


def given(kind: type[Map], ids: list[str]) -> pa.Table:
    """Rows that no stage can do: their file is missing and everything else is unknown."""
    nowhere = {"path": "/nonexistent/file", "offset": None, "size": None}
    known: dict[str, Any] = {"location": nowhere, "size_bytes": 1, "kind": "video", "asset_id": "a" * 32}
    known |= {"source_uri": "a.mp4", "time_base": "1/1000", "start_pts": 0, "end_pts": 9, "frame_count": 1}
    known |= {"start_s": 0.0, "end_s": 1.0, "fps": 1.0, "rotation": 0, "format": "mov"}
    names = ["id", *kind.reads]
    return columns.table([{n: known.get(n) for n in names} | {"id": id_} for id_ in ids], names)


# Settings beside which all others decide: without chunks their overlap does not.
BESIDE: dict[str, dict[str, Any]] = {name: {"chunk_frames": 16} for name in ("SplitShots", "SplitByModel")}


@pytest.mark.parametrize("kind", STAGES, ids=lambda kind: kind.__name__)
def test_settings_decide_the_fingerprint(kind: type[Stage]) -> None:
    """Equal settings are one fingerprint, another one is another, but for resources; columns are known."""
    assert kind().fingerprint() == kind().fingerprint()
    assert hash(kind()) == hash(kind())
    assert all(columns.column(name) for name in (*kind().reads, *kind().writes))
    for field in dataclasses.fields(kind):
        if field.type == "int":
            stage = kind(**BESIDE.get(kind.__name__, {}))
            other = dataclasses.replace(stage, **{field.name: getattr(stage, field.name) + 1})
            assert (field.name in kind.resources) == (other.fingerprint() == stage.fingerprint())


@pytest.mark.parametrize("kind", MAPS, ids=lambda kind: kind.__name__)
def test_no_row_is_lost(kind: type[Map]) -> None:
    """Zero rows give zero rows; rows that cannot be done come back with an error each, whatever the batch."""
    from pathlib import Path

    stage = kind()
    results = Results(Path("out"), "step", stage.name, "f", stage.writes)
    work = stage.open()
    ids = ["a" * 32, "b" * 32, "c" * 32]
    assert 0 == len(checked(stage, work(given(kind, [])), results, given(kind, [])))
    together = checked(stage, work(given(kind, ids)), results, given(kind, ids))
    alone = [checked(stage, work(given(kind, [id_])), results, given(kind, [id_])) for id_ in ids]
    assert ids == sorted(together[results.key].to_pylist())
    assert together.sort_by(results.key) == pa.concat_tables(alone).sort_by(results.key).combine_chunks()
    if "location" in kind.reads:
        assert 0 == together["error"].null_count

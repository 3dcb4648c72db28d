"""Which stage of a step wrote which columns, as the parts say that the record lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from manifests import columns, files
from manifests.errors import RecipeError
from manifests.manifest import Manifest
from manifests.store import digest_name, part_name

_KEYS = ("id", "parent_id", "input", "error")


def stages_of(step: Manifest) -> dict[str, str]:
    """The stage that wrote each column in this step, in the order of the record's settings."""
    tables = {*step.record["tables"], "rows"}
    first: dict[str, str] = {}
    for part in step.parts().select(["path", "table"]).to_pylist():
        # Side values lie in files of their own, with one dot more.
        if part["table"] not in tables and Path(part["path"]).name.count(".") == 1:
            first.setdefault(part["table"], part["path"])
    order = [name for name in step.record.get("settings", {}) if name in first]
    found: dict[str, str] = {}
    for stage in [*order, *sorted(first.keys() - set(order))]:
        path = step.folder / first[stage]
        with files.reading(step.out, path):
            names = pq.read_schema(path).names
        found |= {name: stage for name in names if name not in _KEYS}
    return found


def changed(
    row: Mapping[str, Any], before: Mapping[str, Any], stages: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """By stage, the values of a row that it wrote; under "" those that the step gave otherwise and that are
    not those of the row before. Fates, places of bytes and side values are left out."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in row.items():
        if name not in _KEYS and shown(name) and (name in stages or value != before.get(name)):
            found.setdefault(stages.get(name, ""), {})[name] = value
    return found


_HIDDEN = {
    f(name) for name, column in columns.COLUMNS.items() if column.side for f in (digest_name, part_name)
}


def shown(name: str) -> bool:
    """Whether a column is to be shown: it says something of the content, and not of this machine."""
    try:
        column = columns.column(name)
    except RecipeError:
        return name not in _HIDDEN
    return not column.side and not column.resource and column.group != "fate"

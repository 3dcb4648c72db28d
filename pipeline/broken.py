"""Which files of a step are no longer what was written, and what has to go so that a run makes them again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import files, manifest
from manifests.errors import ManifestError
from manifests.manifest import Manifest
from stages.pack import check

_PACKS = re.compile(r"\d{6}(?:\.tar|\.tar\.idx|_stats\.json|\.parquet)|\..*\.tmp")


@dataclass(frozen=True)
class Finding:
    """What is wrong, and the files that have to go so that a run makes them again.

    `left` marks what neither that nor a run can mend.
    """

    says: str
    broken: tuple[Path, ...] = ()
    left: bool = False


@dataclass(frozen=True)
class _Written:
    """A file as it was written; `digits` of its SHA-256 and `size` are empty where nothing says."""

    digits: str = ""
    size: int | None = None
    counts: bool = False


def record_of(out: Path, step: str) -> Path:
    """What makes a step count; without it a run commits the step again, from the results that there are."""
    return out / step / "record.json"


def readable(out: Path, step: str) -> tuple[Manifest | None, list[Finding]]:
    """The step as committed, and a finding when its record cannot be read.

    Raises ManifestError for a record of another format, which is not ours to mend.
    """
    if fault := manifest.broken_record(out, step):
        return None, [Finding(fault, (record_of(out, step),))]
    return Manifest.find(out, step), []


def broken_files(out: Path, step: str, committed: Manifest | None) -> Iterator[Finding]:
    """Findings about the tables and results of a step, committed or not, that a run would read."""
    folder, record = out / step, record_of(out, step)
    written = {
        str(path.relative_to(folder)): _Written(files.promised(path))
        for pattern in ("*.parquet", "*/*.parquet")
        for path in folder.glob(pattern)
        if files.promised(path)
    }
    referring = _referring(out, folder)
    written = {**{name: _Written(files.promised(folder / name)) for name in referring}, **written}
    if committed:
        listed = _listed(committed)
        if isinstance(listed, Finding):
            yield listed
            written.pop(committed.record["parts"], None)
        else:
            written |= listed
    for name in sorted(written):
        if (fault := _fault(folder / name, written[name])) is None:
            continue
        parts = referring.get(name, [])
        counts = written[name].counts or any(written[part].counts for part in parts if part in written)
        gone = [*([record] if counts else []), folder / name, *(folder / part for part in parts)]
        yield _found(f"{step}: {name}", fault, gone)


def broken_datasets(pack: Manifest) -> Iterator[Finding]:
    """Findings about the packed datasets of a step whose own tables are whole."""
    listed = pack.table("files").to_pylist() if "files" in pack.record["tables"] else []
    for dataset in sorted(set(pack.table("plan")["dataset"].to_pylist())):
        mine = [file for file in listed if file["path"].startswith(f"{dataset}/")]
        small = list(_changed(pack, (file for file in mine if not file["path"].endswith(".tar"))))
        yield from small
        if small:
            # What says how a dataset should be is broken itself, so each tar is compared with the record.
            yield from _changed(pack, (file for file in mine if file["path"].endswith(".tar")))
            continue
        yield from _checked(pack, dataset)


def _changed(pack: Manifest, listed: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    record = record_of(pack.out, pack.step)
    for file in listed:
        path = pack.folder / file["path"]
        fault = _fault(path, _Written(file["sha256"] or "", file["bytes"], counts=True))
        if fault is not None:
            yield _found(f"pack/{file['path']}", fault, [record, path])


def _checked(pack: Manifest, dataset: str) -> Iterator[Finding]:
    folder, record = pack.folder / dataset, record_of(pack.out, pack.step)
    for finding in check.findings(folder):
        says, path = f"pack/{dataset}: {finding.says}", folder / finding.path
        if finding.extra and not _PACKS.fullmatch(path.name):
            yield Finding(f"{says}; remove it, it is none of Reelmix's", left=True)
            continue
        yield Finding(says, (path,) if finding.extra else (record, path))


def _listed(committed: Manifest) -> dict[str, _Written] | Finding:
    """What the list of parts says of each file, or what is wrong with the list."""
    name, record = committed.record["parts"], record_of(committed.out, committed.step)
    path = committed.folder / name
    fault = _fault(path, _Written(files.promised(path), counts=True))
    if fault is not None:
        return _found(f"{committed.step}: {name}", fault, [record, path])
    listed = {part["path"]: _as_listed(part) for part in committed.parts().to_pylist()}
    unlisted = {*committed.record["rows"].values(), *committed.record["tables"].values()} - set(listed)
    if unlisted:
        names = ", ".join(sorted(map(str, unlisted)))
        return Finding(f"{committed.step}: the record names {names}, its list of parts does not", (record,))
    return listed


def _as_listed(part: Mapping[str, Any]) -> _Written:
    # The size of a result was looked up when it was listed, the digits in its name are older.
    size = None if len(part["sha256"]) == files.DIGITS else part["bytes"]
    return _Written(part["sha256"], size, counts=True)


def _referring(out: Path, folder: Path) -> dict[str, list[str]]:
    """Side files that results name, each with the parts that name it; paths in the step's folder."""
    found: dict[str, list[str]] = {}
    for part in sorted(folder.glob("*/*.parquet")):
        if part.name.count(".") > 1:
            continue
        for place in _places(part):
            name = str((out / place).relative_to(folder))
            found.setdefault(name, []).append(str(part.relative_to(folder)))
    return found


def _places(part: Path) -> set[str]:
    try:
        names = [name for name in pq.read_schema(part).names if name.endswith("_part")]
        table = pq.read_table(part, columns=names) if names else pa.table({})
    except (OSError, pa.ArrowException):
        # It is found by its own digits.
        return set()
    return {place for name in table.column_names for place in table[name].to_pylist() if place}


def _fault(path: Path, written: _Written) -> str | ManifestError | None:
    """What is wrong with a file in words, or that this machine cannot tell; null when it is as written."""
    try:
        if not path.exists():
            return "is missing"
        if written.size not in (None, path.stat().st_size):
            return f"has {path.stat().st_size} bytes, expected {written.size}"
        if written.digits and not files.sha256(path).startswith(written.digits):
            return "is not what was written (SHA-256)"
        return None
    except OSError as error:
        return ManifestError(f"cannot be read now: {error.strerror}; mend that and verify again")


def _found(name: str, fault: str | ManifestError, gone: Iterable[Path]) -> Finding:
    if isinstance(fault, ManifestError):
        return Finding(f"{name} {fault}", left=True)
    return Finding(f"{name} {fault}", tuple(gone))

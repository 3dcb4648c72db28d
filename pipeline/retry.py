"""Failures that are to be tried again: their results go, and the record that counted them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests import files
from manifests.errors import ManifestError, nearest
from manifests.manifest import Manifest
from manifests.verdicts import STEPS
from pipeline.broken import record_of


def retry(out: Path, reasons: Collection[str] = ()) -> dict[str, dict[str, int]]:
    """Forget the failed results of these reasons, or of all; returns how many, by step and reason.

    The next run does those rows again, and what follows from them; results under other settings are forgotten
    alike. Raises ManifestError for a reason that no row failed with.
    """
    steps = {step: found for step in STEPS if (found := Manifest.find(out, step))}
    known = {reason for found in steps.values() for reason in found.record["counts"]["failed"]}
    for reason in reasons:
        if reason not in known:
            hint = nearest(reason, known) if known else "no row failed"
            raise ManifestError(f"no row of {out} failed with {reason!r}; {hint}")
    forgotten = {step: _forgotten(out, step, set(reasons) or known) for step in steps}
    return {step: dict(counts) for step, counts in forgotten.items() if counts}


def _forgotten(out: Path, step: str, reasons: Collection[str]) -> Counter[str]:
    counts = Counter[str]()
    for part in sorted((out / step).glob("*-*/*.parquet")):
        if part.name.count(".") > 1:
            continue
        table = files.read_table(out, part)
        if "error" not in table.column_names:
            continue
        said = pc.list_element(pc.split_pattern(pc.fill_null(table["error"], ""), ": ", max_splits=1), 0)
        failed = pc.is_in(said, value_set=pa.array(sorted(reasons), pa.string()))
        if not pc.any(failed).as_py():
            continue
        record_of(out, step).unlink(missing_ok=True)
        counts.update(said.filter(failed).to_pylist())
        bucket = part.name.rpartition("-")[0]
        if not pc.all(failed).as_py():
            files.keep_table(part.parent, f"{bucket}-{{}}.parquet", table.filter(pc.invert(failed)))
        part.unlink()
    return counts

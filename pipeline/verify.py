"""Is everything what it says it is: every hash, every count, every row's way from step to step, every
shard."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from manifests import verdicts
from manifests.errors import ManifestError
from manifests.files import sha256
from manifests.manifest import Manifest
from manifests.sql import query
from stages.pack.check import check_dataset


def verify(out: Path) -> list[str]:
    """Findings, empty when all is well. Raises ManifestError when the directory holds no finished step."""
    found = [m for step in verdicts.STEPS if (m := Manifest.find(out, step))]
    if not found:
        raise ManifestError(f"{out} holds no finished step; `reelmix run --out {out}` makes one")
    findings = [finding for manifest in found for finding in _files(manifest)]
    if findings:
        return findings
    findings = [finding for manifest in found for finding in _counts(manifest)]
    findings += [f for before, after in pairwise(found) for f in _conserved(before, after)]
    return [*findings, *_sources(found[0]), *_shards(out, found[-1])]


def _files(manifest: Manifest) -> Iterator[str]:
    """Files of a step that are missing, or are not what its record lists."""
    try:
        listed = manifest.parts().to_pylist()
    except (OSError, pa.ArrowException) as error:
        yield f"{manifest.step}: the list of parts cannot be read ({error})"
        return
    for part in listed:
        path = manifest.folder / part["path"]
        if not path.exists():
            yield f"{manifest.step}: {part['path']} is missing"
        elif path.stat().st_size != part["bytes"] or sha256(path) != part["sha256"]:
            yield f"{manifest.step}: {part['path']} is not what the record lists (size or SHA-256)"


def _counts(manifest: Manifest) -> Iterator[str]:
    rows = manifest.all_rows(["id"])
    now = verdicts.counts(rows, manifest.table("verdicts"))
    if now != manifest.record["counts"]:
        yield f"{manifest.step}: the record counts {manifest.record['counts']}, the rows say {now}"
    sums = sum(sum(now[fate].values()) for fate in ("rejected", "duplicates", "failed"))
    if now["rows"] != now["live"] + sums:
        yield f"{manifest.step}: {now['rows']} rows, yet their fates add up to {now['live'] + sums}"
    if len(rows) != len(set(rows["id"].to_pylist())):
        yield f"{manifest.step}: an id stands twice"


def _conserved(before: Manifest, after: Manifest) -> Iterator[str]:
    """Every row of a step is itself or a parent in the next."""
    earlier, later = before.all_rows(["id"]), after.all_rows(["id", "parent_id"])
    lost = _without(earlier, "id", later)
    if lost:
        yield f"{after.step}: {len(lost)} rows of {before.step} are neither rows nor parents here: {lost[0]}"


def _without(earlier: pa.Table, name: str, later: pa.Table) -> list[str]:
    answer = query(
        f"select {name} from earlier where {name} not in (select id from later) "
        f"and {name} not in (select parent_id from later where parent_id is not null) order by 1",
        {"earlier": earlier, "later": later},
    )
    return [str(value) for value in answer[name].to_pylist()]


def _sources(ingest: Manifest) -> Iterator[str]:
    """Every file that gave an asset has its asset among the rows."""
    if ingest.step != "ingest":
        return
    sources = query("select distinct asset_id from s where role = 'media'", {"s": ingest.table("sources")})
    rows = ingest.all_rows(["id", "parent_id"])
    lost = _without(sources, "asset_id", rows)
    if lost:
        yield f"ingest: {len(lost)} listed files have no asset among the rows, first {lost[0]}"


def _shards(out: Path, last: Manifest) -> Iterator[str]:
    if last.step != "pack":
        return
    datasets = sorted(set(last.table("plan")["dataset"].to_pylist()))
    for dataset in datasets:
        yield from (f"pack/{dataset}: {finding}" for finding in check_dataset(out / "pack" / dataset))
    packed = len(last.table("plan"))
    if packed != last.record["counts"]["live"]:
        yield f"pack: {last.record['counts']['live']} live rows, yet {packed} samples are planned"

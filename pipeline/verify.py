"""Is everything what it says it is: every hash, every count, every row's way from step to step, every
shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from manifests import files, verdicts
from manifests.errors import ManifestError
from manifests.manifest import Manifest
from manifests.sql import query
from pipeline.broken import Finding, broken_datasets, broken_files, readable, record_of
from pipeline.drive import held
from pipeline.stale import says, stale_steps


def verify(out: Path) -> list[str]:
    """Findings, each with what to do, empty when all is well; writes nothing.

    Raises ManifestError when the directory holds no finished step, or one of another format.
    """
    return [_told(out, finding) for finding in examine(out)]


def mend(out: Path) -> tuple[list[str], bool]:
    """Remove the broken files that `verify` finds, and the records of the steps that they count for.

    The next run makes exactly these again. Returns a line for each finding and each file that went, and
    whether something is left that neither this nor a run mends. Raises ManifestError as `verify`, and while a
    run holds the directory.
    """
    if not out.is_dir():
        raise _nothing(out)
    with held(out):
        found = examine(out)
        lines: list[str] = []
        gone = 0
        for finding in found:
            lines.append(finding.says)
            for path in finding.broken:
                if path.exists():
                    path.unlink()
                    lines.append(f"  removed {path.relative_to(out)}")
                    gone += 1
        lines += [f"{gone} files removed; run again, it makes anew what is missing"] if gone else []
    return lines, any(finding.left for finding in found)


def examine(out: Path) -> list[Finding]:
    """What is wrong in a work directory; the rows of a step are looked at when its files are whole.

    Raises ManifestError as `verify`.
    """
    found: dict[str, Manifest] = {}
    findings: list[Finding] = []
    whole: dict[str, Manifest] = {}
    for step in verdicts.STEPS:
        committed, here = readable(out, step)
        here += broken_files(out, step, committed)
        findings += here
        if committed:
            found[step] = committed
            whole |= {} if here else {step: committed}
    if not found and not findings:
        raise _nothing(out)
    stale = stale_steps(found)
    if stale and not findings:
        findings.append(Finding(says(stale)))
    findings += _runs(out)
    for step, manifest in whole.items():
        findings += _because(out, step, _counts(manifest))
    for before, after in pairwise(verdicts.STEPS):
        if before in whole and after in whole and after not in stale:
            findings += _because(out, after, _conserved(whole[before], whole[after]))
    if "ingest" in whole:
        findings += _because(out, "ingest", _sources(whole["ingest"]))
    if "pack" in whole:
        findings += [*broken_datasets(whole["pack"]), *_because(out, "pack", _planned(whole["pack"]))]
    return findings


def _told(out: Path, finding: Finding) -> str:
    if not finding.broken:
        return finding.says
    return f"{finding.says}; mend: `reelmix verify {out} --mend`, then run again"


def _nothing(out: Path) -> ManifestError:
    return ManifestError(f"{out} holds no finished step; `reelmix run --out {out}` makes one")


def _because(out: Path, step: str, sentences: Iterator[str]) -> Iterator[Finding]:
    """Faults of a step's rows: it is to be committed again."""
    yield from (Finding(sentence, (record_of(out, step),)) for sentence in sentences)


def _runs(out: Path) -> Iterator[Finding]:
    """Logs of runs that cannot be read."""
    for path in sorted((out / "runs").glob("*.json")):
        try:
            files.read_json(path)
        except (OSError, ValueError) as error:
            yield Finding(f"runs: {path.name} is no JSON ({error})", (path,), left=isinstance(error, OSError))


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
    """Every row of a step is itself or a parent in the next, which has no other rows."""
    tables = {"earlier": before.all_rows(["id"]), "later": after.all_rows(["id", "parent_id"])}
    lost = _ids(
        "select id from earlier except (select id from later union select parent_id from later)", tables
    )
    if lost:
        where = f"are neither rows nor parents here, first {lost[0]}"
        yield f"{after.step}: {len(lost)} rows of {before.step} {where}"
    known = "in (select id from earlier)"
    new = _ids(f"select id from later where not (id {known} or coalesce(parent_id, '') {known})", tables)
    if new:
        yield f"{after.step}: {len(new)} rows have no row or parent in {before.step}, first {new[0]}"


def _sources(ingest: Manifest) -> Iterator[str]:
    """Every file that gave an asset has its asset among the rows, and every row its file."""
    tables = {"sources": ingest.table("sources"), "assets": ingest.all_rows(["id"])}
    lost = _ids(
        "select asset_id as id from sources where role = 'media' except select id from assets", tables
    )
    if lost:
        yield f"ingest: {len(lost)} listed files have no asset among the rows, first {lost[0]}"
    new = _ids("select id from assets except select asset_id from sources", tables)
    if new:
        yield f"ingest: {len(new)} rows come from no listed file, first {new[0]}"


def _ids(statement: str, tables: Mapping[str, pa.Table]) -> list[str]:
    return sorted(str(id_) for id_ in query(statement, tables)["id"].to_pylist())


def _planned(pack: Manifest) -> Iterator[str]:
    planned, live = len(pack.table("plan")), pack.record["counts"]["live"]
    if planned != live:
        yield f"pack: {live} live rows, yet {planned} samples are planned"

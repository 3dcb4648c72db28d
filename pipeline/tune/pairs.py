"""Duplicates as pairs around the cut-off: how far apart the pictures of two clips are, and which side of the
line that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.manifest import Manifest, finished
from pipeline.stale import stale_steps
from pipeline.tune.clips import Clips

# Of each level of pairs the distance that decides first, and the setting of [dedup] that cuts it.
CUTS = {
    "perceptual": ("distance", "radius_bits", "bits"),
    "part": ("distance", "part_radius_bits", "bits"),
    "semantic": ("cosine", "cosine", "cosine"),
}
BINS = 32


def levels(clips: Clips, settings: dict[str, Any], *, n: int = 6) -> list[dict[str, Any]]:
    """Each level of stored pairs: how many, a histogram of what decides it, the cut, and the `n` pairs
    nearest to it on either side; none without the step dedup, or where filter was run anew since.

    Of each pair is told what became of it: `duplicate` when one row names the other as what is kept, `kept`
    when both are, else `other`: a rule or a third row took one of them. Byte copies (`content`) are no matter
    of a threshold and are only counted.
    """
    steps = finished(clips.out)
    found = steps.get("dedup")
    if found is None or "dedup" in stale_steps(steps):
        return []
    pairs = _with_verdicts(found)
    told: list[dict[str, Any]] = []
    for level in sorted(set(pairs["level"].to_pylist())):
        mine = pairs.filter(pc.equal(pairs["level"], level))
        taken = pc.sum(pc.equal(mine["became"], "duplicate")).as_py()
        base = {"level": level, "pairs": len(mine), "taken": taken}
        told.append(base | (_around(clips, mine, level, settings, n) if level in CUTS else {}))
    return told


def _with_verdicts(dedup: Manifest) -> pa.Table:
    """The pairs, each with what `became` of it."""
    given, pairs = dedup.table("verdicts"), dedup.table("pairs")
    named = given.filter(pc.equal(given["fate"], "duplicate"))
    said = pc.binary_join_element_wise(named["id"], named["of"], " ").combine_chunks()
    gone = given["id"].combine_chunks()
    a, b = pairs["a"], pairs["b"]
    taken = [pc.is_in(pc.binary_join_element_wise(*both, " "), value_set=said) for both in ((a, b), (b, a))]
    lost = pc.or_(pc.is_in(a, value_set=gone), pc.is_in(b, value_set=gone))
    became = pc.if_else(pc.or_(*taken), "duplicate", pc.if_else(lost, "other", "kept"))
    return pairs.append_column("became", became)


def _around(clips: Clips, pairs: pa.Table, level: str, settings: dict[str, Any], n: int) -> dict[str, Any]:
    column, setting, unit = CUTS[level]
    cut = float(settings[setting])
    values = pairs[column].to_numpy()
    beyond = values < cut if column == "cosine" else values > cut
    counts, edges = np.histogram(values[np.isfinite(values)], BINS)
    sides = {}
    for name, side in (("within", ~beyond), ("beyond", beyond)):
        at = np.flatnonzero(side & np.isfinite(values))
        nearest = at[np.argsort(np.abs(values[at] - cut), kind="stable")][:n]
        sides[name] = [_pair(clips, pairs.slice(place, 1).to_pylist()[0]) for place in nearest.tolist()]
    return {
        "setting": f"dedup.{setting}",
        "cut": cut,
        "unit": unit,
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        **sides,
    }


def _pair(clips: Clips, pair: dict[str, Any]) -> dict[str, Any]:
    return {**pair, "a": clips.card(pair["a"]), "b": clips.card(pair["b"])}


def settings_of(out: Path) -> dict[str, Any]:
    """The settings of keeping that the step dedup was run with; none without it."""
    found = Manifest.find(out, "dedup")
    return dict(found.record["settings"]["MarkDuplicates"]) if found else {}

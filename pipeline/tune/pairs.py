"""Duplicates as pairs around the cut-off: how far apart the pictures of two clips are, and which side of the
line that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.manifest import Manifest
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
    nearest to it on either side; none without the step dedup.

    `taken` says whether one row of a pair names the other as what is kept. Byte copies (`content`) are no
    matter of a threshold and are only counted.
    """
    found = Manifest.find(clips.out, "dedup")
    if found is None:
        return []
    pairs = _with_verdicts(found)
    told: list[dict[str, Any]] = []
    for level in sorted(set(pairs["level"].to_pylist())):
        mine = pairs.filter(pc.equal(pairs["level"], level))
        base = {"level": level, "pairs": len(mine), "taken": pc.sum(mine["taken"]).as_py()}
        told.append(base | (_around(clips, mine, level, settings, n) if level in CUTS else {}))
    return told


def _with_verdicts(dedup: Manifest) -> pa.Table:
    """The pairs, each with whether one of its rows is a duplicate of the other."""
    given = dedup.table("verdicts")
    given = given.filter(pc.equal(given["fate"], "duplicate"))
    said = pc.binary_join_element_wise(given["id"], given["of"], " ")
    pairs = dedup.table("pairs")
    taken = [
        pc.is_in(pc.binary_join_element_wise(pairs[x], pairs[y], " "), value_set=said.combine_chunks())
        for x, y in (("a", "b"), ("b", "a"))
    ]
    return pairs.append_column("taken", pc.or_(*taken))


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

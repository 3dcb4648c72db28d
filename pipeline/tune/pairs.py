"""Duplicates as pairs around the cuts: how far apart the pictures of two clips are, and which side of the
line that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.manifest import Manifest, finished
from pipeline.stale import stale_steps
from pipeline.tune.clips import Clips
from stages.dedup.keep import MarkDuplicates

# Of each level of pairs the columns that decide, the settings of [dedup] that cut them, and their units; the
# first is what its histogram shows.
CUTS = {
    "perceptual": (("distance", "radius_bits", "bits"), ("colour_distance", "colour_levels", "levels")),
    "part": (("distance", "part_radius_bits", "bits"), ("colour_distance", "colour_levels", "levels")),
    "semantic": (
        ("cosine", "cosine", "cosine"),
        ("distance", "semantic_radius_bits", "bits"),
        ("mean_colour_distance", "semantic_colour_levels", "levels"),
    ),
}
BINS = 32


def levels(out: Path, clips: Clips, *, n: int = 6) -> list[dict[str, Any]]:
    """Each level of pairs: how many were stored at it, how many rows it took, a histogram of what decides it
    first, its cuts, and the `n` pairs nearest to the line on either side; none without the step dedup, or
    where filter was run anew since.

    A pair is within the level at which it counts, whatever it was stored as, and beyond every cut of the
    level that it was stored at when it counts at none. Of each is told what became of it: `duplicate` when
    this level marked one row as a copy of the other, `kept` when both are, else `other`: a rule, a third row
    or another level took one. Byte copies (`content`) are no matter of a threshold and are only counted.
    """
    steps = finished(out)
    found = steps.get("dedup")
    if found is None or "dedup" in stale_steps(steps):
        return []
    mark, pairs, given = _mark(found), found.table("pairs"), found.table("verdicts")
    pairs = pairs.append_column("counts_as", mark.counts_as(pairs))
    named = given.filter(pc.equal(given["fate"], "duplicate"))
    marked = {level: pc.sum(pc.equal(named["reason"], level)).as_py() or 0 for level in mark.levels}
    pairs = pairs.append_column("became", _became(pairs, given["id"].combine_chunks(), named))
    told: list[dict[str, Any]] = []
    for level in sorted({*pairs["level"].to_pylist(), *(level for level, n in marked.items() if n)}):
        many = pc.sum(pc.equal(pairs["level"], level)).as_py() or 0
        base = {"level": level, "pairs": many, "taken": marked.get(level, 0)}
        told.append(base | (_around(clips, pairs, level, mark, n) if level in CUTS else {}))
    return told


def _mark(dedup: Manifest) -> MarkDuplicates:
    settings: dict[str, Any] = dedup.record["settings"]["MarkDuplicates"]
    held: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}
    return MarkDuplicates(**held)


def _became(pairs: pa.Table, gone: pa.Array, named: pa.Table) -> pa.ChunkedArray:
    """What became of each pair, at the level at which it counts."""
    said = pc.binary_join_element_wise(named["id"], named["of"], named["reason"], " ").combine_chunks()
    a, b, level = pairs["a"], pairs["b"], pc.fill_null(pairs["counts_as"], "")
    both = ((a, b), (b, a))
    taken = [pc.is_in(pc.binary_join_element_wise(*ids, level, " "), value_set=said) for ids in both]
    lost = pc.or_(pc.is_in(a, value_set=gone), pc.is_in(b, value_set=gone))
    return pc.if_else(pc.or_(*taken), "duplicate", pc.if_else(lost, "other", "kept"))


def _around(clips: Clips, pairs: pa.Table, level: str, mark: MarkDuplicates, n: int) -> dict[str, Any]:
    stored = pc.equal(pairs["level"], level).to_numpy()
    counting = pc.fill_null(pc.equal(pairs["counts_as"], level), False).to_numpy()
    none = pc.is_null(pairs["counts_as"]).to_numpy()
    beyond_by = _beyond_by(pairs, level, mark)
    column, setting, unit = CUTS[level][0]
    values = _numbers(pairs, column)[stored]
    counts, edges = np.histogram(values[np.isfinite(values)], BINS)
    sides = {
        name: [_pair(clips, pairs.slice(place, 1).to_pylist()[0]) for place in places[:n].tolist()]
        for name, places in (
            ("within", _ordered(-beyond_by, counting)),
            ("beyond", _ordered(beyond_by, none & stored)),
        )
    }
    return {
        "setting": f"dedup.{setting}",
        "cut": float(getattr(mark, setting)),
        "unit": unit,
        "cuts": [
            {"setting": f"dedup.{s}", "cut": float(getattr(mark, s)), "unit": u} for _, s, u in CUTS[level]
        ],
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        **sides,
    }


def _beyond_by(pairs: pa.Table, level: str, mark: MarkDuplicates) -> npt.NDArray[np.float64]:
    """How far each pair lies beyond the cut that it misses most, as a share of what is allowed; not above 0
    within all of them, NaN where one is unknown."""
    shares = []
    for column, setting, _ in CUTS[level]:
        cut, values = float(getattr(mark, setting)), _numbers(pairs, column)
        # A cosine is allowed to miss 1 by so much; a distance may be nought only where the cut is.
        values, cut = (1 - values, 1 - cut) if column == "cosine" else (values, cut)
        shares.append((values - cut) / max(cut, 1e-9))
    found: npt.NDArray[np.float64] = np.max(shares, axis=0)
    return found


def _numbers(pairs: pa.Table, column: str) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = pairs[column].cast(pa.float64()).to_numpy()
    return found


def _ordered(by: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    at = np.flatnonzero(mask & np.isfinite(by))
    return at[np.argsort(by[at], kind="stable")]


def _pair(clips: Clips, pair: dict[str, Any]) -> dict[str, Any]:
    return {**pair, "a": clips.card(pair["a"]), "b": clips.card(pair["b"])}

"""Which steps were made from something that has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from manifests.manifest import Manifest
from manifests.verdicts import STEPS


def stale_steps(found: Mapping[str, Manifest]) -> dict[str, str]:
    """Of the finished steps, those that no longer follow from the step before, each with the first step that
    changed.

    A record that does not say what it was made from (of an earlier version) is taken as it is.
    """
    changed, stale = "", dict[str, str]()
    for before, step in pairwise(STEPS):
        if step not in found:
            continue
        digest = found[before].digest if before in found else ""
        if found[step].record.get("before", digest) != digest:
            changed = changed or before
        if changed:
            stale[step] = changed
    return stale


def says(stale: Mapping[str, str]) -> str:
    """Stale steps in a sentence; empty when none is."""
    if not stale:
        return ""
    were = "was" if len(stale) == 1 else "were"
    return f"stale: {next(iter(stale.values()))} changed after {', '.join(stale)} {were} made; run again"

"""One video split as the decode child splits it, in a process of its own: boundaries, CPU seconds, peak
memory.

Usage: `python -m benchmarks.split.ours FILE EFFORT [SETTING=VALUE…]`; prints JSON.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import time
from typing import Any

from stages.child import WithoutPandas

EFFORTS = ("exact", "fast", "keyframes")


def split(path: str, effort: str, **settings: Any) -> list[dict[str, Any]]:
    """The rows of one video, nothing merged: the one place that knows how the step is called."""
    import os

    from stages.media import Limits
    from stages.split.shots import measure

    location = {"path": os.path.abspath(path), "offset": None, "size": None}
    asset = {
        "location": location,
        "kind": "video",
        "asset_id": "0" * 32,
        **dict.fromkeys(("duration_s", "fps", "segment_start_pts", "segment_end_pts")),
        "rotation": 0,
    }
    chosen = {"min_shot_s": 0.0, "effort": effort, **settings}
    rows: list[dict[str, Any]] = measure(Limits(), asset=asset, settings=chosen).to_pylist()
    return rows


def boundaries(rows: list[dict[str, Any]], fps: float) -> list[tuple[str, int, int]]:
    """(kind, first, end) between neighbouring clips of a video of constant rate; what a longest clip's
    length divides is no boundary."""
    zero = rows[0]["start_s"]
    found: list[tuple[str, int, int]] = []
    for before, after in itertools.pairwise(rows):
        kinds = {before["ends_with"], after["starts_with"]}
        first, end = (round((s - zero) * fps) for s in (before["end_s"], after["start_s"]))
        if "gradual" in kinds:
            found.append(("gradual", first, end))
        elif "hard" in kinds:
            found.append(("hard", end, end))
    return found


def peak_bytes() -> int:
    """The peak of this process alone, by the kernel's own count; 0 where there is none."""
    try:
        with open("/proc/self/status") as lines:
            kilobytes = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    except OSError:
        return 0
    return int(kilobytes[0]) * 1024 if kilobytes else 0


def main(path: str, effort: str, settings: list[str]) -> None:
    values = dict(setting.split("=", 1) for setting in settings)
    # As in the decode child, which starts interpreter and libraries once, whatever it splits.
    sys.meta_path.insert(0, WithoutPandas())
    importlib.import_module("stages.split.watch")
    start_s = time.process_time()
    rows = split(path, effort, **{name: json.loads(value) for name, value in values.items()})
    own_s = time.process_time() - start_s
    told = {row.get("effort") for row in rows}
    print(
        json.dumps(
            {
                "boundaries": boundaries(rows, 25.0),
                "clips": len(rows),
                "frames": sum(len(row["frames"]) for row in rows),
                "effort": sorted(str(word) for word in told),
                "cpu_without_start_s": own_s,
                "peak_bytes": peak_bytes(),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

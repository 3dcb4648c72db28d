"""A caption step over drawn clips, without media files; as a script, a run that a test can kill.

`python -m tests.pipeline.captioning OUT CAPTIONER` captions with vLLM until it is stopped.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import columns
from manifests.store import inputs
from pipeline.demo.paint import random_instance, render
from pipeline.demo.scenes import random_picture, random_scene
from pipeline.model import ModelWork
from pipeline.orders import write_orders
from pipeline.worker import results_of
from stages.base import Tensors
from stages.caption.captions import CaptionClips
from stages.media import Limits

# A clip that a processor refuses: 1 px wide, 400 px high.
REFUSED = "refused"
SAID = "some captions are written"


@dataclass(frozen=True)
class CaptionDrawn(CaptionClips):
    """Shows the captioner what is drawn from the number in the location's path, instead of a file."""

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        return drawn


def drawn(rows: pa.Table) -> Tensors:
    frames = np.empty(len(rows), object)
    for n, row in enumerate(rows.to_pylist()):
        frames[n] = _frames(row["location"]["path"], row["kind"] == "video")
    video = np.array([kind == "video" for kind in rows["kind"].to_pylist()])
    return {"frames": frames, "video": video, "seconds": np.where(video, 4.0, 0.0)}


def _frames(path: str, video: bool) -> np.ndarray[Any, Any]:
    if path == REFUSED:
        return np.zeros((4, 400, 1, 3), np.uint8)
    rng = np.random.default_rng([77, int(path)])
    scene = random_scene(rng) if video else random_picture(rng)
    instance = random_instance(scene, rng)
    times = [0.125, 0.375, 0.625, 0.875] if video else [0.5]
    return np.stack([render(scene, instance, time, (64, 64)) for time in times])


def clips(videos: int, pictures: int) -> pa.Table:
    """Rows whose location's path is the number that they are drawn from, and one that is refused.

    Ids are in another order; at most 9,973 rows, a prime.
    """
    kinds = ["video"] * videos + ["image"] * pictures
    rows = [_row(f"{7919 * n % 9973:04d}", kind, str(n)) for n, kind in enumerate(kinds)]
    names = ["id", "parent_id", "asset_id", "size_bytes", *CaptionClips.reads]
    return columns.table([*rows, _row("9999", "video", REFUSED)], names)


def _row(id_: str, kind: str, path: str) -> dict[str, object]:
    place: dict[str, object] = {"location": {"path": path}, "start_pts": 0, "end_pts": 4000}
    times: dict[str, object] = {"time_base": "1/1000", "start_s": 0.0, "end_s": 4.0, "rotation": 0}
    return {"id": id_, "asset_id": id_, "kind": kind, "size_bytes": 9, **place, **times}


def caption(out: Path, stage: CaptionClips, rows: pa.Table, *, order_rows: int = 3) -> Iterator[pa.Table]:
    """Run the stage over the rows in Ray; yields the reports."""
    from pipeline.run import Cluster

    orders = write_orders(out / "orders", [("", rows)], most_rows=order_rows, workers=1)
    yield from Cluster(2).run_model(ModelWork(out, "caption", stage, "run1", Limits()), orders)


def results(out: Path, stage: CaptionClips, rows: pa.Table) -> dict[str, dict[str, Any]]:
    """What was written, by the location's path."""
    wanted = rows.append_column("input", inputs(rows, stage.reads))
    found = results_of(out, "caption", stage).read(wanted)
    by_id = {row["id"]: row for row in found.to_pylist()}
    paths = {row["id"]: row["location"]["path"] for row in rows.to_pylist()}
    return {path: by_id[id_] for id_, path in paths.items() if id_ in by_id}


if __name__ == "__main__":
    stage = CaptionDrawn(captioner=sys.argv[2], engine="vllm", max_tokens=24)
    for _ in caption(Path(sys.argv[1]), stage, clips(5000, 0), order_rows=64):
        print(SAID, flush=True)

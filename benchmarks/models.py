"""The score stage at real size against a bare forward loop: one model, batch and number of threads, one run.

`python -m benchmarks.models [--clips 96] [--repeats 3]` makes a ViT-B-32 of random weights, frames as split
stores them, and runs `EmbedFrames` on real Ray, each time between two bare loops (`benchmarks.bare`). It
prints rows per second of each, their ratios, and a timeline of which preparations ran while the model did; it
exits with 1 when the median ratio is below 0.85. Random weights cost what trained ones do.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.bare import bare_loop
from benchmarks.random_models import random_clip
from benchmarks.stored import FRAMES, stored_frames
from manifests.store import Results, inputs
from pipeline.model import ModelWork
from pipeline.orders import write_orders
from pipeline.run import Cluster
from stages.base import Tensors
from stages.media import Limits
from stages.score.embed import EmbedFrames

ORDER_ROWS = 8
WIDTH = 72
LEAST_SHARE = 0.85


@dataclass(frozen=True)
class Timed(EmbedFrames):
    """The stage, noting when each preparation and each forward pass began and ended."""

    notes: str = ""

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        return _noting(super().prepare(), Path(self.notes), "prepare")

    def forward(self) -> Callable[[Tensors], pa.Table]:
        return _noting(super().forward(), Path(self.notes), "forward")


def _noting(work: Callable[[Any], Any], folder: Path, name: str) -> Callable[[Any], Any]:
    def noted(given: Any) -> Any:
        begun = time.time()
        made = work(given)
        rows = len(made["id"]) if isinstance(made, dict) and "id" in made else len(made)
        span = {"what": name, "begun": begun, "ended": time.time(), "rows": rows}
        (folder / f"{name}-{time.time_ns()}.json").write_text(json.dumps(span))
        return made

    return noted


def run_stage(out: Path, stage: Timed, rows: pa.Table) -> list[dict[str, Any]]:
    """The stage on Ray over all rows; returns its notes by time."""
    given = Results(out, "split", "Given", "bench", ("frames",))
    keyed = rows.append_column("input", inputs(rows.select(["id"]), ())).append_column(
        "error", pa.nulls(len(rows), pa.string())
    )
    small = given.write(keyed.drop_columns("asset_id"))
    live = small.drop_columns(["input", "error"]).append_column("asset_id", rows["asset_id"])
    live = live.append_column("size_bytes", pa.array([1] * len(live), pa.int64()))
    orders = write_orders(out / "orders", [("", live)], ORDER_ROWS, 2)
    for _ in Cluster(2).run_model(ModelWork(out, "score", stage, "bench", Limits()), orders):
        pass
    notes = [json.loads(path.read_text()) for path in Path(stage.notes).glob("*.json")]
    return sorted(notes, key=lambda note: float(note["begun"]))


def steady_rate(notes: list[dict[str, Any]]) -> float:
    """Rows per second between the end of the first forward pass and the end of the last."""
    forward = [note for note in notes if note["what"] == "forward"]
    rows = sum(note["rows"] for note in forward[1:])
    return float(rows / (forward[-1]["ended"] - forward[0]["ended"]))


def timeline(notes: list[dict[str, Any]]) -> str:
    """One line of preparations and one of forward passes, over the seconds from the first to the last."""
    begun = min(note["begun"] for note in notes)
    whole_s = max(note["ended"] for note in notes) - begun
    lines = []
    for what in ("prepare", "forward"):
        marks = [" "] * WIDTH
        for note in (note for note in notes if note["what"] == what):
            first = int((note["begun"] - begun) / whole_s * WIDTH)
            last = int((note["ended"] - begun) / whole_s * WIDTH)
            marks[first : last + 1] = ["#"] * len(marks[first : last + 1])
        lines.append(f"{what} |{''.join(marks[:WIDTH])}|")
    return "\n".join([*lines, f"         0 s{f'{whole_s:.1f} s':>{WIDTH - 1}}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="ViT-B-32")
    given = parser.parse_args()
    rows = stored_frames(given.clips)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        random_clip(root / "clip", given.model)
        stage = EmbedFrames(clip_model=str(root / "clip"), batch_rows=4)
        loop = bare_loop(stage, rows.slice(0, max(16, given.clips // 3)), "cpu")
        bare, ours, shown = [loop()], [], ""
        for turn in range(given.repeats):
            notes = run_stage(root / f"out-{turn}", _timed(stage, root / f"notes-{turn}"), rows)
            ours.append(steady_rate(notes))
            bare.append(loop())
            shown = timeline(notes)
    print(f"{given.model}, random weights, {FRAMES} frames a clip, batch {stage.batch}, CPU, 1 thread")
    # A stage's run lies between two loops: what slows the machine for a while slows both.
    shares = [2 * one / (bare[n] + bare[n + 1]) for n, one in enumerate(ours)]
    for what, values in (
        ("bare forward loop, clips/s", bare),
        ("score stage, clips/s", ours),
        ("share", shares),
    ):
        print(f"{what:<27}{'  '.join(f'{value:.2f}' for value in values)}")
    share = statistics.median(shares)
    print(f"median share {share:.2f}, bar {LEAST_SHARE}: {'holds' if share >= LEAST_SHARE else 'MISSED'}")
    print(shown)
    return 0 if share >= LEAST_SHARE else 1


def _timed(stage: EmbedFrames, notes: Path) -> Timed:
    notes.mkdir()
    return Timed(**{**_fields(stage), "notes": str(notes)})


def _fields(stage: EmbedFrames) -> dict[str, Any]:
    return {field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)}


if __name__ == "__main__":
    sys.exit(main())

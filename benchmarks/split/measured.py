"""What is measured of one video: everybody's price, and the boundaries that each found."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.split import peers
from benchmarks.split.corpus import Video
from benchmarks.split.costs import Cost, cheapest, cost, python
from benchmarks.split.truth import Boundary, Score, score

BARE, SEPARATE = "ffmpeg", "three passes"
COMMANDS = ("content", "adaptive")


@dataclass
class Measured:
    """Costs by run (`ffmpeg`, `three passes`, `content`, `adaptive`, our efforts), boundaries and scores by
    finder.

    `without_start_s` are our CPU seconds by effort without the start of the interpreter and the libraries,
    `told` the efforts that the rows say they were made with.
    """

    video: Video
    costs: dict[str, Cost] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    boundaries: dict[str, list[Boundary]] = field(default_factory=dict)
    without_start_s: dict[str, float] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)

    @property
    def best_peer(self) -> str:
        """The detector of PySceneDetect with the highest F1 on this video."""
        return max(peers.DETECTORS, key=lambda name: self.scores[name].f1)

    def as_dict(self) -> dict[str, Any]:
        costs = {
            name: {k: v for k, v in asdict(one).items() if k != "output"} for name, one in self.costs.items()
        }
        return {
            **asdict(self.video.recipe),
            "name": self.video.name,
            "frames": self.video.frame_count,
            "bits_per_s": self.video.bits_per_s,
            "costs": costs,
            "without_start_s": self.without_start_s,
            "told": self.told,
            "best_peer": self.best_peer,
            "truth": self.video.boundaries,
            "events": self.video.events,
            "boundaries": self.boundaries,
            "scores": {name: one.as_dict() for name, one in self.scores.items()},
        }


def measure(video: Video, work: Path, *, repeats: int, efforts: Sequence[str], accuracy: bool) -> Measured:
    """Run everything on one video; for `accuracy` alone ours once at each effort, and no peer's command."""
    found = Measured(video)
    told = _peers_told(video, work)
    for name, cuts in told["found"].items():
        _judge(found, name, cuts)
    runs: dict[str, Callable[[], Cost]] = {} if accuracy else _peers_runs(video.path, told["backend"], work)
    for effort in efforts:
        runs[effort] = partial(cost, python("benchmarks.split.ours", str(video.path), effort))
    found.costs = cheapest(runs, 1 if accuracy else repeats)
    for effort in efforts:
        _take(found, effort)
    return found


def _take(found: Measured, effort: str) -> None:
    """Read what our process printed; its own count of its peak is the better one."""
    run = found.costs[effort]
    told = json.loads(run.output)
    found.costs[effort] = Cost(run.cpu_s, run.wall_s, told["peak_bytes"] or run.peak_bytes, "")
    found.without_start_s[effort] = told["cpu_without_start_s"]
    found.told[effort] = told["effort"]
    _judge(found, effort, told["boundaries"])


def _judge(found: Measured, name: str, cuts: Sequence[Sequence[Any]]) -> None:
    found.boundaries[name] = [Boundary(*values) for values in cuts]
    found.scores[name] = score(found.boundaries[name], found.video.boundaries, events=found.video.events)


def _peers_runs(path: Path, backend: str, work: Path) -> dict[str, Callable[[], Cost]]:
    folder = work / "scratch"
    folder.mkdir(exist_ok=True)
    runs: dict[str, Callable[[], Cost]] = {BARE: partial(peers.bare, path)}
    runs |= {name: partial(peers.command_line, path, name, backend, folder) for name in COMMANDS}
    runs[SEPARATE] = partial(peers.separate, path, folder)
    return runs


def _peers_told(video: Video, work: Path) -> dict[str, Any]:
    """The peers' boundaries and backend; they are kept, for only a file and PySceneDetect decide them."""
    version = f"{metadata.version('scenedetect-headless')} {(Path(peers.__file__)).read_text()}"
    kept = work / f"{video.path.stem}-peers-{hashlib.sha256(version.encode()).hexdigest()[:8]}.json"
    if not kept.exists():
        printed = cost(python("benchmarks.split.peers", str(video.path))).output
        partial_path = kept.with_suffix(".partial")
        partial_path.write_text(printed)
        os.replace(partial_path, kept)
    told: dict[str, Any] = json.loads(kept.read_text())
    return told

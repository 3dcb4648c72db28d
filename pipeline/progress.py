"""What a run says while it works, and what it writes down about itself: times, hosts and rates go nowhere
else."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import files
from pipeline.show import cut, inert, one_line

NUMBERS = ("rows", "failed", "decodes", "model_calls", "media_s", "cpu_s")


@dataclass(frozen=True)
class Log:
    """The log of one run. `say` writes a line for people to stderr; `steps` gathers numbers by step."""

    out: Path
    started: float = field(default_factory=time.time)
    steps: dict[str, Counter[str]] = field(default_factory=dict)
    quiet: bool = False
    _passes: dict[tuple[str, str], Counter[str]] = field(default_factory=dict, repr=False)

    def begin(self, step: str) -> None:
        self.steps[step] = Counter({name: 0 for name in (*NUMBERS, "turns", "wall_s")})

    def add(self, step: str, report: pa.Table) -> None:
        """Count a worker's report, and pass on what it has to say."""
        for row in report.to_pylist():
            for line in (row["said"] or "").splitlines():
                self.say(f"  {row['stage']}: {line}")
            self.steps[step].update({name: row[name] for name in NUMBERS if name not in ("rows", "media_s")})
        if len(report):
            # A step goes over its rows once for each chain of stages, a turn each; the longest pass saw most.
            self.steps[step]["turns"] += ordered(report, "rows")
            passed = self._passes.setdefault((step, report["stage"][0].as_py()), Counter())
            passed.update({name: ordered(report, name) for name in ("rows", "media_s")})
            for name, number in passed.items():
                self.steps[step][name] = max(self.steps[step][name], number)

    def end(self, step: str, wall_s: float) -> None:
        numbers = self.steps[step]
        numbers["wall_s"] += wall_s  # type: ignore[assignment]
        # A decode that served a batch of rows was counted in parts.
        numbers["decodes"] = round(numbers["decodes"])

    def say(self, line: str) -> None:
        if not self.quiet:
            print(inert(line), file=sys.stderr, flush=True)

    def write(self, settings: dict[str, Any]) -> None:
        """Write the run's numbers to runs/NNNNNN.json; beside votes and reports the only files of a work
        directory that hold clock times."""
        folder = self.out / "runs"
        number = len(list(folder.glob("*.json"))) + 1
        value = {
            "started": self.started,
            "finished": time.time(),
            "host": socket.gethostname(),
            "settings": settings,
            "steps": {step: dict(numbers) for step, numbers in self.steps.items()},
        }
        files.write_json(folder / f"{number:06d}.json", value)


def last_run(out: Path) -> dict[str, Any]:
    """The numbers of the latest run by step; empty when none was written."""
    logs = sorted((out / "runs").glob("*.json"))
    if not logs:
        return {}
    with files.reading(out, logs[-1]):
        return dict(files.read_json(logs[-1])["steps"])


def ordered(report: pa.Table, name: str) -> Any:
    """How much of the order a report speaks of: what later stages of a chain see is not counted again."""
    stages = report["stage"].to_pylist()
    return sum(n for n, stage in zip(report[name].to_pylist(), stages, strict=True) if stage == stages[0])


class Progress:
    """One line per chain of stages: rewritten in place on a terminal, a plain line every 10 s elsewhere."""

    def __init__(self, log: Log, name: str, rows: int) -> None:
        self._log, self._name, self._rows = log, name, rows
        self._begun = self._shown = time.monotonic()
        self._done, self._media_s = 0, 0.0

    def add(self, report: pa.Table) -> None:
        self._done += ordered(report, "rows")
        self._media_s += ordered(report, "media_s")
        every_s = 0.2 if sys.stderr.isatty() else 10.0
        if time.monotonic() - self._shown >= every_s:
            self._shown = time.monotonic()
            self._show()

    def close(self) -> None:
        self._show(last=True)

    def _show(self, *, last: bool = False) -> None:
        if self._log.quiet:
            return
        rest = self._numbers(time.monotonic() - self._begun)
        if not sys.stderr.isatty():
            sys.stderr.write(f"  {one_line(self._name)}: {rest}\n")
        else:
            # A line that wraps could not be rewritten, and what is left of a longer one is erased.
            room = shutil.get_terminal_size().columns - len(rest) - len("  : ") - 1
            sys.stderr.write(f"\r  {cut(one_line(self._name), max(room, 1))}: {rest}\x1b[K")
            sys.stderr.write("\n" if last else "")
        sys.stderr.flush()

    def _numbers(self, elapsed_s: float) -> str:
        """Rows, media and their rates; media is that of the rows, however many stages they go through."""
        elapsed_s = max(elapsed_s, 1e-3)
        rate = self._done / elapsed_s
        left = f"{_clock((self._rows - self._done) / rate)} left" if rate else "time left unknown"
        parts = [f"{self._done}/{self._rows} rows", f"{rate:.1f} rows/s"]
        if self._media_s:
            parts.insert(1, f"{self._media_s / 3600:.2f} media hours")
            parts.append(f"{self._media_s / elapsed_s:.1f}x realtime")
        return "  ".join([*parts, left])


def _clock(seconds: float) -> str:
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest_s:02d}" if hours else f"{minutes}:{rest_s:02d}"

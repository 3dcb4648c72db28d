"""What a command costs: CPU seconds of itself and its children, and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cost:
    """CPU seconds (user and system, by `wait4`), wall seconds, peak resident bytes, and what was printed.

    Linux counts the memory of the process that started a command in its peak, so that process stays small.
    """

    cpu_s: float
    wall_s: float
    peak_bytes: int
    output: str


def cost(command: Sequence[str]) -> Cost:
    """Run a command to its end. Raises RuntimeError with the end of its words when it fails."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        started = time.monotonic()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=printed, stderr=said, env=_environment()
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - started
        printed.seek(0)
        said.seek(0)
        if child.returncode:
            words = said.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"exit code {child.returncode} of {' '.join(command)}: {words}")
        output = printed.read().decode(errors="replace")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss * 1024, output)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs one of the bench's modules in a fresh process."""
    return [sys.executable, "-m", module, *arguments]


def cheapest(runs: Mapping[str, Callable[[], Cost]], repeats: int) -> dict[str, Cost]:
    """Each run's cheapest of `repeats` costs; every other round goes backwards, so that nobody always
    follows the same neighbour."""
    found: dict[str, Cost] = {}
    for turn in range(repeats):
        for name in list(runs)[:: -1 if turn % 2 else 1]:
            one = runs[name]()
            if name not in found or one.cpu_s < found[name].cpu_s:
                found[name] = one
    return found


def added(costs: Sequence[Cost]) -> Cost:
    """Several commands as one: sums, and the largest peak."""
    return Cost(
        sum(one.cpu_s for one in costs),
        sum(one.wall_s for one in costs),
        max(one.peak_bytes for one in costs),
        "".join(one.output for one in costs),
    )


def _environment() -> dict[str, str]:
    """One thread for whatever would take all cores, and imports from the project."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")
    return {**os.environ, **one, "PYTHONPATH": str(ROOT)}

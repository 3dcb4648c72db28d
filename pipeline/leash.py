"""How processes end with the one that started them, however that one ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

log = logging.getLogger(__name__)
MARK = "REELMIX_TIED"
# What a process is given to end by itself, and the kernel to end what was killed.
GRACE_S, KILL_S = 2.0, 5.0
_STEP_S = 0.1
# How often it is looked who has the mark, while the run goes on.
_LOOK_S = 1.0
# A process that is just being started has no environment for a moment.
_CALM_S = 0.5
# Of /proc/PID/stat, after the name in brackets: state, and start in clock ticks (proc(5), fields 3 and 22).
_STATE, _START = 0, 19


@contextmanager
def tied() -> Iterator[None]:
    """What this process starts meanwhile, and all that is started by that, ends when this process ends.

    A process of its own waits for that end, a SIGKILL included, then finds the others by a mark in their
    environment; they get SIGTERM and, 2 s later, SIGKILL. Found is what was started with exec, or by such a
    process. That needs the /proc of Linux: elsewhere nothing is tied, which is said once.
    """
    mark = uuid.uuid4().hex
    # Isolated, so that it starts in milliseconds; it forks when it is ready, so that it is no child of ours.
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), mark]
    null = subprocess.DEVNULL
    # Without the mark of another leash, or that one would end it.
    free = {name: value for name, value in os.environ.items() if name != MARK}
    watching = subprocess.run(
        command, check=False, env=free, start_new_session=True, stdin=null, stdout=null, stderr=null
    )
    if watching.returncode:
        _say_untied()
        yield
        return
    before, os.environ[MARK] = os.environ.get(MARK), mark
    try:
        yield
    finally:
        del os.environ[MARK]
        if before:
            os.environ[MARK] = before


@cache
def _say_untied() -> None:
    log.warning(
        "warning: no /proc of Linux here, so that processes of this run may outlive it when it is killed; "
        "look for them then, and end them"
    )


def _wait(pid: int, mark: str) -> int:
    """Detach, wait for the end of `pid`, then end what it leaves behind; returns the exit code."""
    begun = _begun(pid)
    if begun is None:
        return 1
    if os.fork():
        return 0
    known, looked = _Known(mark), 0.0
    while _begun(pid) == begun:
        time.sleep(_STEP_S)
        if time.monotonic() > looked + _LOOK_S:
            known.alive()
            looked = time.monotonic()
    for number, seconds in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, KILL_S)):
        if _end(known, number, seconds):
            break
    return 0


class _Known:
    """Processes that were once seen with the mark: a new title may be written over their environment."""

    def __init__(self, mark: str) -> None:
        self._mark, self._begun = mark, dict[int, str | None]()

    def alive(self) -> set[int]:
        self._begun = {pid: begun for pid, begun in self._begun.items() if begun and _begun(pid) == begun}
        for pid in _marked(self._mark):
            self._begun.setdefault(pid, _begun(pid))
        return set(self._begun)


def _begun(pid: int) -> str | None:
    """When a living process was started: ids are given anew."""
    try:
        with open(f"/proc/{pid}/stat") as handle:
            told = handle.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if told[_STATE] in "ZX" else told[_START]


def _end(known: _Known, number: signal.Signals, seconds: float) -> bool:
    """Signal every known process, and those that appear meanwhile, once each; returns whether all ended."""
    told: set[int] = set()
    seen = begun = time.monotonic()
    while (now := time.monotonic()) < begun + seconds:
        left = known.alive()
        seen = now if left else seen
        if now - seen > _CALM_S:
            return True
        for pid in left - told:
            _signal(pid, number)
        told |= left
        time.sleep(_STEP_S)
    return False


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as handle:
                environment = handle.read()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            yield int(name)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(_wait(int(sys.argv[1]), sys.argv[2]))

"""What a process has started ends with it, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline import leash

# Ties a child that ignores SIGTERM and has a child of its own, starts another; says their ids, and waits.
PARENT = """
import subprocess, sys, time
from pipeline import leash
child = '''
import signal, subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(grandchild.pid, flush=True)
time.sleep(600)
'''
with leash.tied():
    started = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
free = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(free.pid, started.pid, started.stdout.readline().strip(), flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def started() -> Iterator[list[psutil.Process]]:
    """Everything that a test starts, ended with it."""
    processes: list[psutil.Process] = []
    yield processes
    for process in processes:
        if process.is_running():
            process.kill()


def parent(
    started: list[psutil.Process], seconds: float
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """The process, and what it has started: one that is not tied, a child, a grandchild."""
    command = [sys.executable, "-c", PARENT, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    started += [psutil.Process(process.pid), *children]
    return process, children


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_all_end_with_a_process_that_is_stopped(
    number: signal.Signals, started: list[psutil.Process]
) -> None:
    """Children and grandchildren of a process that was killed, deaf ones included, are gone within 20 s; what
    it started afterwards is not."""
    process, (free, *children) = parent(started, 600)
    process.send_signal(number)
    assert 0 != process.wait(20)
    assert ([], 2) == (psutil.wait_procs(children, timeout=20)[1], len(children))
    assert free.is_running()


def test_all_end_with_a_process_that_ends(started: list[psutil.Process]) -> None:
    """A process that comes to its end leaves none behind either, and what another has tied lives on."""
    _, (_, *others) = parent(started, 600)
    process, (_, *children) = parent(started, 0)
    assert 0 == process.wait(20)
    assert ([], 2) == (psutil.wait_procs(children, timeout=20)[1], len(children))
    assert [True, True] == [other.is_running() for other in others]


# Wipes its environment as a new title does (proc(5): env_start and env_end are fields 50 and 51 of stat).
WIPED = """
import ctypes, time
time.sleep(2.5)
first, last = map(int, open("/proc/self/stat").read().rpartition(")")[2].split()[47:49])
ctypes.memset(first, 0, last - first)
print(len(open("/proc/self/environ").read().strip(chr(0))), flush=True)
time.sleep(600)
"""


def test_a_process_that_writes_over_its_environment_ends_too(started: list[psutil.Process]) -> None:
    """Ray's processes take titles; one that was seen with the mark is ended without it."""
    code = f"""
import subprocess, sys, time
from pipeline import leash
with leash.tied():
    child = subprocess.Popen([sys.executable, "-c", {WIPED!r}], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline().strip(), flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid, left = process.stdout.readline().split()
    started.append(psutil.Process(int(pid)))
    assert (0, "0") == (process.wait(20), left)
    assert [] == psutil.wait_procs(started, timeout=20)[1]


def test_ties_are_undone() -> None:
    """Afterwards the environment is as it was."""
    before = dict(os.environ)
    with leash.tied():
        assert leash.MARK in os.environ
    assert before == dict(os.environ)


def test_without_proc_nothing_is_tied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there is no /proc, a run goes on without a leash, and says so once."""
    elsewhere = tmp_path / "leash.py"
    elsewhere.write_text(Path(leash.__file__).read_text().replace('"/proc/', '"/nowhere/'))
    monkeypatch.setattr(leash, "__file__", str(elsewhere))
    leash._say_untied.cache_clear()
    before = dict(os.environ)
    for _ in range(2):
        with leash.tied():
            assert before == dict(os.environ)
    assert before == dict(os.environ)
    assert 1 == len(caplog.messages)
    assert "may outlive it when it is killed" in caplog.messages[0]

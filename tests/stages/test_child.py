"""The decode child: whatever happens in it costs one call, and the next call works."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from manifests.errors import RowError
from stages.child import Child
from stages.media import Limits

NAMES = "echo refuse shout sleep crash leave hoard reach_out write_file".split()
JOBS = {name: f"tests.stages.child_jobs:{name}" for name in NAMES}


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    made = Child(Limits(memory_bytes=2 << 30), JOBS)
    yield made
    made.close()


def reason(child: Child, job: str, *, deadline_s: float = 30, **arguments: object) -> str:
    with pytest.raises(RowError) as caught:
        child.call(job, deadline_s=deadline_s, **arguments)
    return caught.value.reason


def test_answers_are_tables(child: Child) -> None:
    """Arguments go as JSON, answers come as Arrow."""
    assert [{"a": 1, "b": "zwei"}] == child.call("echo", deadline_s=30, a=1, b="zwei").to_pylist()


def test_a_jobs_own_error_comes_back(child: Child) -> None:
    """A RowError raised in the child is raised in the parent, and the child lives on."""
    child.call("echo", deadline_s=30, a=1)
    before = child.pid
    assert "truncated" == reason(child, "refuse")
    assert before == child.pid


def test_prints_do_not_disturb(child: Child) -> None:
    """What a library prints does not get into the answers."""
    assert [True] == child.call("shout", deadline_s=30)["ok"].to_pylist()


@pytest.mark.parametrize(("job", "expected"), [("crash", "decoder_crashed"), ("leave", "decoder_crashed"), ("hoard", "out_of_memory")])
def test_death_costs_one_call(child: Child, job: str, expected: str) -> None:
    """A crash, an exit and an exhausted memory limit are told apart, and the next call works."""
    assert expected == reason(child, job)
    assert [1] == child.call("echo", deadline_s=30, a=1)["a"].to_pylist()


def test_a_hang_is_stopped_at_the_deadline(child: Child) -> None:
    """A job that never ends is stopped, within five seconds of its deadline."""
    child.call("echo", deadline_s=30, a=1)
    begun = time.monotonic()
    assert "deadline" == reason(child, "sleep", deadline_s=1)
    assert time.monotonic() - begun < 6
    assert [1] == child.call("echo", deadline_s=30, a=1)["a"].to_pylist()


def test_no_file_is_written(child: Child, tmp_path: Path) -> None:
    """The child cannot leave anything on disk."""
    assert "decoder_crashed" == reason(child, "write_file", path=str(tmp_path / "f"))
    assert not (tmp_path / "f").exists() or 0 == (tmp_path / "f").stat().st_size


def test_no_network(child: Child) -> None:
    """Even loopback is down where the kernel lets a process give up its network."""
    allowed = subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0
    allowed |= subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    if not allowed:
        pytest.skip("this kernel does not let a process give up its network")
    assert "decoder_crashed" == reason(child, "reach_out")


def test_it_ends_with_its_pipe() -> None:
    """Closing the parent's end ends the child."""
    child = Child(jobs=JOBS)
    child.call("echo", deadline_s=30, a=1)
    process = psutil.Process(child.pid)
    child.close()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_it_ends_with_its_parent() -> None:
    """A parent that is killed leaves no child behind."""
    code = (
        "from stages.child import Child\n"
        f"c = Child(jobs={JOBS!r}); c.call('echo', deadline_s=30, a=1); print(c.pid, flush=True); c.call('sleep', deadline_s=60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."})
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_jobs_are_counted(child: Child) -> None:
    """The parent knows how many jobs of each name were begun."""
    before = child.counts["echo"]
    child.call("echo", deadline_s=30, a=1)
    assert before + 1 == child.counts["echo"]

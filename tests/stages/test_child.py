"""The decode child: whatever happens in it costs one call, and the next call works."""

import ctypes
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

NAMES = (
    *("echo", "refuse", "shout", "babble", "sleep", "crash", "leave", "hoard", "reach_out"),
    *("write_file", "remove_file", "run_program", "modules"),
)
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


@pytest.mark.parametrize(
    ("job", "expected"),
    [("crash", "decoder_crashed"), ("leave", "decoder_crashed"), ("hoard", "out_of_memory")],
)
def test_death_costs_one_call(child: Child, job: str, expected: str) -> None:
    """A crash, an exit and an exhausted memory limit are told apart, and the next call works."""
    before = child.call("echo", deadline_s=30, a=1) and child.pid
    assert expected == reason(child, job)
    assert before != child.pid
    assert [1] == child.call("echo", deadline_s=30, a=1)["a"].to_pylist()


@pytest.mark.parametrize("job", ["sleep", "babble"])
def test_a_hang_is_stopped_at_the_deadline(child: Child, job: str) -> None:
    """A job that never ends, silent or talking, is stopped within five seconds of its deadline."""
    child.call("echo", deadline_s=30, a=1)
    begun = time.monotonic()
    assert "deadline" == reason(child, job, deadline_s=1)
    assert time.monotonic() - begun < 6
    assert [1] == child.call("echo", deadline_s=30, a=1)["a"].to_pylist()


def test_no_file_is_written(child: Child, tmp_path: Path) -> None:
    """The child cannot put anything on disk."""
    assert "decoder_crashed" == reason(child, "write_file", path=str(tmp_path / "f"))
    assert not (tmp_path / "f").exists() or 0 == (tmp_path / "f").stat().st_size


def test_nothing_is_removed_or_run(child: Child, tmp_path: Path) -> None:
    """Where the kernel has Landlock, the child cannot make, empty or remove a file, nor run a program."""
    if ctypes.CDLL(None).syscall(444, None, 0, 1) < 3:
        pytest.skip("this kernel lacks Landlock (version 3 and newer)")
    path = tmp_path / "f"
    path.write_text("kept")
    for job in ("write_file", "remove_file"):
        assert "decoder_crashed" == reason(child, job, path=str(path))
    assert "decoder_crashed" == reason(child, "run_program", path=sys.executable)
    assert "decoder_crashed" == reason(child, "write_file", path=str(tmp_path / "g"))
    assert ("kept", False) == (path.read_text(), (tmp_path / "g").exists())


def test_only_what_decoding_needs_is_loaded(child: Child) -> None:
    """The child starts quickly: it loads no models, no runner and no database."""
    loaded = set(child.call("modules", deadline_s=30)["name"].to_pylist())
    assert set() == loaded & {"torch", "ray", "duckdb", "pandas", "faiss", "transformers", "pytest"}


def test_the_folder_it_stands_in_holds_no_modules(tmp_path: Path) -> None:
    """A file of the data that is called like a module is not imported."""
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the data was run')")
    code = (
        "import os, sys; sys.path[:] = [p for p in sys.path if p]\n"
        f"from stages.child import Child; os.chdir({str(tmp_path)!r})\n"
        f"child = Child(jobs={JOBS!r}); print(child.call('echo', deadline_s=30, a=7)['a'][0]); child.close()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert ("7\n", "") == (done.stdout, done.stderr)


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
        f"c = Child(jobs={JOBS!r}); c.call('echo', deadline_s=30, a=1)\n"
        "print(c.pid, flush=True); c.call('sleep', deadline_s=60)"
    )
    environment = {**os.environ, "PYTHONPATH": "."}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_jobs_are_counted(child: Child) -> None:
    """The parent knows how many jobs of each name were begun."""
    before = child.counts["echo"]
    child.call("echo", deadline_s=30, a=1)
    assert before + 1 == child.counts["echo"]

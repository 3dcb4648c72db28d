"""A program on untrusted media: killed, limited and confined, its failure in our words."""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import RowError
from stages.pack.guard import run_guarded


def guarded(code: str, **limits: Any) -> str:
    null = os.open(os.devnull, os.O_WRONLY)
    options: dict[str, Any] = {"deadline_s": 20.0, "memory_bytes": 2 << 30, **limits}
    try:
        return run_guarded([sys.executable, "-S", "-E", "-c", code], outputs=[null], **options)[0]
    finally:
        os.close(null)


def test_a_program_that_hangs_is_killed_with_its_children() -> None:
    """At the deadline the whole group goes: the child that it started, too."""
    code = "import os, time; os.fork(); time.sleep(60)"
    begun = time.monotonic()
    with pytest.raises(RowError, match="deadline: encoding took longer than 1 s"):
        guarded(code, deadline_s=1.0)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "ffmpeg died of SIGABRT"),
        ("import sys; sys.exit('bad things')", "ffmpeg ended with code 1: bad things"),
        ("import sys; sys.exit('Cannot allocate memory')", "out_of_memory"),
        ("import time; time.sleep(0.3); x = bytes(3 << 30)", "ffmpeg ended with code 1: Traceback"),
    ],
)
def test_what_ends_a_program_is_told(code: str, words: str) -> None:
    """A signal, a code with its last words, memory beyond the limit."""
    with pytest.raises(RowError, match=words):
        guarded(code)


def test_a_program_has_no_input_and_cannot_fill_the_disk(tmp_path: Path) -> None:
    """Standard input is empty; a file larger than the limit is not written; there is no core file."""
    assert "''\n" == guarded("import sys; print(repr(sys.stdin.read()))")
    code = f"import time; time.sleep(0.3); open({str(tmp_path / 'f')!r}, 'wb').truncate(2 << 30)"
    with pytest.raises(RowError, match="encode_failed"):
        guarded(code, memory_bytes=1 << 30)
    core = "import time, resource; time.sleep(0.3); print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert "(0, 0)\n" == guarded(core)


def test_a_program_cannot_write_elsewhere(tmp_path: Path) -> None:
    """No environment, no new rights; where the kernel has Landlock, no file is made or emptied."""
    code = "import os; print(dict(os.environ)); print(open('/proc/self/status').read())"
    printed = guarded(code)
    assert printed.startswith(("{}\n", "{'LC_CTYPE'"))
    assert "NoNewPrivs:\t1" in printed
    if ctypes.CDLL(None).syscall(444, None, 0, 1) < 3:
        pytest.skip("this kernel lacks Landlock (version 3 and newer)")
    path = tmp_path / "f"
    path.write_text("kept")
    for name in ("f", "g"):
        with pytest.raises(RowError, match="encode_failed"):
            guarded(f"open({str(tmp_path / name)!r}, 'w')")
    assert ("kept", False) == (path.read_text(), (tmp_path / "g").exists())


def test_what_a_program_says_and_goes_on_is_told() -> None:
    """Complaints of a program that ends well come back beside what it printed, SVT-AV1's chatter does not."""
    code = "import sys; print('done'); sys.stderr.write('Svt[info]: 1\\nframe 3 is damaged\\n')"
    command = [sys.executable, "-S", "-E", "-c", code]
    assert ("done\n", "frame 3 is damaged") == run_guarded(command, deadline_s=20.0, memory_bytes=1 << 30)

"""How a program is run on media of strangers: confined, limited, watched, its failure told in our words."""

from __future__ import annotations

import math
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from manifests.errors import RowError
from stages import confine

COMPLAINT_CHARACTERS = 300
# SVT-AV1 tells its settings, whatever it is asked to keep to itself.
_CHATTER = ("Svt[info]", "Svt[warn]")


def run_guarded(
    command: Sequence[str],
    *,
    outputs: Sequence[int] = (),
    deadline_s: float,
    memory_bytes: int,
) -> tuple[str, str]:
    """Run a program on untrusted media; returns what it printed and what it complained of. `outputs` are
    descriptors that it may write.

    It gets no input, no environment, a process group of its own, limits on memory, CPU time and what it
    writes, and gives up what `stages.confine` names. Raises RowError: `deadline` (the group is killed),
    `out_of_memory`, `encode_failed` with the first of its complaints.
    """
    confined = [sys.executable, "-I", "-S", confine.__file__, str(os.getpid()), *command]
    process = subprocess.Popen(
        confined,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(outputs),
        start_new_session=True,
    )
    try:
        _limit(process.pid, memory_bytes, deadline_s)
        printed, said = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        raise RowError("deadline", f"encoding took longer than {deadline_s:.0f} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    complaint = _without_chatter(said.decode(errors="replace"))
    if process.returncode != 0:
        raise _failure(process.returncode, complaint)
    return printed.decode(errors="replace"), complaint


def _limit(pid: int, memory_bytes: int, deadline_s: float) -> None:
    """Set after the start, because code between fork and exec is unsafe in a process with threads.

    CPU time is limited too: it ends a program whose worker was killed and can no longer watch it.
    """
    cpu_s = math.ceil(deadline_s * (os.cpu_count() or 1)) + 1
    limits: Mapping[int, int] = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        try:
            resource.prlimit(pid, limit, (value, value))
        except ProcessLookupError:
            return


def _without_chatter(said: str) -> str:
    return "\n".join(line for line in said.splitlines() if not line.startswith(_CHATTER))


def _words(complaint: str) -> str:
    """What ffmpeg says first, which is the cause: its threads tell the consequences in any order.

    Memory addresses are left out; they differ from run to run.
    """
    first = complaint.strip().partition("\n")[0]
    return re.sub(r" @ 0x[0-9a-f]+", "", first)[:COMPLAINT_CHARACTERS]


def _failure(code: int, complaint: str) -> RowError:
    said = _words(complaint)
    if "Cannot allocate memory" in complaint:
        return RowError("out_of_memory", f"ffmpeg: {said}")
    if code < 0:
        return RowError("encode_failed", f"ffmpeg died of {signal.Signals(-code).name}; {said}".rstrip("; "))
    return RowError("encode_failed", f"ffmpeg ended with code {code}: {said}")

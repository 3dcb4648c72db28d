"""The decode child: a long-lived process that decodes all media, so that a crash or a hang costs one row."""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from manifests.errors import RowError
from stages.confine import confine
from stages.media import Limits

# Arrow starts a thread, and a process with threads may no longer give up its network: the child imports Arrow
# only after it has done so.
if TYPE_CHECKING:
    import pyarrow as pa

# What the child may be asked to do: each is called as function(limits, **arguments) -> pa.Table.
JOBS = {
    "probe": "stages.ingest.probe:probe_file",
    "segments": "stages.split.segments:segments",
    "split": "stages.split.shots:measure",
    "tiny": "stages.split.tiny:store",
    "image": "stages.pack.encode:encode_image",
    "sample": "stages.caption.sample:sample_frames",
    "sound": "stages.score.sound:store",
    "remux": "stages.pack.remux:remux",
    "landing": "stages.pack.landing:find_landing",
    "prove": "stages.pack.proof:prove",
}
_LENGTH = struct.Struct(">QQ")
_STDERR_BYTES = 2000
# No job answers with more than small frames or one image; a child that says otherwise has been taken over.
_ANSWER_BYTES = 1 << 30


class Child:
    """The parent's end. One job at a time; a child that died or was stopped is replaced by the next call.

    `counts` says how many jobs of each name were begun. Not for use by several threads.
    """

    def __init__(self, limits: Limits | None = None, jobs: Mapping[str, str] = JOBS) -> None:
        self.limits = limits or Limits()
        self.counts: Counter[str] = Counter()
        self._jobs = dict(jobs)
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""
        self._desk: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the child that is running now."""
        return self._process.pid if self._process else None

    def call(self, job: str, *, deadline_s: float, **arguments: Any) -> pa.Table:
        """Have one job done; `arguments` are JSON values.

        Raises RowError as the job does, and `deadline`, `decoder_crashed` or `out_of_memory` when the child
        came to grief.
        """
        import pyarrow as pa

        process = self._running()
        self._said = b""
        self.counts[job] += 1
        request = json.dumps({"job": job, "arguments": arguments, "cpu_s": deadline_s}).encode()
        try:
            _write(process.stdin, request)
            header, body = self._answer(process, time.monotonic() + deadline_s)
        except TimeoutError:
            self._stop()
            late = f"not done after {deadline_s:.0f} s; the decoder was stopped"
            raise RowError("deadline", late) from None
        except (EOFError, BrokenPipeError):
            raise self._died() from None
        answer = json.loads(header)
        if "reason" in answer:
            if answer["reason"] == "out_of_memory":
                self._stop()
            raise RowError(answer["reason"], answer["detail"])
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
        return table

    def lent(self, content: bytes | memoryview) -> dict[str, Any]:
        """A location at which the child can read these bytes, until it is lent others."""
        desk = self._lent_desk()
        os.truncate(desk, 0)
        with os.fdopen(os.dup(desk), "wb") as handle:
            handle.seek(0)
            handle.write(content)
        return {"path": f"/proc/self/fd/{desk}", "offset": None, "size": None}

    def close(self) -> None:
        """End the child; it ends by itself, too, when this process does."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
        self._stop()
        if self._desk is not None:
            os.close(self._desk)
            self._desk = None

    def _lent_desk(self) -> int:
        """A file in memory that every child inherits; what a child does to it, the next loan undoes."""
        if self._desk is None:
            self._desk = os.memfd_create("lent")
        return self._desk

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process and self._process.poll() is None:
            return self._process
        self._stop()
        setup = json.dumps({"limits": asdict(self.limits), "jobs": self._jobs, "parent": os.getpid()})
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        # -P: the folder that a person stands in may hold data, and its files are no modules of ours.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-m", "stages.child", setup],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **quiet, "PYTHONPATH": path},
            pass_fds=(self._lent_desk(),),
            start_new_session=True,
        )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process:
            _ended(process, patience_s=0)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    _close(pipe)

    def _died(self) -> RowError:
        process = self._process
        code = _ended(process) if process else 0
        said = self._last_words(process)
        self._stop()
        if any(word in self._said for word in (b"MemoryError", b"Cannot allocate memory", b"bad_alloc")):
            return RowError("out_of_memory", f"more than {self.limits.memory_bytes >> 20} MiB were asked for")
        if code == -signal.SIGXCPU:
            return RowError("deadline", "the decoder used more CPU time than its deadline allows")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return RowError("decoder_crashed", f"{how}. {said}".strip())

    def _answer(self, process: subprocess.Popen[bytes], until: float) -> tuple[bytearray, bytearray]:
        """The next message; what the child says on stderr meanwhile is drained, its end kept."""
        sizes = _LENGTH.unpack(self._exactly(process, _LENGTH.size, until))
        if sum(sizes) > _ANSWER_BYTES:
            self._stop()
            raise RowError("decoder_crashed", f"an answer of {sum(sizes)} bytes, at most {_ANSWER_BYTES}")
        return self._exactly(process, sizes[0], until), self._exactly(process, sizes[1], until)

    def _exactly(self, process: subprocess.Popen[bytes], size: int, until: float) -> bytearray:
        held, got = bytearray(size), 0
        assert process.stdout and process.stderr
        while got < size:
            left_s = until - time.monotonic()
            ready, _, _ = select.select([process.stdout, process.stderr], [], [], max(0.0, left_s))
            if not ready or left_s < 0:
                raise TimeoutError
            if process.stderr in ready:
                self._hear(process.stderr)
            if process.stdout in ready:
                got += _received(process.stdout, memoryview(held)[got:])
        return held

    def _hear(self, pipe: IO[bytes]) -> bool:
        said = os.read(pipe.fileno(), 1 << 16)
        self._said = (self._said + said)[-_STDERR_BYTES:]
        return bool(said)

    def _last_words(self, process: subprocess.Popen[bytes] | None) -> str:
        if process and process.stderr:
            while self._hear(process.stderr):
                continue
        lines = self._said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


_STATE: dict[str, Child] = {}


def configure(limits: Limits) -> None:
    """The limits of this process's child, from now on."""
    if decoder().limits != limits:
        _STATE.pop("child").close()
        _STATE["child"] = Child(limits)


def decoder() -> Child:
    """This process's child; started by its first call."""
    if "child" not in _STATE:
        _STATE["child"] = Child()
        atexit.register(lambda: _STATE["child"].close())
    return _STATE["child"]


def _ended(process: subprocess.Popen[bytes], patience_s: float = 5) -> int:
    """The exit code of a child that should be ending; when it does not, it and what it started are killed."""
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return


def _write(pipe: IO[bytes] | None, header: bytes, body: pa.Buffer | bytes = b"") -> None:
    assert pipe is not None
    pipe.write(_LENGTH.pack(len(header), len(body)) + header)
    pipe.write(body)
    pipe.flush()


def _received(pipe: IO[bytes], into: memoryview) -> int:
    """Read some bytes; returns how many. Raises EOFError when the other end is gone."""
    size = os.readv(pipe.fileno(), [into])
    if not size:
        raise EOFError
    return size


def _serve(setup: Mapping[str, Any]) -> None:
    """The child's end: answer requests until the pipe closes. What a library prints goes to stderr."""
    limits = Limits(**setup["limits"])
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    confine(setup["parent"])
    _bounded(limits)
    sys.meta_path.insert(0, WithoutPandas())
    while length := requests.read(_LENGTH.size):
        request = json.loads(requests.read(_LENGTH.unpack(length)[0]))
        header, body = _answer(setup["jobs"], limits, request)
        _write(answers, json.dumps(header).encode(), body)
        del body
        give_back_memory()


class WithoutPandas:
    """Arrow loads pandas, where it is there, to ask if a list is one of its series."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the decode child does without pandas")


def _answer(
    jobs: Mapping[str, str], limits: Limits, request: Mapping[str, Any]
) -> tuple[dict[str, str], pa.Buffer | bytes]:
    import pyarrow as pa

    _allow_cpu(request["cpu_s"])
    module, _, name = jobs[request["job"]].partition(":")
    try:
        table = getattr(importlib.import_module(module), name)(limits, **request["arguments"])
    except RowError as error:
        return {"reason": error.reason, "detail": error.detail}, b""
    except MemoryError:
        detail = f"more than {limits.memory_bytes >> 20} MiB were asked for"
        return {"reason": "out_of_memory", "detail": detail}, b""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {}, sink.getvalue()


def give_back_memory() -> None:
    """Return to the system what is free: the allocators of C and of Arrow keep it, more with every long
    video."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _bounded(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def _allow_cpu(more_s: float) -> None:
    """CPU seconds for one job on top of those spent: a second line behind the parent's clock."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(spent.ru_utime + spent.ru_stime + more_s) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))


if __name__ == "__main__":
    # `-m` runs this file as __main__; jobs import it by its name, so the errors must be of that module.
    from stages import child

    child._serve(json.loads(sys.argv[1]))

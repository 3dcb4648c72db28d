"""What happens to a handful of rows in one process: stages in turn, contracts enforced, bad rows set
apart."""

from __future__ import annotations

import errno
import logging
import os
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import columns, rows
from manifests.errors import ManifestError, RecipeError, RowError
from manifests.store import Results, inputs, read_side
from stages import child
from stages.base import Map, Stage, Work
from stages.media import UNFIT, Limits
from stages.models.device import machine_trouble

T = TypeVar("T")
ATTEMPTS = 3
_ENDED = ":ended"
# The jobs that decode media for a stage; a probe reads packets and one frame.
DECODES = {"split", "tiny", "image", "cut", "sample", "sound"}
REPORT = pa.schema(
    [
        ("stage", pa.string()),
        ("rows", pa.int64()),
        ("failed", pa.int64()),
        ("decodes", pa.float64()),
        ("model_calls", pa.int64()),
        ("media_s", pa.float64()),
        ("cpu_s", pa.float64()),
        # Lines for the log of the run: what a worker prints reaches nobody.
        ("said", pa.string()),
    ]
)
# A full disk, a lost mount or a broken GPU is no property of a row: the run ends, nothing is recorded against
# rows.
_MACHINE_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ESTALE,
}
# The same, and trouble of a GPU, in the words in which a worker's traceback carries them to the driver.
MACHINE_TROUBLE = (
    *(f"[Errno {number}] {os.strerror(number)}" for number in sorted(_MACHINE_ERRORS)),
    *("CUDA error", "CUDA out of memory", "out of memory"),
)


class Opener(Hashable, Protocol):
    """Something hashable that opens into work on one order; it is opened once per worker process."""

    @property
    def name(self) -> str: ...

    def open(self) -> Callable[[Path], pa.Table]: ...


@dataclass(frozen=True)
class Chain:
    """Stages of one step that run after each other on the same rows, and where their results go."""

    out: Path
    step: str
    stages: tuple[Map, ...]
    run: str
    limits: Limits

    @property
    def name(self) -> str:
        return "+".join(stage.name for stage in self.stages)

    def open(self) -> Callable[[Path], pa.Table]:
        """Opens every stage once; the work takes an order (a parquet file of live rows) and returns a
        REPORT."""
        child.configure(self.limits)
        opened = [(stage, stage.open()) for stage in self.stages]
        return lambda order: _work_off(self, opened, order)


def results_of(out: Path, step: str, stage: Stage) -> Results:
    """Where the results of a stage lie under its present settings."""
    return Results(out, step, stage.name, stage.fingerprint(), stage.writes)


def _work_off(chain: Chain, opened: list[tuple[Map, Work]], order: Path) -> pa.Table:
    first: list[tuple[Map, Work]] = [(stage, refuse) for stage, _ in opened[:1]]
    reports = journaled(
        order.with_suffix(f".{chain.run}.journal"),
        pq.read_table(order),
        lambda rows: _through(chain, opened, rows),
        lambda row: _through(chain, first, row),
    )
    return pa.concat_tables(reports)


def journaled(
    journal: Path, rows: pa.Table, work: Callable[[pa.Table], T], instead: Callable[[pa.Table], T]
) -> list[T]:
    """`work` on the rows. When it was begun before, its process died of one of them: then row by row, and
    `instead` for a row that was begun three times and never ended."""
    noted = Counter(journal.read_text().split()) if journal.exists() else Counter[str]()
    if not noted:
        # Work on one row that dies has died of that row.
        note(journal, "begun" if len(rows) > 1 else rows["id"][0].as_py())
        made = [work(rows)]
    else:
        made = [_alone((journal, noted), rows.slice(n, 1), work, instead) for n in range(len(rows))]
    journal.unlink()
    return made


def _alone(
    log: tuple[Path, Counter[str]],
    row: pa.Table,
    work: Callable[[pa.Table], T],
    instead: Callable[[pa.Table], T],
) -> T:
    journal, noted = log
    id_ = row["id"][0].as_py()
    if noted[id_] - noted[f"{id_}{_ENDED}"] >= ATTEMPTS:
        return instead(row)
    note(journal, id_)
    made = work(row)
    note(journal, f"{id_}{_ENDED}")
    return made


def refuse(rows: pa.Table) -> Any:
    """In place of work of which a worker died: raises RowError."""
    raise RowError("killed_worker", f"the worker died {ATTEMPTS} times while it worked on this row alone")


def note(journal: Path, word: str) -> None:
    with journal.open("a") as handle:
        handle.write(word + "\n")


def _through(chain: Chain, opened: list[tuple[Map, Work]], live: pa.Table) -> pa.Table:
    """Rows through the stages in turn; each stage's results become a part before the next stage begins."""
    reports = [REPORT.empty_table()]
    for stage, work in opened:
        if len(live) == 0:
            break
        live, told = _stage(chain, stage, work, live)
        reports.append(told)
        child.give_back_memory()
    return pa.concat_tables(reports)


def _stage(chain: Chain, stage: Map, work: Work, live: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows through one stage; returns those that live on, and the report."""
    before = spent()
    results = results_of(chain.out, chain.step, stage)
    live = live.select([n for n in live.column_names if n != "input"])
    with overheard() as said:
        done = _measured(stage, work, results, given_to(chain.out, stage, live))
    complete = keyed(done, inputs(live, stage.reads), live["id"], results.key)
    written = results.write(complete, live["bucket"][0].as_py())
    told = _report(stage, live, written, before, "\n".join(said))
    return _next(live, written, results), told


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Gathers what stages warn of meanwhile."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("stages")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def _next(live: pa.Table, written: pa.Table, results: Results) -> pa.Table:
    bucket = live["bucket"][0].as_py()
    failed = written.filter(pc.is_valid(written["error"]))[results.key].combine_chunks()
    live = live.filter(pc.invert(pc.is_in(live["id"], value_set=failed))).drop_columns("bucket")
    after = rows.absorb(live, written, results)
    return after.append_column("bucket", pa.array([bucket] * len(after), pa.string()))


def given_to(out: Path, stage: Stage, live: pa.Table) -> pa.Table:
    """Exactly `id` and what the stage reads, side values fetched from their files."""
    given = {"id": live["id"]}
    for name in stage.reads:
        given[name] = read_side(out, live, name) if columns.column(name).side else live[name]
    return pa.table(given)


def _measured(stage: Stage, work: Work, results: Results, given: pa.Table) -> pa.Table:
    """The stage's result for every given row: its own, or a failure; never fewer rows than were given."""
    made, errors = apart(lambda rows: checked(stage, work(rows), results, rows), given)
    return pa.concat_tables([*made, failed(stage, results, errors)])


def apart(work: Callable[[pa.Table], T], given: pa.Table) -> tuple[list[T], dict[str, str]]:
    """What the work makes of a table; where it raises, of its rows one by one. Returns (made, error by
    id)."""
    try:
        return [work(given)], {}
    except (RecipeError, ManifestError):
        raise
    except Exception as error:
        if machine_trouble(error) or (isinstance(error, OSError) and error.errno in _MACHINE_ERRORS):
            raise
        if len(given) == 1:
            return [], {given["id"][0].as_py(): _last_error()}
    made, errors = list[T](), dict[str, str]()
    for n in range(len(given)):
        more, bad = apart(work, given.slice(n, 1))
        made += more
        errors |= bad
    return made, errors


def _last_error() -> str:
    """The exception in flight as `reason: detail`, with the line that raised it."""
    _, error, tracebacks = sys.exc_info()
    if isinstance(error, RowError):
        return str(error)
    frames = traceback.extract_tb(tracebacks)
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "no frame"
    words = " ".join(str(error).split())
    return f"exception: {type(error).__name__} {words} ({place})"


def checked(stage: Stage, done: pa.Table, results: Results, given: pa.Table) -> pa.Table:
    """The declared columns, no more and no fewer; a row that got no result is failed, one that nobody asked
    for is a bug."""
    expected = {results.key, *stage.writes}
    if {*done.column_names} - {"error"} != expected:
        raise RecipeError(
            f"{stage.name} returned columns {sorted(done.column_names)}, it declares {sorted(expected)}"
        )
    if "error" not in done.column_names:
        done = done.append_column("error", pa.nulls(len(done), pa.string()))
    fields = [(name, columns.column(name).type) for name in sorted(expected)]
    done = done.select([*sorted(expected), "error"]).cast(pa.schema([*fields, ("error", pa.string())]))
    answered = set(done[results.key].to_pylist())
    asked = given["id"].to_pylist()
    if answered - set(asked) or (not results.makes_rows and len(done) != len(answered)):
        raise RecipeError(f"{stage.name} returned rows that it was not given, or one twice")
    lost = {id_: "no_result: the stage returned no row for it" for id_ in asked if id_ not in answered}
    return pa.concat_tables([done, failed(stage, results, lost)])


def failed(stage: Stage, results: Results, errors: Mapping[str, str]) -> pa.Table:
    """Results that say why there are none, by id of the row."""
    names = sorted({results.key, *stage.writes})
    schema = pa.schema([*((n, columns.column(n).type) for n in names), ("error", pa.string())])
    rows = [{results.key: id_, "error": error} for id_, error in errors.items()]
    return pa.Table.from_pylist(rows, schema=schema)


def keyed(done: pa.Table, digests: pa.Array, ids: pa.ChunkedArray, key: str) -> pa.Table:
    by_id = dict(zip(ids.to_pylist(), digests.to_pylist(), strict=True))
    return done.append_column("input", pa.array([by_id[id_] for id_ in done[key].to_pylist()], pa.string()))


def spent() -> tuple[float, Counter[str]]:
    """CPU seconds of this process and its children so far, and the jobs they did, by name."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time() + ended.ru_utime + ended.ru_stime
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            spent = process.cpu_times()
            own += spent.user + spent.system
        except psutil.NoSuchProcess:
            continue
    return own, Counter(child.decoder().counts)


def cost(before: tuple[float, Counter[str]]) -> tuple[float, float]:
    """How many media were decoded since `before`, and the CPU seconds."""
    cpu_s, jobs = spent()
    decoded = sum(number for job, number in (jobs - before[1]).items() if job in DECODES)
    return float(decoded), max(0.0, cpu_s - before[0])


def _report(
    stage: Stage, live: pa.Table, written: pa.Table, before: tuple[float, Counter[str]], said: str
) -> pa.Table:
    decoded, cpu_s = cost(before)
    length_s = pc.sum(live["duration_s"]).as_py() if "duration_s" in live.column_names else None
    unfit = pc.sum(pc.starts_with(written["error"], f"{UNFIT}:")).as_py() or 0
    bad = len(written) - written["error"].null_count - unfit
    numbers = {"rows": len(live), "failed": bad, "decodes": decoded, "cpu_s": cpu_s}
    return report(stage.name, media_s=length_s or 0.0, said=said, **numbers)


def report(stage: str, **numbers: Any) -> pa.Table:
    """The REPORT of one stage with these numbers, zero for the others."""
    zero = dict.fromkeys((name for name in REPORT.names if name not in ("stage", "said")), 0)
    return pa.Table.from_pylist([{**zero, "stage": stage, **numbers}], schema=REPORT)

"""A step says how far it is: rows, media and their rates; in lines for a log, in place on a terminal."""

import io
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.progress import Log, Progress, _clock
from pipeline.worker import report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def chain(rows: int, media_s: float) -> pa.Table:
    """A report of two stages on the same rows, the first of which makes two of each."""
    stages = [
        report("SplitShots", rows=rows, media_s=media_s),
        report("HashFrames", rows=2 * rows, media_s=media_s),
    ]
    return pa.concat_tables(stages)


def test_a_step_counts_a_row_once(tmp_path: Path) -> None:
    """Three passes over 60 rows of which one had most done before: the step saw 60 rows and their media, in
    125 turns."""
    log = Log(tmp_path, quiet=True)
    log.begin("score")
    for stage, rows in (("A", 20), ("A", 40), ("B", 60), ("C", 5)):
        log.add("score", report(stage, rows=rows, media_s=2.0 * rows, decodes=1))
    numbers = log.steps["score"]
    assert (60, 120.0, 4, 125) == tuple(numbers[n] for n in ("rows", "media_s", "decodes", "turns"))


def test_rates_of_a_chain() -> None:
    """An order counts once, however many stages it goes through: 20 of 60 rows and two hours of media in 100
    s are 0.2 rows/s and 72 times realtime, and 200 s are left."""
    progress = Progress(Log(Path("out"), quiet=True), "split: SplitShots+HashFrames", 60)
    progress.add(chain(12, 3600.0))
    progress.add(chain(8, 3600.0))
    expected = "20/60 rows  2.00 media hours  0.2 rows/s  72.0x realtime  3:20 left"
    assert expected == progress._numbers(100)


def test_without_media_and_without_a_row() -> None:
    """Images have no length; before the first row no time can be foretold."""
    progress = Progress(Log(Path("out"), quiet=True), "a", 3)
    assert "0/3 rows  0.0 rows/s  time left unknown" == progress._numbers(5)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(59.9, "0:59"), (754, "12:34"), (3600 * 30 + 61, "30:01:01")]
)
def test_clock(seconds: float, expected: str) -> None:
    """Minutes and seconds, hours where there are some."""
    assert expected == _clock(seconds)


def test_a_log_has_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """One line at the end, without a control character; a quiet log has none."""
    for quiet in (False, True):
        progress = Progress(Log(Path("out"), quiet=quiet), "split: A\x1b[2J", 2)
        progress.add(report("A", rows=2))
        progress.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("  split: A\\x1b[2J: 2/2 rows") and line.endswith("0:00 left")


def test_a_terminal_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written over in place, the name cut to the width, and what is left of a longer one is erased."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    progress = Progress(Log(Path("out")), "split: " + "SplitShots+" * 9, 2)
    progress.add(report("A", rows=2))
    progress.close()
    shown = terminal.getvalue()
    assert shown.startswith("\r  split: Split") and "…: 2/2 rows" in shown and shown.endswith("left\x1b[K\n")
    assert 59 == len(shown.strip("\r\n").removesuffix("\x1b[K"))

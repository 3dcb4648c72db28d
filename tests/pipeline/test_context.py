"""Work on a stock of rows: every row is counted, too many failures end it, warnings of workers are heard."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import ManifestError
from pipeline import stock as stocks
from pipeline.context import Context
from pipeline.drive import checked_recipe
from pipeline.progress import Log, ordered
from pipeline.worker import report
from tests.pipeline.local import Here
from tests.pipeline.stages_for_tests import Sines, assets


def worked(out: Path, *, quiet: bool = True, **codecs: str) -> Log:
    """The log after the model stage Sines on one row of each codec."""
    (out / "in").mkdir()
    log = Log(out, quiet=quiet)
    log.begin("split")
    context = Context(out, checked_recipe(sources=[str(out / "in")]), Here(), log, "run1")
    context.chain("split", (Sines(),), stocks.single(assets(**codecs)))
    return log


def test_rows_that_no_model_was_prepared_for_are_counted(tmp_path: Path) -> None:
    """One row fails in preparation, one in the forward pass: both count, in rows and in failures."""
    numbers = worked(tmp_path, a="h264", b="crash", c="odd", d="h264").steps["split"]
    assert (4, 2) == (numbers["rows"], numbers["failed"])


def test_nothing_that_could_be_prepared(tmp_path: Path) -> None:
    """Where preparation fails for every row, a limit on failures ends the step."""
    with pytest.raises(ManifestError, match="100 of 100 rows failed"):
        worked(tmp_path, **{f"r{n:03d}": "crash" for n in range(100)})


def test_what_stages_warn_of_reaches_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning in a forward pass is a line of the run, with the stage's name."""
    forward = Sines.forward

    def warned(stage: Sines) -> object:
        work = forward(stage)

        def loud(batch: object) -> object:
            logging.getLogger("stages.models").warning("batches of %d from here on", 2)
            return work(batch)  # type: ignore[arg-type]

        return loud

    monkeypatch.setattr(Sines, "forward", warned)
    worked(tmp_path, quiet=False, a="h264")
    assert "  Sines: batches of 2 from here on\n" in capsys.readouterr().err


def test_reports_that_come_together_are_counted_each(tmp_path: Path) -> None:
    """Ray hands over several reports as one table; later stages of a chain see the same rows again."""
    reports = [report("A", rows=3, media_s=1.5), report("B", rows=2), report("A", rows=4)]
    together = pa.concat_tables(reports)
    assert (7, 1.5) == (ordered(together, "rows"), ordered(together, "media_s"))
    assert 0 == ordered(together.slice(0, 0), "rows")

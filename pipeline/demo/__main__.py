"""`make run` without arguments: draw the corpus, run every step, verify, and say what was planted and what
was found."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from manifests import files
from manifests.errors import RecipeError
from manifests.manifest import Manifest
from manifests.views import step_view
from pipeline import cli
from pipeline.demo.corpus import draw_corpus
from pipeline.demo.found import Finding, compare, table
from pipeline.drive import run_recipe
from pipeline.inspect import summary
from pipeline.inspect import table as summary_table
from pipeline.verify import verify

SEED = 2026


def demo(
    out: Annotated[Path, typer.Option("--out", help="The work directory.")] = Path("out"),
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE")] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws another corpus.")] = SEED,
) -> None:
    """Draw the demo corpus and run everything on it; exit code 1 when something planted was not found.

    Raises RecipeError for a work directory of other media.
    """
    started = time.monotonic()
    folder = out / "demo"
    if Manifest.find(out, "ingest") and not folder.exists():
        raise RecipeError(f"{out} holds a run of other media; name them with IN, or another folder with OUT")
    draw_corpus(folder, seed=seed)
    run_recipe("default", out, sources=[str(folder / "corpus")], settings=settings or ())
    findings = verify(out)
    planted = _compare(out, folder)
    print(summary_table(summary(out)))
    print("\nplanted in the demo corpus, and what was found of it:\n" + table(planted))
    print("\n" + ("\n".join(findings) or "verify: every hash, index and count holds"))
    print(_where_next(out, time.monotonic() - started))
    missed = [finding for finding in planted if finding.holds is False]
    raise typer.Exit(1 if findings or missed else 0)


def _compare(out: Path, folder: Path) -> list[Finding]:
    truth = files.read_json(folder / "truth.json")
    sources: pa.Table = Manifest.open(out, "ingest").table("sources")
    return compare(truth, step_view(out, "caption"), sources)


def _where_next(out: Path, seconds: float) -> str:
    return (
        f"\ndone in {seconds:.0f} s. Shards: {out}/pack/video-clips and {out}/pack/images. Next:\n"
        f"  make report OUT={out}     a page of the run to look at\n"
        f"  make tune OUT={out}       move thresholds and see what they do\n"
        f"  .venv/bin/reelmix inspect {out}\n"
        f"  .venv/bin/reelmix trace {out} videos/tape.mkv\n"
        f'  .venv/bin/reelmix sql {out} "select rejected_by, count(*) from filter group by 1"\n'
        f"  make run IN=your/folder OUT=work"
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(demo)
    cli.guarded(app)

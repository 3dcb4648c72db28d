"""The command line: thin verbs, each over one function; heavy modules are imported when a verb needs them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from manifests.errors import ManifestError, RecipeError

INTERRUPTED = 130

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)

OutOption = Annotated[Path, typer.Option("--out", help="The work directory.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe.")
]
InOption = Annotated[
    list[str] | None,
    typer.Option("--in", metavar="URI", help="Take media from here, not from the recipe's sources."),
]
RecipeArgument = Annotated[str, typer.Argument(help="A shipped recipe's name, or a .toml file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OutArgument = Annotated[Path, typer.Argument(help="The work directory of a run.")]


def main() -> None:
    """The `reelmix` command."""
    guarded(app)


def guarded(command: typer.Typer) -> None:
    """Run a command; exit code 0 done, 1 findings or a directory that cannot be used, 2 wrong usage or
    recipe."""
    try:
        code = command(standalone_mode=False) or 0
    except SystemExit as ended:
        # How typer ends on Ctrl-C, without a word.
        code = ended.code if isinstance(ended.code, int) else 1
    except RecipeError as error:
        _end(str(error), 2)
    except ManifestError as error:
        _end(str(error), 1)
    except TyperException as error:
        _end(error.format_message(), 2)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    if code == INTERRUPTED:
        _end("interrupted; the same command goes on where this one stopped", code)
    sys.exit(code)


def _end(message: str, code: int) -> None:
    from pipeline.show import inert

    print(inert(f"reelmix: {message}"), file=sys.stderr)
    sys.exit(code)


def _print(value: Any) -> None:
    """JSON that a terminal can show: what is not printable is escaped, all else stands as it is."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


@app.command()
def run(
    recipe: RecipeArgument = "default",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="STEP", help="Run these steps only.")
    ] = None,
    source: InOption = None,
    out: OutOption = Path("out"),
    settings: SetOption = None,
    address: Annotated[str | None, typer.Option(help="The address of a running Ray cluster.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a recipe; what is already done is not done again."""
    from pipeline.drive import run_recipe
    from pipeline.inspect import summary, table

    run_recipe(recipe, out, sources=source or (), settings=settings or (), only=only or (), address=address)
    _print(summary(out)) if as_json else print(table(summary(out)))


@app.command()
def plan(
    recipe: RecipeArgument = "default",
    source: InOption = None,
    out: OutOption = Path("out"),
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a run would do and what is up to date; starts nothing."""
    from pipeline.foresee import foresee, table

    found = foresee(recipe, out, sources=source or (), settings=settings or ())
    _print(found) if as_json else print(table(found))


@app.command()
def inspect(
    out: Annotated[
        str, typer.Argument(metavar="OUT|SHARD[:KEY]", help="The work directory of a run, or a packed .tar.")
    ] = "out",
    step: Annotated[str | None, typer.Argument(help="One step only.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count rows by step, rule and corpus, and what the last run spent; or show a shard, or one sample of
    it."""
    from pipeline import shard_view
    from pipeline.drive import known_steps
    from pipeline.inspect import summary, table
    from pipeline.show import one_line

    if not (named := shard_view.asked(out)):
        found = summary(Path(out), *known_steps([step] if step else []))
        _print(found) if as_json else print(table(found))
        return
    path, key = named
    seen = shard_view.sample(path, key) if key else shard_view.shard(path)
    lines = shard_view.sample_lines if key else shard_view.shard_lines
    _print(seen) if as_json else print("\n".join(one_line(line) for line in lines(seen)))


@app.command()
def sql(
    out: OutArgument,
    statement: Annotated[str, typer.Argument(help="One select; every step is a view with its fates.")],
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Show cells whole, however wide the terminal is.")
    ] = False,
) -> None:
    """Ask the manifests: views ingest, split, …, and verdicts, sources, pairs, groups, plan, files."""
    from manifests.views import ask
    from pipeline.show import as_text, csv_text, inert, json_rows

    answer = ask(out, statement)
    if as_json:
        _print(json_rows(answer))
        return
    # What is not read by a person is never cut.
    person = sys.stdout.isatty()
    cells = shutil.get_terminal_size().columns if person and not wide else None
    table = csv_text(answer) if as_csv else as_text(answer, cells)
    print(inert(table) if person else table)


@app.command()
def verify(
    out: OutArgument = Path("out"),
    mend: Annotated[
        bool, typer.Option("--mend", help="Remove what is broken, so that the next run makes it again.")
    ] = False,
) -> None:
    """Check every hash, index and count again; exit code 1 with findings, with --mend where some are left."""
    from pipeline.show import one_line
    from pipeline.verify import mend as mend_out
    from pipeline.verify import verify as verify_out

    lines, left = mend_out(out) if mend else (findings := verify_out(out), bool(findings))
    print("\n".join(one_line(line) for line in lines) or f"{out}: all is what it says it is")
    raise typer.Exit(1 if left else 0)


@app.command()
def retry(
    out: OutArgument,
    failed: Annotated[
        list[str] | None, typer.Option("--failed", metavar="REASON", help="Only failures of this reason.")
    ] = None,
) -> None:
    """Forget failures, so that the next run tries those rows again; all, or those of the named reasons."""
    from pipeline.drive import held
    from pipeline.retry import retry as retry_out

    with held(out):
        forgotten = retry_out(out, failed or ())
    for step, counts in forgotten.items():
        for reason, rows in counts.items():
            print(f"{step}: {rows} rows that failed with {reason} are tried again by the next run")
    if not forgotten:
        print("no failed result: nothing to try again")


@app.command()
def trace(
    out: OutArgument,
    sample: Annotated[
        str, typer.Argument(metavar="ID", help="First digits of the id of a row or asset, or a file's URI.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Follow one sample through every step: what was measured, each rule with its value and threshold,
    verdicts, neighbours, shard."""
    from pipeline.show import one_line
    from pipeline.trace import lines
    from pipeline.trace import trace as trace_out

    found = trace_out(out, sample)
    _print(found) if as_json else print("\n".join(one_line(line) for line in lines(found)))


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The work directory of a run.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="That of another run.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two runs: rows, fates, values, rules and settings, shards; exit code 1 when they differ."""
    from pipeline.compare import compare, lines
    from pipeline.show import one_line

    found = compare(a, b)
    _print(found) if as_json else print("\n".join(one_line(line) for line in lines(found)))
    raise typer.Exit(0 if found["equal"] else 1)


@app.command()
def report(
    out: OutArgument = Path("out"),
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where to, if not OUT/report.html.")
    ] = None,
) -> None:
    """Write one page of the run to look at: funnel, scores, examples, duplicates, captions, tokens, costs."""
    from pipeline.report import write_report

    print(write_report(out, to or out / "report.html"))


@app.command()
def tune(
    out: OutArgument = Path("out"),
    recipe: Annotated[str, typer.Option("--recipe", help="The recipe whose rules are tuned.")] = "default",
    settings: SetOption = None,
    step: Annotated[str | None, typer.Option(help="Tune the rules that this step judges.")] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Let the page write to this recipe.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The port on loopback; 0 takes a free one.")
    ] = 8787,
    what_if: Annotated[
        list[str] | None, typer.Option("--what-if", metavar="RULE.PARAM=V", help="Say what would be kept.")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="RULE.PARAM=A:B:STEP", help="Say what each value would keep.")
    ] = None,
    boundary: Annotated[
        str | None, typer.Option(metavar="RULE.PARAM", help="List the clips around a threshold.")
    ] = None,
    calibrate: Annotated[
        str | None, typer.Option(metavar="RULE.PARAM", help="Find the threshold for one of the next three.")
    ] = None,
    precision: Annotated[float | None, typer.Option(help="The share of good ones among the kept.")] = None,
    recall: Annotated[float | None, typer.Option(help="The share of the good ones that is kept.")] = None,
    keep: Annotated[float | None, typer.Option(help="The share of all that is kept.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels with the columns id and good; left out, the page's votes.")
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="List the clips that another recipe judges otherwise."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="Let the page show changes against another recipe.")
    ] = None,
    export: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page as one file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Open the tuning page on loopback; with an option, answer in the terminal."""
    from pipeline.tune import terminal

    desk = terminal.desk(out, recipe, settings or (), save, against)
    goals = {"precision": precision, "recall": recall, "keep": keep}
    asked = terminal.Asked(what_if or (), sweep, boundary, calibrate, goals, labels, diff)
    if export:
        print(terminal.write_export(desk, step, asked, export))
        return
    if asked.anything:
        told, text = terminal.answer(desk, step, asked)
        _print(told) if as_json else print(text)
        return
    from pipeline.tune.serve import bound, serve

    serve(desk, bound(port))


@app.command()
def doctor(out: OutArgument = Path("out"), as_json: JsonOption = False) -> None:
    """Check this machine: versions, clashes, codecs, GPU, disk; one line of mend each."""
    from dataclasses import asdict

    from pipeline.doctor import examine

    findings = examine(out)
    if as_json:
        _print([asdict(finding) for finding in findings])
    for finding in [] if as_json else findings:
        mend = "" if finding.ok else f"\n{'':>26}mend: {finding.mend}"
        print(f"{'ok  ' if finding.ok else 'BAD '}{finding.name:<22}{finding.seen}{mend}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


if __name__ == "__main__":
    main()

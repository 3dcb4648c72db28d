"""One page of a run that people would rather look at than read: one file, which asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from manifests import files
from manifests.errors import ManifestError
from pipeline.inspect import shards
from pipeline.report import flow, looks
from pipeline.report.cards import MOST_PICTURES, make_cards
from pipeline.report.choose import choose
from pipeline.report.costs import costs, settings, spent_s
from pipeline.report.run import Run, open_run
from pipeline.stale import says
from pipeline.web.html import Html, hours, number, page, tag
from pipeline.web.style import STYLE


def write_report(out: Path, to: Path) -> Path:
    """Write the report of a work directory to a file; returns it.

    The page holds at most MOST_PICTURES pictures and a bounded number of lines, whatever the corpus: a few
    megabytes. Raises ManifestError for a folder without a finished step, and when the file cannot be written.
    """
    content = report(out).encode()
    if not to.absolute().parent.is_dir():
        raise ManifestError(f"{to.absolute().parent} is no folder; make it, or write elsewhere")
    try:
        files.write_bytes(to, content)
    except OSError as error:
        raise ManifestError(f"cannot write {to}: {error.strerror}; name another file with --to") from error
    return to


def report(out: Path) -> str:
    """The report as HTML."""
    run = open_run(out)
    sections = [(name, body) for name, body in _sections(run) if body]
    links = [tag("a", name, href=f"#{_anchor(name)}") for name, _ in sections]
    head = tag(
        "header", tag("h1", f"Run {out.absolute().name}"), _stale(run), _tiles(run), tag("nav", *links)
    )
    body = [tag("section", tag("h2", name), inside, id=_anchor(name)) for name, inside in sections]
    foot = f"At most {MOST_PICTURES} pictures. `reelmix trace OUT ID` tells all of one row."
    return page(f"Reelmix: {out.absolute().name}", STYLE, [head, tag("main", *body), tag("footer", foot)])


def _sections(run: Run) -> Iterator[tuple[str, Html | None]]:
    yield "Funnel", flow.funnel(run)
    yield "Why rows went", flow.rules(run)
    yield "Scores", flow.scores(run)
    chosen = choose(run)
    cards = make_cards(run, chosen.ids())
    yield "Examples", looks.examples(run, chosen, cards)
    yield "Duplicates", looks.duplicates(chosen, cards)
    yield "Failures", looks.failures(run, chosen, cards)
    yield "Captions", looks.captions(chosen, cards)
    yield "Tokens", flow.tokens(run)
    yield "Corpora", flow.retention(run)
    yield "Time and cost", costs(run)
    yield "Settings", settings(run)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _stale(run: Run) -> Html | None:
    return tag("p", says(run.stale), class_="mark") if run.stale else None


def _tiles(run: Run) -> Html:
    """The run in six numbers."""
    kept = run.ask(
        "select count(*) as rows, count(*) filter (fate is null) as live, "
        "count(*) filter (fate = 'failed') as failed, "
        "coalesce(sum(duration_s) filter (fate is null), 0) / 3600 as hours from rows"
    )[0]
    packed = shards(run.out) if "pack" in run.steps else []
    size = f"{sum(shard['tar_bytes'] for shard in packed) / 1e6:,.1f} MB"
    tiles = [
        (f"{number(kept['live'])} of {number(kept['rows'])}", f"rows live after {run.last.step}"),
        (f"{kept['live'] / max(1, kept['rows']):.1%}", "of rows kept"),
        (hours(kept["hours"]), "of video kept"),
        (_tokens(run), "tokens in the mix"),
        (f"{len(packed)}, {size}" if packed else "none", "shards"),
        (number(kept["failed"]), "rows failed"),
        (spent_s(run.out), "last run"),
    ]
    return tag(
        "dl", *(tag("div", tag("dt", what), tag("dd", told)) for told, what in tiles if told), class_="tiles"
    )


def _tokens(run: Run) -> str:
    if "visual_tokens" not in run.rows.column_names:
        return ""
    statement = "select sum(visual_tokens + text_tokens)::bigint as sum from rows where fate is null"
    return number(run.ask(statement)[0]["sum"] or 0)

"""The report on numbers: the funnel, what rules took, scores, corpora, tokens, time and cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from filters.handles import thresholds
from manifests import columns
from manifests.errors import RecipeError
from manifests.sql import quoted
from pipeline.inspect import FATES
from pipeline.report.run import Run
from pipeline.retention import corpora
from pipeline.rulings import effects
from pipeline.web.html import Html, joined, number, table, tag
from pipeline.web.svg import histogram, stacked

BINS = 40
# Histograms reach from this quantile to its counterpart, and to every threshold; what lies beyond stands in
# the outermost bins.
TAIL = 0.005
# Tokens by at most so many groups, corpora in at most so many lines: the largest.
LINES = 40
PARTS = ("live", *FATES)


def legend(names: dict[str, str]) -> Html:
    """What the colours mean, by class."""
    keys = [joined([tag("span", "", class_=f"key {kind}"), name, " "]) for kind, name in names.items()]
    return tag("p", *keys, class_="legend")


def funnel(run: Run) -> Html:
    """A bar a step: how many rows there are and what has become of them so far."""
    counts = {step: _sums(m.record["counts"]) for step, m in run.steps.items()}
    most = max(sum(parts.values()) for parts in counts.values())
    rows = [
        [step, _bar(step, parts, most), sum(parts.values()), *parts.values()]
        for step, parts in counts.items()
    ]
    head = ["step", "", "rows", *PARTS]
    note = "Assets become clips in split. No row is ever deleted: one that is not live keeps its fate."
    colours = {kind: kind for kind in PARTS}
    return joined(
        [legend(colours), table("Rows by step and fate", head, rows), tag("p", note, class_="note")]
    )


def _sums(counts: dict[str, Any]) -> dict[str, int]:
    return {"live": counts["live"], **{fate: sum(counts[fate].values()) for fate in FATES}}


def _bar(step: str, parts: dict[str, int], most: int) -> Html:
    told = ", ".join(f"{size} {name}" for name, size in parts.items())
    return stacked(list(parts.items()), most, label=f"{step}: {told}")


def rules(run: Run) -> Html:
    """What each rule takes: were it alone, what no other takes, and at its place."""
    head = ["step", "rule", "keeps when", "alone", "only it", "here", "why"]
    rows = [
        [
            step,
            line["rule"] + (" (replaces texts of kept rows)" if line["otherwise"] == "recaption" else ""),
            tag("code", line["keep"]),
            line["alone"],
            line["only"],
            line["here"],
            tag("details", tag("summary", "origin"), line["why"]),
        ]
        for step, m in run.steps.items()
        for line in effects(m)
    ]
    reasons = run.ask(
        "select step, fate, reason, count(*) as rows from rows where fate is not null group by 1, 2, 3 "
        "order by 4 desc, 1, 2, 3"
    )
    others = [[r["step"], r["fate"], r["reason"], r["rows"]] for r in reasons]
    note = (
        "Alone: rows it would take were it the only rule. Only it: rows that no other rule takes, which come "
        "back when it is lifted. Here: rows it takes after the rules before it. A rule that "
        "replaces texts takes no row: it is counted over the rows that no rule rejects."
    )
    return joined(
        [
            table("Rules in the order in which they judged", head, rows) if rows else None,
            tag("p", note, class_="note") if rows else None,
            table("Every reason for which rows went", ["step", "fate", "reason", "rows"], others),
        ]
    )


def scores(run: Run) -> Html:
    """One small histogram a number."""
    drawn = [figure for name in run.scores if (figure := _score(run, name))]
    colours = {"all": "all rows", "live": "rows kept at the end", "threshold": "threshold of a rule"}
    return joined([legend(colours), tag("div", *drawn, class_="grid")])


def _score(run: Run, name: str) -> Html | None:
    lines = [
        (rule.name, one) for rule in run.rules.values() for one in thresholds(rule) if one.column == name
    ]
    seen = _range(run, name)
    if not seen["known"]:
        return None
    least = min([seen["least"], *(one.value for _, one in lines)])
    most = max([seen["most"], *(one.value for _, one in lines)])
    every, kept = _binned(run, name, least, most)
    span = (most - least) or 1.0
    marks = [((one.value - least) / span, f"{rule} {one.sense} {number(one.value)}") for rule, one in lines]
    told = f"{name} of {len(run.rows)} rows: {_said(seen, len(run.rows))}"
    return tag(
        "figure",
        tag("h3", name, tag("small", f" {_unit(name)}")),
        histogram(every, kept, lines=marks, label="; ".join([told, *(mark for _, mark in marks)])),
        tag("div", tag("span", number(least)), tag("span", number(most)), class_="axis"),
        tag(
            "figcaption", _said(seen, len(run.rows)), *(tag("div", mark, class_="rule") for _, mark in marks)
        ),
        class_="score",
    )


def _unit(name: str) -> str:
    try:
        return columns.column(name).unit
    except RecipeError:
        return ""


def _said(seen: dict[str, Any], rows: int) -> str:
    unknown = f", {number(rows - seen['known'])} unknown" if rows > seen["known"] else ""
    ends = f"{number(seen['first'])} to {number(seen['last'])}"
    return f"median {number(seen['median'])}, {ends}{unknown}"


def _known(name: str) -> str:
    return f"(select id, fate, {quoted(name)}::double as v from rows where isfinite({quoted(name)}::double))"


def _range(run: Run, name: str) -> dict[str, Any]:
    return run.ask(
        f"""
        select count(*) as known, min(v) as first, max(v) as last, median(v) as median,
            quantile_disc(v, {TAIL}) as least, quantile_disc(v, {1 - TAIL}) as most from {_known(name)}
        """
    )[0]


def _binned(run: Run, name: str, least: float, most: float) -> tuple[list[int], list[int]]:
    found = run.ask(
        f"""
        select least(greatest(floor((v - $least) / $span * {BINS}), 0), {BINS - 1})::int as bin,
            count(*) as every, count(*) filter (fate is null) as kept from {_known(name)} group by 1
        """,
        least=least,
        span=(most - least) or 1.0,
    )
    every, kept = [0] * BINS, [0] * BINS
    for row in found:
        every[row["bin"]], kept[row["bin"]] = row["every"], row["kept"]
    return every, kept


def retention(run: Run) -> Html:
    """What is kept of each corpus, the largest first; one that loses far more than the rest is marked."""
    found = sorted(corpora(run.last).items(), key=lambda item: -item[1]["rows"])
    rows = [
        [
            name or "(none)",
            stacked([(kind, line[kind]) for kind in PARTS], line["rows"], label=_kept(line)),
            line["rows"],
            *(line[kind] for kind in PARTS),
            f"{line['live'] / line['rows']:.1%}",
            round(line["media_h"], 3),
            round(line["kept_h"], 3),
            tag("strong", f"⚠ {line['loses']}", class_="mark") if line["loses"] else "",
        ]
        for name, line in found[:LINES]
    ]
    head = ["corpus", "", "rows", *PARTS, "kept", "hours", "hours kept", "look here"]
    more = (
        f"{len(found) - LINES} smaller ones are left out; `reelmix inspect --json` has them"
        if found[LINES:]
        else None
    )
    return joined([table("Rows by corpus and fate", head, rows), more and tag("p", more, class_="note")])


def _kept(line: dict[str, Any]) -> str:
    return ", ".join(f"{line[kind]} {kind}" for kind in PARTS)


def tokens(run: Run) -> Html | None:
    """Where the tokens of the mix come from: dataset, kind and category of the live rows."""
    have = {*run.rows.column_names}
    if not {"visual_tokens", "text_tokens"} <= have:
        return None
    names = {"dataset": "split_part(shard, '/', 1)" if "shard" in have else "''", "kind": "kind"}
    names["category"] = "category" if "category" in have else "''"
    by = ", ".join(f"coalesce({sql}, '') as {name}" for name, sql in names.items())
    found = run.ask(
        f"""
        select {by}, count(*) as samples, sum(visual_tokens)::bigint as visual,
            sum(text_tokens)::bigint as text, coalesce(sum(duration_s), 0) / 3600 as hours
        from rows where fate is null group by 1, 2, 3 order by visual + text desc, 1, 2, 3
        """
    )
    most = max([1, *(line["visual"] + line["text"] for line in found)])
    total = max(1, sum(line["visual"] + line["text"] for line in found))
    rows = [list(_tokens(line, most, total)) for line in found[:LINES]]
    head = [
        "dataset",
        "kind",
        "category",
        "",
        "samples",
        "visual tokens",
        "text tokens",
        "of the mix",
        "hours",
    ]
    colours = {"visual": "visual tokens", "text": "text tokens"}
    return joined([legend(colours), table("Tokens of the mix by dataset, kind and category", head, rows)])


def _tokens(line: dict[str, Any], most: int, total: int) -> Iterator[object]:
    yield from (line[name] for name in ("dataset", "kind", "category"))
    parts = [("visual", line["visual"]), ("text", line["text"])]
    yield stacked(parts, most, label=f"{line['visual']} visual and {line['text']} text tokens")
    yield from (line[name] for name in ("samples", "visual", "text"))
    yield f"{(line['visual'] + line['text']) / total:.1%}"
    yield round(line["hours"], 3)

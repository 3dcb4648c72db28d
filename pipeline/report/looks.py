"""The report on rows: examples of every verdict, duplicates side by side, failures, captions before and
after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from filters.handles import thresholds
from pipeline.report.cards import Cards, path_end, shortened
from pipeline.report.choose import Chosen, Verdict
from pipeline.report.run import Run
from pipeline.web.html import Html, joined, number, table, tag
from stages.caption.choose import caption_text, source_text


def examples(run: Run, chosen: Chosen, cards: Cards) -> Html:
    """By verdict the rows nearest its threshold, and what was just kept beside them; then what was kept."""
    parts = [_verdict(run, verdict, cards) for verdict in chosen.verdicts]
    parts += [
        tag("h3", "Kept"),
        tag("div", *(cards.card(id_, kind="live") for id_ in chosen.kept), class_="grid"),
    ]
    return joined(parts)


def _verdict(run: Run, verdict: Verdict, cards: Cards) -> Html:
    rule = run.rules.get((verdict.step, verdict.reason))
    names = [one.column for one in thresholds(rule)] if rule else []
    replaced = rule is not None and rule.otherwise == "recaption"
    gone = "text replaced" if replaced else "rejected"
    shown = [cards.card(id_, *_values(cards, id_, names), kind=gone.split()[0]) for id_ in verdict.gone]
    kept = [cards.card(id_, *_values(cards, id_, names), kind="live") for id_ in verdict.just_kept]
    rows = f"{number(verdict.rows)} {'live rows, ' if replaced else ''}{gone}"
    head = f"{verdict.reason}: {rows} at {verdict.step}"
    return joined(
        [
            tag("h3", head),
            tag("p", "keeps when ", tag("code", rule.spelled())) if rule else None,
            tag("h4", f"{gone}, nearest to the threshold first" if verdict.nearest else gone),
            tag("div", *shown, class_="grid"),
            tag("h4", "just kept") if kept else None,
            tag("div", *kept, class_="grid") if kept else None,
        ]
    )


def _values(cards: Cards, id_: str, names: list[str]) -> Iterator[str]:
    row = cards.rows.get(id_, {})
    for name in dict.fromkeys(names):
        yield f"{name} {number(row[name]) if row.get(name) is not None else 'unknown'}"


def duplicates(chosen: Chosen, cards: Cards) -> Html | None:
    """Groups of each level side by side, those that are least alike first."""
    if not chosen.groups:
        return None
    parts: list[Html] = []
    for level, groups in chosen.groups.items():
        parts.append(tag("h3", level))
        shown = [tag("div", *(_member(row, cards) for row in group), class_="group") for group in groups]
        parts.append(tag("div", *shown, class_="groups"))
    note = (
        "The first of each group is kept. Of each level those groups are shown whose members are least alike."
    )
    return joined([tag("p", note, class_="note"), *parts])


def _member(row: Mapping[str, Any], cards: Cards) -> Html:
    if row["level"] == "kept":
        return cards.card(row["id"], "kept", kind="live")
    far = (
        f"cosine {number(row['cosine'])}"
        if row["distance"] is None
        else f"distance {number(row['distance'])} bits"
    )
    return cards.card(row["id"], far, kind="duplicates")


def failures(run: Run, chosen: Chosen, cards: Cards) -> Html | None:
    """Every reason with the first words of some examples."""
    if not chosen.failures:
        return None
    ids = [id_ for failure in chosen.failures for id_ in failure.gone]
    said = {
        r["id"]: r["said"]
        for r in run.ask("select id, said from rows where list_contains($ids, id)", ids=ids)
    }
    rows = [
        [failure.step, failure.reason, failure.rows, joined(_failed(failure.gone, said, cards))]
        for failure in chosen.failures
    ]
    return table("Rows that failed, by reason", ["step", "reason", "rows", "examples"], rows)


def _failed(ids: tuple[str, ...], said: Mapping[str, str | None], cards: Cards) -> Iterator[Html]:
    for id_ in ids:
        name = path_end(cards.rows.get(id_, {}).get("source_uri") or id_)
        yield tag("div", tag("strong", name), " ", shortened(said.get(id_) or ""), class_="says")


def captions(chosen: Chosen, cards: Cards) -> Html | None:
    """The text that came with a clip, the caption that was written, and which of them is taken."""
    if not chosen.captions:
        return None
    parts: list[Html] = []
    for name, ids in chosen.captions.items():
        parts += [tag("h3", name), tag("div", *(_captioned(id_, cards) for id_ in ids), class_="pairs")]
    return joined(parts)


def _captioned(id_: str, cards: Cards) -> Html:
    row = cards.rows[id_]
    before = _text("before", source_text(row), row.get("clip_score"), row["text_from"] == "source")
    after = _text("after", caption_text(row), row.get("caption_score"), row["text_from"] == "caption")
    written = (row["captions"] or [{}])[-1]
    by = (
        f"by {written['model']} from {written['frames']} frame{'s' * (written['frames'] != 1)}"
        if written
        else ""
    )
    return tag("div", cards.card(id_, by), tag("dl", *before, *after), class_="pair")


def _text(name: str, text: str | None, score: float | None, taken: bool) -> Iterator[Html]:
    told = [
        name,
        f"score {number(score)}" if score is not None else "no score",
        "taken" if taken else "not taken",
    ]
    yield tag("dt", " · ".join(told), class_="taken" if taken else None)
    yield tag("dd", shortened(text, 600) if text else tag("em", "none"))

"""Which rows the report shows: of each verdict those nearest its threshold, of duplicates the least alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from filters.expressions import only, walk, written
from filters.handles import Threshold, thresholds
from filters.rules import Rule
from manifests.manifest import Manifest
from manifests.sql import query, quoted
from pipeline.report.run import Run

# Rows of a verdict, rows just kept beside them, groups of a level, rows of a group, rows of a kind of
# caption, rows of a reason for failing, and what was kept.
GONE, JUST_KEPT, GROUPS, MEMBERS, CAPTIONS, FAILED, KEPT = 8, 4, 4, 4, 6, 3, 8
# A fixed order that has nothing to do with content.
_ANY = "md5(id)"


@dataclass(frozen=True)
class Verdict:
    """One reason for which rows went (or, of a rule that has texts replaced, were touched): how many, which
    are shown (the `nearest` to the threshold first, or any), and which were just kept."""

    step: str
    reason: str
    rows: int
    gone: tuple[str, ...]
    just_kept: tuple[str, ...] = ()
    nearest: bool = False


@dataclass(frozen=True)
class Chosen:
    """Ids to show. `groups` holds rows of the groups table, the kept one of each group first."""

    verdicts: tuple[Verdict, ...]
    failures: tuple[Verdict, ...]
    groups: dict[str, list[list[dict[str, Any]]]]
    captions: dict[str, list[str]]
    kept: list[str]

    def ids(self) -> Iterator[str]:
        """All of them, the most telling first."""
        for verdict in self.verdicts:
            yield from (*verdict.gone, *verdict.just_kept)
        for groups in self.groups.values():
            yield from (row["id"] for group in groups for row in group)
        yield from (id_ for ids in self.captions.values() for id_ in ids)
        yield from (id_ for failure in self.failures for id_ in failure.gone)
        yield from self.kept


def choose(run: Run) -> Chosen:
    """Choose by the numbers of all rows; no picture and no text is read."""
    return Chosen(
        verdicts=tuple([*_rejected(run), *_rerouted(run)]),
        failures=tuple(_failed(run)),
        groups=_groups(run.steps["dedup"]) if "dedup" in run.steps else {},
        captions=_captions(run),
        kept=_ids(run, "fate is null", _ANY, KEPT),
    )


def _ids(run: Run, condition: str, order: str, most: int, **values: object) -> list[str]:
    statement = f"select id from rows where {condition} order by {order}, {_ANY} limit {most}"
    return [row["id"] for row in run.ask(statement, **values)]


def _rejected(run: Run) -> Iterator[Verdict]:
    found = run.ask(
        "select step, reason, count(*) as rows from rows where fate = 'rejected' group by 1, 2 order by 2"
    )
    places = list(run.rules)
    here = {(row["step"], row["reason"]): row["rows"] for row in found}
    for step, reason in sorted(here, key=lambda key: places.index(key) if key in places else len(places)):
        gone = "fate = 'rejected' and step = $step and reason = $reason"
        rule = run.rules.get((step, reason))
        margin = _margin(run, rule)
        shown = _ids(run, gone, _nearest(margin), GONE, step=step, reason=reason)
        kept = _just_kept(run.judged(rule), rule, margin) if rule and margin else ()
        yield Verdict(step, reason, here[step, reason], tuple(shown), kept, bool(margin))


def _just_kept(judged: Run, rule: Rule, margin: str) -> tuple[str, ...]:
    met = f"fate is null and meets and {_meant(rule)} and {margin} is not null"
    return tuple(_ids(judged, met, f"{margin} asc", JUST_KEPT))


def _rerouted(run: Run) -> Iterator[Verdict]:
    """Rules that have texts replaced, and the live rows that do not meet them."""
    for key, rule in run.rules.items():
        if rule.otherwise != "recaption":
            continue
        judged, margin = run.judged(rule), _margin(run, rule)
        failing = "fate is null and not meets"
        rows = judged.ask(f"select count(*) as rows from rows where {failing}")[0]["rows"]
        shown = _ids(judged, failing, _nearest(margin), GONE)
        kept = _just_kept(judged, rule, margin) if margin else ()
        if rows:
            yield Verdict(*key, rows, tuple(shown), kept, bool(margin))


def _nearest(margin: str | None) -> str:
    return f"{margin} desc nulls last" if margin else _ANY


def _meant(rule: Rule) -> str:
    kinds = ", ".join(f"'{kind}'" for kind in rule.kinds)
    return f"kind in ({kinds})" if kinds else "true"


def _margin(run: Run, rule: Rule | None) -> str | None:
    """SQL of how far a row is on the right side of the nearest threshold of a rule; None where there is
    none, or where OR joins thresholds: a row may fall short of one and be kept."""
    if rule is None or _alternative(rule):
        return None
    shares = dict.fromkeys(name for p in rule.parameters for name, _ in p.by_corpus or ())
    if not shares:
        return _least([one for one in thresholds(rule) if one.column in run.scores])
    cases = {corpus: _least(thresholds(rule, corpus)) for corpus in shares}
    told = " ".join(f"when {_literal(corpus)} then {sql}" for corpus, sql in cases.items() if sql)
    return f"case coalesce(corpus, '') {told} end" if told else None


def _alternative(rule: Rule) -> bool:
    parts = (node for node in walk(only(rule.keep)) if node.get("type") == "CONJUNCTION_OR")
    return any(thresholds(rule.model_copy(update={"keep": written(part)})) for part in parts)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _least(found: list[Threshold]) -> str | None:
    margins = [
        f"({quoted(t.column)} - {t.value!r})" if t.sense[0] == ">" else f"({t.value!r} - {quoted(t.column)})"
        for t in found
    ]
    return f"least({', '.join(margins)})" if margins else None


def _failed(run: Run) -> Iterator[Verdict]:
    found = run.ask(
        "select step, reason, count(*) as rows from rows where fate = 'failed' group by 1, 2 "
        "order by 3 desc, 1, 2"
    )
    gone = "fate = 'failed' and step = $step and reason = $reason"
    for row in found:
        key = {"step": row["step"], "reason": row["reason"]}
        yield Verdict(**key, rows=row["rows"], gone=tuple(_ids(run, gone, _ANY, FAILED, **key)))


def _groups(dedup: Manifest) -> dict[str, list[list[dict[str, Any]]]]:
    """Of each level the groups whose least alike members are the farthest apart: the doubtful ones."""
    if "groups" not in dedup.record["tables"]:
        return {}
    statement = f"""
        with least as (
            select "group", level, coalesce(distance, -cosine) as far from groups where level <> 'kept'
            qualify row_number() over (partition by "group", level order by far desc, id) = 1
        ),
        shown as (
            select "group", level as of from least
            qualify row_number() over (partition by level order by far desc, "group") <= {GROUPS}
        )
        select shown.of, groups.* from groups join shown using ("group")
        where groups.level in ('kept', shown.of)
        qualify row_number() over (
            partition by shown.of, "group" order by groups.level <> 'kept', distance desc, cosine, id
        ) <= {MEMBERS}
        order by shown.of, "group", groups.level <> 'kept', distance desc, cosine, id
    """
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in query(statement, {"groups": dedup.table("groups")}).to_pylist():
        found.setdefault(row["of"], {}).setdefault(row["group"], []).append(row)
    return {level: list(groups.values()) for level, groups in found.items()}


def _captions(run: Run) -> dict[str, list[str]]:
    """Live rows by whose text they carry."""
    if "text_from" not in run.rows.column_names:
        return {}
    gain = (
        "caption_score - clip_score" if {"caption_score", "clip_score"} <= {*run.scores} else "null::double"
    )
    cases = {
        "the caption is taken": (
            "text_from = 'caption'",
            f"{gain} desc nulls last",
        ),
        "the source's text is taken": ("text_from = 'source'", f"{gain} desc nulls last"),
        "no usable text": ("text_from is null", _ANY),
    }
    found = {
        name: _ids(run, f"fate is null and {cond}", order, CAPTIONS) for name, (cond, order) in cases.items()
    }
    return {name: ids for name, ids in found.items() if ids}

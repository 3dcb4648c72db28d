"""The report on the work itself: time and cost by step, settings, and the digests that name this run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests import files
from pipeline.inspect import SPENT
from pipeline.report.run import Run
from pipeline.web.html import Html, joined, number, table, tag

_DIGITS = 12


def runs(out: Path) -> list[dict[str, Any]]:
    """What every run over a work directory wrote down of itself, in order."""
    found: list[dict[str, Any]] = []
    for path in sorted((out / "runs").glob("*.json")):
        with files.reading(out, path):
            found.append(files.read_json(path))
    return found


def costs(run: Run) -> Html | None:
    """Time, decodes and calls of models: of the last run, and of all runs together."""
    logs = runs(run.out)
    if not logs:
        return None
    last = {step: numbers for step, numbers in logs[-1]["steps"].items() if step in run.steps}
    total = {step: _sum([log["steps"].get(step, {}) for log in logs]) for step in run.steps}
    return joined(
        [
            _table("The last run", {step: last.get(step, {}) for step in run.steps}),
            _table(f"All {len(logs)} runs over this work directory", total) if len(logs) > 1 else None,
            tag("p", _began(logs[-1]), class_="note"),
        ]
    )


def _sum(numbers: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    held = list(numbers)
    return {name: sum(one.get(name, 0) for one in held) for name in (*SPENT, "rows")}


def _table(caption: str, steps: Mapping[str, Mapping[str, Any]]) -> Html:
    head = [
        "step",
        "wall s",
        "CPU s",
        "rows done",
        "rows/s",
        "media hours",
        "x realtime",
        "decodes",
        "model calls",
    ]
    total = _sum(steps.values())
    # What goes through several steps is no sum of them.
    spent = ["sum", *_line({name: n for name, n in total.items() if name not in ("rows", "media_s")})]
    rows = [*([step, *_line(numbers)] for step, numbers in steps.items()), spent]
    return table(caption, head, rows)


def _line(numbers: Mapping[str, Any]) -> list[object]:
    wall_s, media_s, rows = (numbers.get(name) for name in ("wall_s", "media_s", "rows"))
    rates = [rows / wall_s if rows and wall_s else None, media_s / wall_s if media_s and wall_s else None]
    return [
        round(wall_s or 0, 1),
        round(numbers.get("cpu_s", 0), 1),
        rows,
        rates[0] and round(rates[0], 1),
        None if media_s is None else round(media_s / 3600, 3),
        rates[1] and round(rates[1], 1),
        numbers.get("decodes", 0),
        numbers.get("model_calls", 0),
    ]


def _began(log: Mapping[str, Any]) -> str:
    began = datetime.fromtimestamp(log["started"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    asked = log.get("settings", {})
    changed = ", ".join(asked.get("settings") or []) or "none"
    return (
        f"The last run began {began}: recipe {asked.get('recipe', 'default')}, settings changed: {changed}."
    )


def settings(run: Run) -> Html:
    """What each step was made by; the digest of a step changes whenever anything that it committed does."""
    rows = [
        [step, tag("code", m.digest[:_DIGITS]), tag("code", m.record["inputs"][:_DIGITS])]
        for step, m in run.steps.items()
    ]
    details = [
        tag(
            "details",
            tag("summary", f"{step}: {stage}"),
            tag("pre", json.dumps(held, indent=1, ensure_ascii=False)),
        )
        for step, m in run.steps.items()
        for stage, held in m.record.get("settings", {}).items()
    ]
    return joined([table("Digests", ["step", "what it committed", "what it was made from"], rows), *details])


def spent_s(out: Path) -> str:
    """Wall seconds of the last run, for people; empty when none was logged."""
    logs = runs(out)
    return f"{number(logs[-1]['finished'] - logs[-1]['started'], 3)} s" if logs else ""

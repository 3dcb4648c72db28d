"""The tables of README.md that come from code: steps, settings, columns, rules, reasons, targets."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from filters.rules import Rule, load_rules
from manifests.columns import COLUMNS
from pipeline.recipe import SHIPPED_RULES, Resources
from pipeline.steps import SHAPES, STEPS
from stages.media import REASONS

README = Path(__file__).parents[1] / "README.md"


def steps() -> str:
    """Each step, its stages, and what they write."""
    rows = [["step", "what it does", "stages (each reads → writes in its docstring)"]]
    for step, kinds in SHAPES.items():
        names = (
            ", ".join(f"`{kind.__name__}`" for kind in kinds)
            or "rules of [`filters/rules.toml`](filters/rules.toml)"
        )
        rows.append([f"`{step}`", _first_line(STEPS[step]), names])
    return _markdown(rows)


def settings() -> str:
    """Every setting of a recipe with its default."""
    rows = [["setting", "default", "of"]]
    found: dict[tuple[str, str], list[str]] = {}
    for step, kinds in SHAPES.items():
        for kind in (kind for kind in kinds if not kind.home):
            where = f"{step}.{kind.section}.NAME" if kind.section else step
            lenders = {name: lender for lender, name in kind.borrows}
            for f in dataclasses.fields(kind):
                if f.name != "called":
                    setting = (f"`{lenders.get(f.name, where)}.{f.name}`", f"`{_shown(f.default)}`")
                    found.setdefault(setting, []).append(f"`{kind.__name__}`")
    rows += [[*setting, ", ".join(kinds)] for setting, kinds in found.items()]
    for name, field in Resources.model_fields.items():
        rows.append([f"`run.{name}`", f"`{_shown(field.default)}`", str(field.description)])
    return _markdown(rows)


def columns() -> str:
    """Every column with type, unit and meaning."""
    rows = [["column", "type", "unit", "meaning"]]
    rows += [
        [f"`{c.name}`", str(c.type).replace("|", "\\|")[:40], c.unit, c.meaning] for c in COLUMNS.values()
    ]
    return _markdown(rows)


def rules() -> str:
    """Every shipped rule with its condition and origin."""
    rows = [["rule", "after", "keeps a row when", "unscored", "why"]]
    rows += [_rule(rule) for rule in load_rules(SHIPPED_RULES)]
    return _markdown(rows)


def reasons() -> str:
    """Every reason for which content fails."""
    return _markdown(
        [["reason", "meaning"], *([f"`{reason}`", meaning] for reason, meaning in REASONS.items())]
    )


TABLES: dict[str, Callable[[], str]] = {
    "steps": steps,
    "rules": rules,
    "settings": settings,
    "columns": columns,
    "reasons": reasons,
}


def filled(text: str) -> str:
    """The text with every table between its markers made anew."""
    for name, make in TABLES.items():
        begin, separator, rest = text.partition(f"<!-- table: {name} -->\n")
        text = begin + separator + make() + "\n" + rest[rest.index("<!-- end -->") :]
    return text


def _rule(rule: Rule) -> list[str]:
    kinds = f" ({', '.join(rule.kinds)})" if rule.kinds else ""
    off = "" if rule.enabled else ", off"
    return [f"`{rule.name}`{kinds}{off}", rule.after, f"`{rule.spelled()}`", rule.unscored, rule.why]


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().splitlines()[0]


def _shown(value: object) -> str:
    return "required" if value is dataclasses.MISSING else str(value)


def _markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
    sys.exit(0)

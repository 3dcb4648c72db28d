"""Thresholds that go back into a recipe: as a difference that people read first, with a note of why."""

from __future__ import annotations

import difflib
import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Table

from filters.rules import Rule, override
from manifests import files
from manifests.errors import RecipeError
from pipeline.recipe import RECIPES, load
from stages.base import Stage

Changes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Edit:
    """A recipe file before and after; `digest` is of what stood there when people read the difference."""

    path: Path
    before: str
    after: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.before.encode()).hexdigest()[:16]

    @property
    def diff(self) -> str:
        """A unified difference."""
        names = (f"{self.path.name} (now)", f"{self.path.name} (saved)")
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), *names
        )
        return "".join(lines)


def edit(path: Path, base: str, changes: Changes) -> Edit:
    """The recipe file with changed thresholds, nothing else touched; comments survive.

    Where it does not exist it begins as a copy of the recipe `base`. Raises RecipeError when the file is no
    recipe.
    """
    source = path if path.exists() else files.named_toml("recipe", base, RECIPES)[0]
    before = _text(source)
    document = tomlkit.parse(before)
    rules = document.setdefault("filter", tomlkit.table(is_super_table=True))
    for name, change in changes.items():
        if name not in rules:
            rules[name] = tomlkit.table()
        for key, value in change.items():
            _put(rules[name], key, value)
    return Edit(path, before if path.exists() else "", tomlkit.dumps(document))


def _text(path: Path) -> str:
    """A file's text with its line ends as they are."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is no text in UTF-8") from error


def _put(rule: Any, key: str, value: Any) -> None:
    """A table of a threshold keeps the model and the scale of its number, and loses where that came from."""
    given = rule.get(key)
    if isinstance(given, InlineTable | Table) and not isinstance(value, Mapping):
        for key in ("top", "bottom", "origin"):
            given.pop(key, None)
        given["value"] = value
        return
    rule[key] = tomlkit.inline_table() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping):
        rule[key].update(value)


def save(
    edited: Edit,
    changes: Changes,
    note: str,
    shapes: Mapping[str, tuple[type[Stage], ...]],
    told: Mapping[str, Any],
) -> None:
    """Write the recipe, once it is proven to differ in these thresholds only, and a line of history.

    The history (FILE.history.jsonl beside it) says when, why, from what to what, and what is `told`. Raises
    RecipeError without a note, when the file was changed meanwhile, or when something else would differ.
    """
    if not note.strip():
        raise RecipeError("a saved change needs a note: why this threshold?")
    path = edited.path.resolve()
    if (_text(path) if path.exists() else "") != edited.before:
        raise RecipeError(f"{edited.path} was changed meanwhile; look at the difference again")
    with tempfile.TemporaryDirectory() as folder:
        rough = Path(folder) / "edited.toml"
        rough.write_bytes(edited.after.encode())
        _differ(
            load(str(path), shapes).rules if edited.before else None, load(str(rough), shapes).rules, changes
        )
    mode = path.stat().st_mode if edited.before else None
    files.write_bytes(path, edited.after.encode())
    if mode is not None:
        path.chmod(mode)
    line = {"at": time.time(), "note": note.strip(), "changes": changes, **told}
    with path.with_suffix(".history.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")


def _differ(before: tuple[Rule, ...] | None, after: tuple[Rule, ...], changes: Changes) -> None:
    if before is not None and [r.identity() for r in override(before, changes)] != [
        r.identity() for r in after
    ]:
        raise RecipeError("the edited recipe differs in more than these thresholds; edit it by hand")

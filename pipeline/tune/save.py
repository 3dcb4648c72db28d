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
    """A recipe file before and after; `source` is what it is made of: itself, or the recipe that a new file
    begins as. `digest` is of what stood there when people read the difference."""

    path: Path
    source: Path
    before: str
    after: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.before.encode()).hexdigest()[:16]

    @property
    def diff(self) -> str:
        """A unified difference."""
        names = (f"{self.source.name} (now)", f"{self.path.name} (saved)")
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
    return Edit(path, source, before, tomlkit.dumps(document))


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
    path, copied = edited.path.resolve(), edited.source != edited.path
    if path.exists() == copied or _text(edited.source) != edited.before:
        raise RecipeError(f"{edited.path} was changed meanwhile; look at the difference again")
    # Beside the recipe, as it may name files from there.
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".toml") as rough:
        rough.write(edited.after.encode())
        rough.flush()
        _differ(load(str(edited.source), shapes).rules, load(rough.name, shapes).rules, changes)
    mode = None if copied else path.stat().st_mode
    files.write_bytes(path, edited.after.encode())
    if mode is not None:
        path.chmod(mode)
    line = {"at": time.time(), "note": note.strip(), "changes": changes, **told}
    with path.with_suffix(".history.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")


def _differ(before: tuple[Rule, ...], after: tuple[Rule, ...], changes: Changes) -> None:
    wanted = [rule.identity() for rule in override(before, changes)]
    if wanted != [rule.identity() for rule in after]:
        raise RecipeError("the edited recipe differs in more than these thresholds; edit it by hand")

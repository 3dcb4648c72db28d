"""Scores by a function of the user's own, which a recipe names: a table in, a table out."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns
from manifests.errors import RecipeError, nearest
from stages.base import Map, Work

_DIGITS = 16


@dataclass(frozen=True)
class CallScorer(Map):
    """What a function of the user's own says of rows, as columns `own_…` of float64.

    A recipe has one table [score.own.NAME] for each. `function` is "file.py:name", the file beside the recipe
    or in the working directory, or "module:name". It is given a table of `id` and the columns in `reads`, any
    that are written before, and returns a table of `id` and one column for each of `writes`, NAME alone when
    that is left out, without their `own_`. Numbers that are not finite become null; a row that it leaves out
    fails as `no_result`, one that it raises on as `exception`. How many rows it is given at once may not
    matter. `code` is the content of the file when the recipe was read, and part of the fingerprint; what the
    file imports is not. Of "file.py:name" it is `code` that runs. Of "module:name" it is what the worker
    imports by that name, whatever it has become since.
    """

    section: ClassVar[str] = "own"
    derived: ClassVar[tuple[str, ...]] = ("called", "code")

    called: str = ""
    function: str = ""
    reads: tuple[str, ...] = ()  # type: ignore[misc]  # Elsewhere constants of the class.
    writes: tuple[str, ...] = ()  # type: ignore[misc]
    code: str = field(default="", repr=False)

    @classmethod
    def table(cls, called: str, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """The settings, with the columns by their whole names and the file's content.

        Raises RecipeError when there is no such file or module.
        """
        where = f"[score.own.{called}]"
        if not isinstance(given.get("function"), str):
            raise RecipeError(f'{where} needs function = "file.py:name"')
        named = given.get("writes", [called])
        if isinstance(named, list):
            named = [f"{columns.OWN}{name}" for name in named]
        code = _read(where, given["function"].rpartition(":")[0], folder)
        return {**super().table(called, given, folder), "writes": named, "code": code}

    @property
    def name(self) -> str:
        return f"{type(self).__name__}.{self.called}"

    @property
    def active(self) -> bool:
        return bool(self.called)

    def settings(self) -> dict[str, Any]:
        """The settings; the function by its name, wherever its file lies, and of the file the digest."""
        digest = hashlib.sha256(self.code.encode()).hexdigest()[:_DIGITS]
        return {**super().settings(), "function": self._place_and_name[1], "code": digest}

    def check(self) -> None:
        """Raises RecipeError: names that make no columns, nothing to read, no such function, wrong Python."""
        if not all(name.isidentifier() for name in (self.called, *self.writes)):
            raise RecipeError(f"{self._where} names of tables and of writes are of letters, digits and _")
        if not self.reads or not self.writes:
            raise RecipeError(f'{self._where} reads and writes columns: write reads = ["frames"] or others')
        place, function = self._place_and_name
        try:
            known = _names(ast.parse(self.code))
        except SyntaxError as error:
            raise RecipeError(f"{self._where} {place}, line {error.lineno}: {error.msg}") from error
        if function not in known:
            raise RecipeError(
                f"{self._where} {place} has no function {function!r}; {nearest(function, known)}"
            )

    def open(self) -> Work:
        score = self._opened()

        def scored(table: pa.Table) -> pa.Table:
            made = score(table)
            if not isinstance(made, pa.Table):
                raise RecipeError(f"{self._where} returned {type(made).__name__}, expected a pyarrow.Table")
            own = {name.removeprefix(columns.OWN): name for name in self.writes}
            return pa.table(
                {
                    own.get(name, name): _finite(made[name]) if name in own else made[name]
                    for name in made.column_names
                }
            )

        return scored

    @property
    def _where(self) -> str:
        return f"[score.own.{self.called}]"

    @property
    def _place_and_name(self) -> tuple[str, str]:
        place, _, function = self.function.rpartition(":")
        return place, function

    def _opened(self) -> Callable[[pa.Table], Any]:
        place, function = self._place_and_name
        module = _executed(place, self.code) if place.endswith(".py") else importlib.import_module(place)
        found: Any = getattr(module, function, None)
        if not callable(found):
            raise RecipeError(f"{self._where} {function} in {place} is no function")
        return found  # type: ignore[no-any-return]  # Whatever a user wrote.


def _read(where: str, place: str, folder: Path) -> str:
    """The content of a file, beside the recipe or in the working directory, or of a module."""
    if place.endswith(".py"):
        places = [beside / Path(place).expanduser() for beside in (folder, Path.cwd())]
    else:
        places = [_module_file(place)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise RecipeError(f"{where} there is no {place!r}; name a file.py beside the recipe, or a module")
    try:
        return found.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{where} {found} is no text in UTF-8") from error


def _module_file(name: str) -> Path:
    """Where a module lies; nothing is imported, as `importlib.util.find_spec` would the packages above it."""
    top, *below = name.split(".")
    try:
        found = importlib.util.find_spec(top) if top else None
    except ValueError:
        found = None
    for part in below:
        places = found.submodule_search_locations if found else None
        found = PathFinder.find_spec(part, places) if part and places else None
    return Path(found.origin) if found and found.origin else Path()


def _names(tree: ast.Module) -> set[str]:
    """What a file defines, imports or assigns by name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _executed(place: str, code: str) -> ModuleType:
    """A file's content as a module of its own."""
    module = ModuleType(f"{Path(place).stem}_{hashlib.sha256(code.encode()).hexdigest()[:_DIGITS]}")
    # Where dataclasses of that file look for it.
    sys.modules[module.__name__] = module
    exec(compile(code, place, "exec"), module.__dict__)
    return module


def _finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = values.cast(pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))

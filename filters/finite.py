"""Where a rule's SQL compares what it computes, so that NaN and infinity there are unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from filters.expressions import Expression, only, parse, respelled, walk, written
from manifests.errors import RecipeError

# What is a number is known when columns have types: DuckDB folds typeof(), and nothing is left around a text.
_GUARD = """
    case when typeof(x) in ('DOUBLE', 'FLOAT') and not isfinite(try_cast(x as double)) then null else x end
"""
# Each copies what it guards three times, and with it what is guarded within.
NESTED = 4
_ENDS = ("left", "right", "input", "lower", "upper")
_LISTS = ("COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL")


@lru_cache(maxsize=1024)
def guarded(text: str) -> Expression:
    """The expression with NaN and infinity null wherever it compares what it computes.

    Arithmetic beyond the range of a double makes them, and so do texts that are cast; DuckDB sorts both above
    every number. Columns are not guarded here, but where rows are read. Raises RecipeError for comparisons of
    comparisons of … beyond `NESTED`.
    """
    plain, tree = parse(text), {"whole": only(text)}
    places = list(_computed(tree))
    if not places:
        return plain
    for holder, key in places:
        holder[key] = _with(only(_GUARD), holder[key])
    return replace(plain, pieces=respelled(written(tree["whole"])))


def _computed(tree: Any) -> Iterator[tuple[Any, Any]]:
    """The places in a tree of what is compared, except columns and what no column is in."""
    waiting = [(tree, 0, False)]
    while waiting:
        value, depth, element = waiting.pop()
        if isinstance(value, dict):
            element = element or value.get("class") == "LAMBDA"
            found = [(at, key) for at, key in _compared(value) if not _given(at[key], element=element)]
            yield from found
            depth += bool(found)
            value = list(value.values())
        if depth > NESTED:
            raise RecipeError("it compares what comparisons give, too deeply; split it into several rules")
        waiting += [(one, depth, element) for one in value if isinstance(one, dict | list)]


def _compared(node: dict[str, Any]) -> list[tuple[Any, Any]]:
    if node.get("class") in ("COMPARISON", "BETWEEN"):
        return [(node, end) for end in _ENDS if end in node]
    if node.get("type") in _LISTS:
        return [(node["children"], at) for at in range(len(node["children"]))]
    # The sign of NaN is 0, a number like others.
    if node.get("function_name") == "sign":
        return [(argument, "expression") for argument in node["arguments"]]
    return []


def _given(node: dict[str, Any], *, element: bool) -> bool:
    """Whether this is a column, or reads none; within a lambda a name may be an element that was computed."""
    if node["class"] == "COLUMN_REF":
        return not element and len(node["column_names"]) == 1
    return not any(one["class"] == "COLUMN_REF" for one in walk(node))


def _with(tree: Any, x: Any) -> Any:
    """The guard's tree around another."""
    if isinstance(tree, list):
        return [_with(one, x) for one in tree]
    if not isinstance(tree, dict):
        return tree
    return x if tree.get("class") == "COLUMN_REF" else {key: _with(one, x) for key, one in tree.items()}

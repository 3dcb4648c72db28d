"""What a rule's SQL may say: one calculation over the columns of one row, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from manifests.errors import RecipeError, nearest
from manifests.sql import query

MAX_BYTES = 4000

_NODES = """
    BETWEEN CASE CAST COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA OPERATOR PARAMETER TYPE
"""
_REFUSED = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window",
    "STAR": "a star",
    "COLLATE": "a collation",
    "DEFAULT": "a default",
}
_OPERATORS = "+ - * / // % || & | ~ << >> @> <@ && ^@ ~~ !~~ ~~* !~~* ~~~ row"
# Allowed by name, because a list of the forbidden ages: each version of DuckDB brings new functions that
# read files, ask the clock or draw at random. These depend on their arguments alone and stay about as large.
# Powers are left out: that of a negative number is NaN without an error, and NaN would pass every minimum.
_FUNCTIONS = """
    abs ceil ceiling exp floor greatest if least ln log log10 log2 mod round sign sqrt trunc
    array_contains contains len length list_any_value list_apply list_avg list_contains list_count
    list_distinct list_extract list_filter list_has list_has_all list_has_any list_max list_median list_min
    list_position list_sum list_transform list_unique list_value
    concat ends_with hamming left levenshtein lower ltrim md5 position prefix regexp_extract
    regexp_full_match regexp_matches right rtrim starts_with strlen strpos struct_extract substr substring
    suffix trim upper
"""
NODES = frozenset(_NODES.split())
OPERATORS = frozenset(_OPERATORS.split())
FUNCTIONS = frozenset(_FUNCTIONS.split())


@dataclass(frozen=True)
class Expression:
    """An expression that was found harmless: what it reads, and its text cut at the parameters.

    `pieces` alternates: text, name of a parameter, text, …, text.
    """

    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    pieces: tuple[str, ...]

    def spell(self, parameter: Callable[[str], str]) -> str:
        """The text with each parameter written as `parameter(name)` says."""
        return "".join(parameter(piece) if at % 2 else piece for at, piece in enumerate(self.pieces))


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Take an expression apart; columns and parameters in the order in which they are named.

    Raises RecipeError when it is no SQL, more than one expression, or uses what is not allowed: subqueries,
    aggregates, windows, and every function outside `FUNCTIONS`.
    """
    tree = only(text)
    nodes = list(walk(tree))
    for node in nodes:
        _refuse(node)
    parameters = _parameters(nodes)
    return Expression(
        columns=tuple(dict.fromkeys(_columns(tree))),
        parameters=tuple(dict.fromkeys(node["identifier"] for node in parameters)),
        pieces=_cut(text, parameters),
    )


_BEFORE, _AFTER = "select (", "\n)"


def only(text: str) -> Any:
    """The one expression of the text as DuckDB reads it: its tree. Raises RecipeError."""
    if len(text.encode()) > MAX_BYTES:
        raise RecipeError(f"it is longer than {MAX_BYTES} bytes; split it into several rules")
    try:
        read = _read(f"{_BEFORE}{text}{_AFTER}")
    except RecursionError:
        raise RecipeError("it is nested too deeply; split it into several rules") from None
    if read["error"]:
        raise RecipeError(f"it is not one SQL expression: {read['error_message']}")
    statements = read["statements"]
    if len(statements) != 1 or _surroundings(statements[0]["node"]) != _plain():
        raise RecipeError("it is more than one SQL expression; write one condition over the columns of a row")
    chosen = statements[0]["node"]["select_list"]
    if len(chosen) != 1 or chosen[0].get("function_name") == "row":
        raise RecipeError("it must be one SQL expression; join conditions with AND or OR")
    return chosen[0]


def written(tree: Any) -> str:
    """The SQL of an expression's tree."""
    statement = _read("select (true)")
    statement["statements"][0]["node"]["select_list"] = [tree]
    answer = query("select json_deserialize_sql($tree::json) as text", {}, {"tree": json.dumps(statement)})
    return str(answer["text"][0].as_py()).removeprefix("SELECT ")


def respelled(text: str) -> tuple[str, ...]:
    """The `pieces` of an expression that was written from a tree."""
    return _cut(text, _parameters(walk(_read(f"{_BEFORE}{text}{_AFTER}"))))


def _read(statement: str) -> Any:
    answer = query("select json_serialize_sql($statement::varchar) as tree", {}, {"statement": statement})
    return json.loads(answer["tree"][0].as_py())


@lru_cache(maxsize=1)
def _plain() -> dict[str, Any]:
    """All that surrounds the expression of a plain `select (…)`."""
    return _surroundings(_read("select (true)")["statements"][0]["node"])


def _surroundings(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "select_list"}


def walk(tree: Any) -> Iterator[dict[str, Any]]:
    """Every expression in a tree, in the order of the tree."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class" in value:
                yield value
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)


def _refuse(node: dict[str, Any]) -> None:
    kind = node["class"]
    if kind not in NODES:
        raise RecipeError(
            f"{_REFUSED.get(kind, kind.lower())} is not allowed; a rule sees one row and no more"
        )
    if kind == "LAMBDA" and node["syntax_type"] == "SINGLE_ARROW":
        raise RecipeError("-> is not allowed; write lambda t: … for each element of a list; JSON is not read")
    if kind == "FUNCTION":
        _refuse_function(node)


def _refuse_function(node: dict[str, Any]) -> None:
    name = node["function_name"].lower()
    if node["schema"] or node["catalog"]:
        raise RecipeError(f"{name}() is named with a schema; write the plain name")
    if name not in FUNCTIONS | OPERATORS:
        raise RecipeError(f"{name}() {_flaw(name)}; {nearest(name, FUNCTIONS)}")


def _flaw(function: str) -> str:
    """Why a function is not allowed, as far as DuckDB's own catalogue tells."""
    found = query(
        "select function_type, stability from duckdb_functions() where lower(function_name) = $name limit 1",
        {},
        {"name": function},
    ).to_pylist()
    if not found:
        return "is no function that a rule may use"
    if found[0]["function_type"] in ("aggregate", "window", "table", "table_macro"):
        return f"is of the kind {found[0]['function_type']!r}, and a rule sees one row and no more"
    if found[0]["stability"] not in (None, "CONSISTENT"):
        return "gives another answer in another run or place"
    return "is no function that a rule may use"


def _columns(tree: Any) -> Iterator[str]:
    """The names in a tree that no lambda around them has taken."""
    waiting: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while waiting:
        node, taken = waiting.pop()
        if isinstance(node, dict) and node.get("class") == "LAMBDA":
            names = (name for name in walk(node["lhs"]) if name["class"] == "COLUMN_REF")
            taken |= {name["column_names"][0].lower() for name in names}
            node = node["expr"]
        if isinstance(node, dict) and node.get("class") == "COLUMN_REF":
            yield from (name for name in node["column_names"][:1] if name.lower() not in taken)
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        waiting += [(one, taken) for one in reversed(list(inner))]


def _parameters(nodes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [node for node in nodes if node["class"] == "PARAMETER"]


def _cut(text: str, parameters: list[dict[str, Any]]) -> tuple[str, ...]:
    """Cut the text at its parameters; DuckDB counts places in bytes of the whole statement."""
    whole = text.encode()
    pieces, done = [], 0
    for node in sorted(parameters, key=lambda node: int(node["query_location"])):
        start = node["query_location"] - len(_BEFORE)
        pieces += [whole[done:start].decode(), node["identifier"]]
        done = start + node["query_location_length"]
    return (*pieces, whole[done:].decode())

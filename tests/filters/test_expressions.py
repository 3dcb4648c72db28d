"""What a rule's SQL may say and what is refused before anything runs."""

from __future__ import annotations

import pytest

from filters.expressions import parse
from manifests.errors import RecipeError


def test_reads_columns_and_parameters() -> None:
    """Columns and parameters are listed once, in the order in which they are named."""
    found = parse("blur <= $max and (detail >= $min or blur < $min)")
    assert ("blur", "detail") == found.columns
    assert ("max", "min") == found.parameters


def test_respells_parameters_behind_letters_of_two_bytes() -> None:
    """A parameter is found at its place even where the text before it is no ASCII; `$min` in a text stays."""
    found = parse("corpus = 'café $min' and blur between $min and $minimum")
    assert "corpus = 'café $min' and blur between <min> and <minimum>" == found.spell(
        lambda name: f"<{name}>"
    )


def test_a_lambda_s_own_name_is_no_column() -> None:
    """`list_any(texts, t -> …)` reads the list, not `t`."""
    assert ("source_texts",) == parse("len(list_filter(source_texts, lambda t: len(t) > $n)) > 0").columns


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("len(list_filter(ocr_text, lambda blur: blur <> '')) > 0 and blur < 1", ("ocr_text", "blur")),
        ("len(list_filter(ocr_text, lambda BLUR: blur <> '')) > 0", ("ocr_text",)),
        ("len(list_filter(ocr_text, lambda ocr_text: ocr_text <> '')) > 0", ("ocr_text",)),
        (
            "list_apply(ocr_text, lambda a: len(list_filter([a], lambda b: b = a and blur < 1))) is null",
            ("ocr_text", "blur"),
        ),
        ("list_apply(ocr_text, lambda a, blur: blur > 0) is null and blur < 1", ("ocr_text", "blur")),
    ],
)
def test_a_lambda_takes_names_in_its_own_body_only(text: str, columns: tuple[str, ...]) -> None:
    """A column that shares its name with a lambda's element is still read everywhere else."""
    assert columns == parse(text).columns


@pytest.mark.parametrize(
    "text", ["(best_text -> '$.a') is null", "len(list_filter(ocr_text, t -> t > '')) > 0"]
)
def test_an_arrow_is_refused(text: str) -> None:
    """DuckDB reads it as a lambda or as JSON, by what stands before it; the message says what to write."""
    with pytest.raises(RecipeError, match="-> is not allowed; write lambda t: "):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "blur < 1); drop table rows; select (true",
        "blur < 1; drop table rows",
        "blur < 1) from read_text('secret') where (true",
        "blur < 1) union select (true",
        "blur < 1) limit (1",
        "blur < 1) order by (1",
        "blur < 1, detail > 0",
        "blur < 1 as kept",
        "blur < 1 /* and",
        "blur <",
        "",
        "-- nothing",
    ],
)
def test_more_or_less_than_one_expression_is_refused(text: str) -> None:
    """Text that would close our bracket, start another statement or say nothing never reaches a query."""
    with pytest.raises(RecipeError, match="one SQL expression"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "exists(from read_text('secret'))",
        "blur < (select max(blur) from rows)",
        "blur < any(select 1)",
        "(from 'secret.csv') = 1",
        "row_number() over () < 5",
        "columns(*) > 1",
        "* = 1",
    ],
)
def test_only_the_row_is_seen(text: str) -> None:
    """Subqueries, windows and stars look beyond the row and are refused, which also keeps all files out."""
    with pytest.raises(RecipeError, match="a rule sees one row and no more"):
        parse(text)


@pytest.mark.parametrize("function", ["count", "sum", "max", "arg_max", "list", "quantile"])
def test_aggregates_are_refused(function: str) -> None:
    """An aggregate over all rows would make one row's fate depend on the others."""
    with pytest.raises(RecipeError, match=rf"{function}\(\) is of the kind 'aggregate'"):
        parse(f"{function}(blur, 1) > 1")


@pytest.mark.parametrize(
    "text",
    [
        "random() < 0.5",
        "now() > '2020-01-01'",
        "uuid() = id",
        "today() > '2020-01-01'",
        "current_setting('a') = ''",
        "nextval('s') = 1",
        "getvariable('x') = 1",
        "txid_current() = 1",
        "current_query() = ''",
        "sleep_ms(9) = 1",
    ],
)
def test_what_changes_from_run_to_run_is_refused(text: str) -> None:
    """Equal rows get equal verdicts: no clock, no chance, no setting of the session."""
    with pytest.raises(RecipeError, match="gives another answer in another run or place"):
        parse(text)


@pytest.mark.parametrize(
    "function",
    ["read_text", "read_blob", "read_csv", "read_parquet", "glob", "getenv", "query", "duckdb_settings"],
)
def test_functions_of_files_and_environment_are_refused(function: str) -> None:
    """No function that reads a file or the environment is on the list of what a rule may call."""
    with pytest.raises(RecipeError, match=rf"{function}\(\) is"):
        parse(f"{function}('secret') = 'x'")


def test_unknown_function_offers_the_nearest() -> None:
    """A typing error in a function's name is answered with the name."""
    with pytest.raises(RecipeError, match="did you mean 'starts_with'"):
        parse("start_with(codec, 'h')")


def test_a_schema_cannot_smuggle_a_function() -> None:
    """Only plain names are called, so that the list of names is the whole truth."""
    with pytest.raises(RecipeError, match="plain name"):
        parse("main.abs(blur) > 1")


@pytest.mark.parametrize("text", ["not " * 900 + "true", "true and " * 1000 + "true"])
def test_monstrous_expressions_are_refused(text: str) -> None:
    """Nesting or length beyond reason ends in a message, not in a crash."""
    with pytest.raises(RecipeError, match="split it into several rules"):
        parse(text)

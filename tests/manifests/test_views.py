"""A statement reads what it names, whole words in any case, and nothing more."""

from pathlib import Path

import pyarrow as pa
import pytest

from manifests import manifest, verdicts, views
from manifests.errors import ManifestError, RecipeError
from manifests.views import ask


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished filter whose one row has media, frames and embeddings in side files that are gone."""
    row = {"id": "a", "media_bytes": 7, "kind": "video"}
    sides = {
        f"{side}_{what}": "x"
        for side in ("media", "frames", "embedding", "frame_embeddings")
        for what in ("digest", "part")
    }
    rows = manifest.put(tmp_path / "filter", "rows-all", pa.Table.from_pylist([{**row, **sides}]))
    given = manifest.put(tmp_path / "filter", "verdicts", verdicts.SCHEMA.empty_table())
    record = {"inputs": "x", "rows": {"": rows}, "tables": {"verdicts": given}, "counts": {}}
    manifest.commit(tmp_path, "filter", record, [])
    return tmp_path


@pytest.mark.parametrize(
    "statement",
    [
        "select sum(media_bytes) as n from filter",
        "select sum(media_bytes) as n from Filter where \"KIND\" = 'video'",
        "select sum(media_bytes) as n from FILTER where kind <> 'media' -- frames",
    ],
)
def test_what_is_not_named_is_not_read(out: Path, statement: str) -> None:
    """media_bytes is not media; a text and a comment name no column; views are found in any case."""
    assert [7] == ask(out, statement)["n"].to_pylist()


@pytest.mark.parametrize(
    ("statement", "sides"),
    [
        ("select Embedding from filter", ("embedding",)),
        ('select len("frame_embeddings") from filter', ("frame_embeddings",)),
        ("select f.media, frames from filter f", ("frames", "media")),
    ],
)
def test_what_is_named_is_read(
    out: Path, monkeypatch: pytest.MonkeyPatch, statement: str, sides: tuple[str, ...]
) -> None:
    """A side column comes when its own name stands there, in any case."""
    seen: list[str] = []

    def read(_: Path, rows: pa.Table, side: str) -> pa.Array:
        seen.append(side)
        return pa.nulls(len(rows))

    monkeypatch.setattr(views, "read_side", read)
    try:
        ask(out, statement)
    finally:
        assert sides == tuple(seen)


def test_a_missing_file_says_how_to_mend_it(out: Path) -> None:
    """Rows that are gone end in a sentence with the command."""
    next((out / "filter").glob("rows-*.parquet")).unlink()
    with pytest.raises(ManifestError, match=r"rows-all-.*--mend"):
        ask(out, "select id from filter")


def test_views_are_listed_without_being_read(out: Path) -> None:
    """As one would ask any database; damaged rows are no matter."""
    next((out / "filter").glob("rows-*.parquet")).unlink()
    assert ["filter", "verdicts"] == ask(out, "SHOW tables;")["view"].to_pylist()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("select * from filters", r"no view 'filters'; did you mean 'filter'\?\nviews: filter, verdicts"),
        ("select nothing from filter", "nothing"),
        ("select no_such(id) from filter", "no_such"),
    ],
)
def test_what_is_not_there_is_named(out: Path, statement: str, told: str) -> None:
    """A wrong view with the nearest one, a wrong column or function in the database's words."""
    with pytest.raises(RecipeError, match=told):
        ask(out, statement)


def test_sums_of_integers_are_integers(out: Path) -> None:
    """Not the database's 128 bits, which JSON readers would get as text; what is larger is a float."""
    found = ask(out, "select sum(media_bytes) as n, sum(9e18::bigint::hugeint * 4) as many from filter")
    assert [{"n": 7, "many": 3.6e19}] == found.to_pylist()

"""Which row of a group is kept, and what the others are told."""

from __future__ import annotations

from contextlib import nullcontext

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import verdicts
from manifests.errors import RecipeError
from stages.dedup.keep import MarkDuplicates, agree, groups
from stages.dedup.neighbours import PAIRS, FindNeighbours
from tests.stages.dedup.conftest import row, table

Edge = tuple[str, str, str, float]


def pairs(*edges: Edge, colour: float = 0.0) -> pa.Table:
    """Pairs at so many bits; at the level semantic a two-hundredth of a cosine below 1 for each bit."""
    cosines = [1 - distance / 200 if level == "semantic" else None for _, _, level, distance in edges]
    lines = [(*edge, colour, 0.0, cosine) for edge, cosine in zip(edges, cosines, strict=True)]
    named = [dict(zip(PAIRS.names, line, strict=True)) for line in lines]
    return pa.Table.from_pylist(named, schema=PAIRS)


def meant(
    a: str, b: str, cosine: float | None, *, bits: float = 4.0, levels: float = 1.0, level: str = "semantic"
) -> pa.Table:
    """A pair with all that the level semantic looks at."""
    values = (a, b, level, bits, 20.0, levels, cosine)
    return pa.Table.from_pylist([dict(zip(PAIRS.names, values, strict=True))], schema=PAIRS)


def marked(rows: pa.Table, edges: pa.Table, **settings_: object) -> dict[str, tuple[str, str]]:
    """Reason and kept row of each duplicate."""
    made = MarkDuplicates(**settings_).run(rows, edges)  # type: ignore[arg-type] # as a recipe gives them
    return {v["id"]: (v["reason"], v["of"]) for v in made.to_pylist()}


def test_no_chain_deletes_a_row() -> None:
    """A~B and B~C but not A~C: B is a duplicate of A, and C is kept."""
    edges = pairs(("a", "b", "perceptual", 4.0), ("b", "c", "perceptual", 4.0))
    assert {"b": ("perceptual", "a")} == marked(table(row("a", 1), row("b", 1), row("c", 1)), edges)


@pytest.mark.parametrize(
    ("better", "order", "kept"),
    [
        ({"width_px": 640}, ("pixels", "duration", "bytes", "id"), "b"),
        ({"duration_s": 9.0, "size_bytes": 1}, ("pixels", "duration", "bytes", "id"), "b"),
        ({"size_bytes": 2000}, ("pixels", "duration", "bytes", "id"), "b"),
        ({}, ("pixels",), "a"),
        ({"width_px": 640, "size_bytes": 1}, ("bytes", "pixels"), "a"),
        ({"width_px": None}, ("pixels",), "a"),
    ],
)
def test_order_of_keeping(better: dict[str, object], order: tuple[str, ...], kept: str) -> None:
    """Larger first in the stated order, null last, and the smaller id in the end."""
    rows = table(row("a", 1, 1), {**row("b", 1, 1), **better})
    lost = {"a": "b", "b": "a"}[kept]
    assert {lost: ("perceptual", kept)} == marked(rows, pairs(("a", "b", "perceptual", 2.0)), order=order)


def test_rejected_row_still_joins_its_copies() -> None:
    """Copies hang on a row that is no longer live; one of them is kept."""
    edges = pairs(("a", "b", "content", 0.0), ("a", "c", "content", 0.0))
    assert {"c": ("content", "b")} == marked(table(row("b", 1), row("c", 1)), edges)


def test_copies_share_their_neighbours() -> None:
    """The neighbour of a content is one of all its rows."""
    edges = pairs(("a", "b", "content", 0.0), ("a", "d", "perceptual", 2.0))
    rows = table(row("b", 1), row("d", 1, width_px=640))
    assert {"b": ("perceptual", "d")} == marked(rows, edges)


def test_nearest_kept_row_is_named() -> None:
    """Of two kept neighbours the nearer one, whichever comes first in order."""
    edges = pairs(("a", "c", "perceptual", 6.0), ("b", "c", "perceptual", 2.0))
    assert {"c": ("perceptual", "b")} == marked(table(row("a", 1), row("b", 1), row("c", 1)), edges)


def test_part_deletes_the_shorter_only() -> None:
    """The longer clip shows what the shorter does not, though the shorter has more pixels."""
    edges = pairs(("a", "b", "part", 0.0))
    small, large = row("a", 1, 1, duration_s=4.0), row("b", 1, 1)
    assert {"a": ("part", "b")} == marked(table(small, large), edges)
    assert {} == marked(table({**small, "width_px": 640}, large), edges)


@pytest.mark.parametrize(
    ("level", "changes", "count"),
    [
        ("perceptual", {}, 1),
        ("perceptual", {"radius_bits": 3.9}, 0),
        ("perceptual", {"colour_levels": 4.9}, 0),
        ("perceptual", {"levels": ("content",)}, 0),
        ("part", {}, 1),
        ("part", {"part_radius_bits": 3.9}, 0),
        ("part", {"levels": ("content", "perceptual")}, 0),
    ],
)
def test_keeping_may_be_stricter_than_the_graph(level: str, changes: dict[str, object], count: int) -> None:
    """A pair at 4 bits and 5 colour levels counts within the settings only."""
    edges = pairs(("a", "b", level, 4.0), colour=5.0)
    assert count == len(marked(table(row("a", 1, 1), row("b", 1, 1)), edges, **changes))


@pytest.mark.parametrize(
    ("pair", "changes", "count"),
    [
        ({"cosine": 0.96}, {}, 1),
        ({"cosine": 0.959999}, {}, 0),
        ({"cosine": 0.959999}, {"cosine": 0.95}, 1),
        ({"cosine": None}, {}, 0),
        ({"cosine": 0.995, "levels": 3.1}, {}, 0),
        ({"cosine": 0.995, "levels": 3.1}, {"semantic_colour_levels": 4.0}, 1),
        ({"cosine": 0.995, "bits": 16.5}, {}, 0),
        ({"cosine": 0.995, "bits": 16.5}, {"semantic_radius_bits": 64.0}, 1),
        ({"cosine": 0.995}, {"levels": ("content", "perceptual", "part")}, 0),
    ],
)
def test_meaning_alone_is_no_duplicate(
    pair: dict[str, float], changes: dict[str, object], count: int
) -> None:
    """Cosine, structure and colours must all be near: another shot of the same words is kept."""
    rows = table(row("a", 1), row("b", 1))
    assert count == len(marked(rows, meant("a", "b", **pair), **changes))


def test_pair_too_far_for_its_level_may_mean_the_same() -> None:
    """A pair stored as perceptual, beyond the colour limit of that level, counts by its cosine."""
    pair = meant("a", "b", 0.995, level="perceptual")
    assert {"b": ("semantic", "a")} == marked(table(row("a", 1), row("b", 1)), pair)
    assert {"b": ("perceptual", "a")} == marked(table(row("a", 1), row("b", 1)), pair, colour_levels=20.0)


def test_semantic_deletes_the_shorter_or_one_as_long() -> None:
    """Of 8 s and 5 s the shorter goes, whatever its pixels; of 8 s and 7.5 s the one with fewer pixels."""
    pair = meant("a", "b", 0.995)
    for duration_s, lost in ((5.0, set()), (7.5, {"b"})):
        rows = table(row("a", 1, 1, duration_s=duration_s, width_px=640), row("b", 1, 1))
        assert lost == marked(rows, pair).keys()
    rows = table(row("a", 1, 1, duration_s=5.0), row("b", 1, 1))
    assert {"a": ("semantic", "b")} == marked(rows, pair, order=("duration",))


def test_look_goes_before_meaning() -> None:
    """Of two kept neighbours the one that looks alike is named, though the other's cosine is 1."""
    rows = table(row("a", 1), row("b", 1), row("c", 1))
    edges = pa.concat_tables([meant("a", "c", 1.0), pairs(("b", "c", "perceptual", 9.0))])
    assert {"c": ("perceptual", "b")} == marked(rows, edges)
    nearer = pa.concat_tables([meant("a", "c", 0.991), meant("b", "c", 0.999)])
    assert {"c": ("semantic", "b")} == marked(rows, nearer)


def test_cosine_is_told_and_published() -> None:
    """The verdict and the group have the cosine; a group's distance is then unknown."""
    made = MarkDuplicates().run(table(row("a", 1), row("b", 1)), meant("a", "b", 0.995125))
    assert ["cosine 0.995125 of at least 0.96"] == made["detail"].to_pylist()
    expected = [("a", "a", "kept", 0.0, None), ("a", "b", "semantic", None, 0.995125)]
    assert expected == [tuple(line.values()) for line in groups(made).to_pylist()]


@pytest.mark.parametrize(
    ("find", "mark", "message"),
    [
        ({"graph_cosine": 0.96}, {}, None),
        ({"graph_cosine": 0.98}, {}, "cosine = 0.96 is wider than dedup.graph_cosine = 0.98; lower"),
        ({}, {"cosine": 0.9}, "cosine = 0.9 is wider than dedup.graph_cosine = 0.95; lower"),
        ({}, {"radius_bits": 13.0}, "radius_bits = 13 is wider than dedup.graph_radius_bits = 12; raise"),
        ({}, {"semantic_radius_bits": 64.0, "semantic_colour_levels": 255.0}, None),
    ],
)
def test_keeping_asks_for_no_more_than_is_stored(
    find: dict[str, float], mark: dict[str, float], message: str | None
) -> None:
    """What the graph lacks is refused with the setting to change; pairs of one meaning are stored anyhow."""
    expected = pytest.raises(RecipeError, match=message) if message else nullcontext()
    with expected:
        agree(FindNeighbours(**find), MarkDuplicates(**mark))  # type: ignore[arg-type] # floats all


def test_verdict_says_why() -> None:
    """Step, fate, level, kept row and distance, in the schema of verdicts."""
    made = MarkDuplicates().run(table(row("a", 1), row("b", 1)), pairs(("a", "b", "perceptual", 2.5)))
    assert verdicts.SCHEMA == made.schema
    expected = ("dedup", "duplicate", "perceptual", "a", "distance 2.5 of at most 10 bits", None)
    assert expected == tuple(made.to_pylist()[0][name] for name in verdicts.SCHEMA.names[1:])
    assert 1 == len(verdicts.first(made))


def test_groups_are_published() -> None:
    """The kept row and its duplicates, with their distances from it."""
    edges = pairs(("a", "b", "perceptual", 2.5), ("a", "c", "content", 0.0))
    made = groups(MarkDuplicates().run(table(row("a", 1), row("b", 1), row("c", 1), row("d", 1)), edges))
    expected = [("a", "kept", 0.0, None), ("b", "perceptual", 2.5, None), ("c", "content", 0.0, None)]
    assert [("a", *line) for line in expected] == [tuple(line.values()) for line in made.to_pylist()]


def test_nothing_is_nothing() -> None:
    """No rows, or no pairs, are no verdicts and no groups."""
    assert {} == marked(table(), pairs(("a", "b", "content", 0.0)))
    made = MarkDuplicates().run(table(row("a", 1)), pairs())
    assert (0, 0, verdicts.SCHEMA) == (len(made), len(groups(made)), made.schema)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": ("pixel",)}, "did you mean 'pixels'"),
        ({"levels": ("content", "part", "perceptive")}, "did you mean 'perceptual'"),
        ({"levels": ("part",)}, "add content"),
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, tuple[str, ...]], message: str) -> None:
    """The message offers what was meant."""
    with pytest.raises(RecipeError, match=message):
        MarkDuplicates(**changes)  # type: ignore[arg-type] # wrong on purpose


NAMES = "abcdefgh"
LIMITS = {"perceptual": 10, "part": 8, "semantic": 6}
LIVE = st.sets(st.sampled_from(NAMES))
EDGES = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.sampled_from(["perceptual", "part", "semantic"]),
        st.sampled_from([2.0, 4.0, 9.0, 12.0]),
    ),
    unique_by=lambda edge: frozenset(edge[:2]),
)


@given(LIVE, EDGES, st.permutations(NAMES))
@settings(max_examples=150, deadline=None)
def test_laws_of_keeping(live: set[str], edges: list[Edge], order: list[str]) -> None:
    """A live row is kept or a duplicate of a kept direct neighbour; no two kept are near; order is free."""
    edges = [(min(e[:2]), max(e[:2]), *e[2:]) for e in edges if e[0] != e[1]]
    made = marked(table(*(row(name, 1, 1) for name in NAMES if name in live)), pairs(*edges))
    kept = live - made.keys()
    near = {frozenset(edge[:2]) for edge in edges if edge[3] <= LIMITS[edge[2]]}
    assert made.keys() <= live
    assert all(of in kept and frozenset((name, of)) in near for name, (_, of) in made.items())
    assert not [edge for edge in near if edge <= kept]
    assert made == marked(
        table(*(row(name, 1, 1) for name in order if name in live)), pairs(*reversed(edges))
    )

"""Which rows are neighbours, at which level, at what distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import RecipeError
from stages.dedup.keep import MarkDuplicates
from stages.dedup.neighbours import FindNeighbours
from tests.stages.dedup.conftest import ALTERNATING, flipped, row, table

Rows = list[dict[str, object]]
FAR = 0x0F0F0F0F0F0F0F0F


def found(*rows: dict[str, object], **settings_: float) -> list[tuple[str, str, str, float]]:
    pairs = FindNeighbours(**settings_).run(table(*rows))  # type: ignore[arg-type] # whole numbers are floats too
    return [(p["a"], p["b"], p["level"], p["distance"]) for p in pairs.to_pylist()]


def clip(frames: int, seed: int, start: int = 0) -> list[int]:
    """Hashes of a scene that moves: neighbouring frames share no more than chance."""
    stream = np.random.default_rng(seed).integers(0, 1 << 64, 64, np.uint64)
    return [int(value) for value in stream[start : start + frames]]


def test_within_the_radius() -> None:
    """10 bits are near, 12 are not; the smaller id stands first."""
    rows = [row("b", ALTERNATING), row("a", flipped(ALTERNATING, 10)), row("c", flipped(ALTERNATING, 12, 40))]
    assert [("a", "b", "perceptual", 10.0)] == found(*rows, graph_radius_bits=10)


def test_equal_contents_hang_on_their_first() -> None:
    """Three copies are two pairs; the neighbour of all is the first one's only."""
    copies = [row(name, ALTERNATING, content_hash="same") for name in "cab"]
    near = row("d", flipped(ALTERNATING, 2))
    expected = [("a", "b", "content", 0.0), ("a", "c", "content", 0.0), ("a", "d", "perceptual", 2.0)]
    assert expected == found(*copies, near)


def test_content_needs_no_frames() -> None:
    """Flat copies, and copies without hashes, are neighbours by content only."""
    flat = [row(name, None, content_hash="flat") for name in "ab"]
    bare = [row(name, phashes=None, colours=None, content_hash="bare") for name in "cd"]
    assert [("a", "b", "content", 0.0), ("c", "d", "content", 0.0)] == found(*flat, *bare)


def test_unknown_content_equals_nothing() -> None:
    """Null hashes are not equal."""
    assert [] == found(row("a", None, content_hash=None), row("b", None, content_hash=None))


def test_flat_pictures_are_no_neighbours() -> None:
    """Black is not like black."""
    assert [] == found(row("a", None), row("b", None), row("c", *[None] * 8), row("d", *[None] * 8))


def test_other_colours_keep_apart() -> None:
    """A red and a blue picture of one structure are distinct."""
    assert [] == found(row("a", ALTERNATING, colour=0xDC2828), row("b", ALTERNATING, colour=0x325FEB))


def test_image_and_video_keep_apart() -> None:
    """A still of one frame is no duplicate of the video that has it."""
    assert [] == found(row("a", 1), row("b", 1, kind="video", duration_s=8.0))


def test_durations_must_agree() -> None:
    """Equal frames over 8 and 7.5 s are the same clip, over 8 and 4 s are another speed."""
    hashes = [ALTERNATING, FAR]
    rows = [row("a", *hashes), row("b", *hashes, duration_s=7.5), row("c", *hashes, duration_s=4.0)]
    assert [("a", "b", "perceptual", 0.0)] == found(*rows)


def test_mean_decides_not_the_nearest_frame() -> None:
    """One equal frame of two does not make up for one that is 32 bits away."""
    assert [] == found(row("a", ALTERNATING, FAR), row("b", ALTERNATING, flipped(FAR, 32)))


def test_trim_is_a_part() -> None:
    """Frames 2 to 7 of a moving clip are a part of it, in order."""
    longer, shorter = row("a", *clip(8, 1)), row("b", *clip(6, 1, 1), duration_s=6.0)
    assert [("a", "b", "part", 0.0)] == found(longer, shorter)


def test_three_quarters_make_a_part() -> None:
    """Of 8 frames 6 are enough, 5 are not."""
    longer = row("a", *clip(8, 1), duration_s=9.0)
    for foreign, expected in ((2, 1), (3, 0)):
        shorter = row("b", *clip(foreign, 2), *clip(8 - foreign, 1))
        assert expected == len(found(longer, shorter))


def test_still_scene_is_no_part() -> None:
    """Any moment of a clip that does not move is like any other of the same camera."""
    assert [] == found(row("a", *[ALTERNATING] * 8), row("b", *[ALTERNATING] * 8, duration_s=4.0))


def test_bound_keeps_the_preferred() -> None:
    """Of four alike with room for one, each names the one with most pixels."""
    rows = [row(name, ALTERNATING) for name in "abcd"]
    rows[2]["width_px"] = 640
    assert [("a", "c"), ("b", "c"), ("c", "d")] == [pair[:2] for pair in found(*rows, max_neighbours=1)]


def told(*rows: dict[str, object], **settings_: float) -> list[tuple[object, ...]]:
    """Pairs with level, distances and cosine."""
    pairs = FindNeighbours(**settings_).run(table(*rows))  # type: ignore[arg-type] # whole numbers are floats too
    return [tuple(pair.values()) for pair in pairs.to_pylist()]


def test_same_meaning_is_semantic_however_it_looks() -> None:
    """Two scenes alike in nothing but their embeddings, with how far apart they look; the third is far."""
    rows = [
        row("b", ALTERNATING, embedding=[0.6, 0.8]),
        row("a", FAR, colour=0x888280, embedding=[0.8, 0.6]),
        row("c", clip(1, 9)[0], embedding=[1.0, 0.0]),
    ]
    # 0.48 + 0.48; half the bits; 8 levels in red, 2 in green, none in blue.
    assert [("a", "b", "semantic", 32.0, 8.0, 10 / 3, 0.96)] == told(*rows)
    assert [] == told(*rows, graph_cosine=0.97)


def test_trim_of_a_still_scene_is_semantic() -> None:
    """What no order of frames can tell from another moment of the same camera, the embedding may."""
    rows = [row("a", *[ALTERNATING] * 8), row("b", *[ALTERNATING] * 8, duration_s=4.0)]
    meant = [{**each, "embedding": [0.6, 0.8]} for each in rows]
    assert [("a", "b", "semantic", 0.0, 0.0, 0.0, 1.0)] == told(*meant)


def test_stronger_levels_come_first_and_tell_the_cosine() -> None:
    """Copies and near copies keep their level, and no pair is there twice."""
    same = [row(name, ALTERNATING, content_hash="same", embedding=[0.6, 0.8]) for name in "ab"]
    near = row("c", flipped(ALTERNATING, 2), embedding=[0.8, 0.6])
    unknown = row("d", flipped(ALTERNATING, 4))
    assert [
        ("a", "b", "content", 0.0, 0.0, 0.0, 1.0),
        ("a", "c", "perceptual", 2.0, 0.0, 0.0, 0.96),
        ("a", "d", "perceptual", 4.0, 0.0, 0.0, None),
        ("c", "d", "perceptual", 2.0, 0.0, 0.0, None),
    ] == told(*same, near, unknown)


def test_meaning_needs_a_picture_of_one_kind() -> None:
    """An image and a video, what is mostly flat, and what has no frames are no neighbours by meaning."""
    meant = {"embedding": [0.6, 0.8]}
    image = row("a", ALTERNATING, **meant)
    video = row("b", FAR, kind="video", duration_s=8.0, **meant)
    flat = [row(name, None, None, FAR, **meant) for name in "cd"]
    bare = [row(name, phashes=None, colours=None, **meant) for name in "ef"]
    assert [] == told(image, video, *flat, *bare)


def test_no_rows_no_pairs() -> None:
    """An empty table is no error."""
    assert [] == found()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("graph_radius_bits", 17),
        ("graph_radius_bits", -1),
        ("part_share", 1.5),
        ("duration_share", -0.1),
        ("graph_cosine", 1.1),
        ("max_neighbours", 0),
        ("flat_rows", 0),
    ],
)
def test_senseless_settings_are_refused(name: str, value: float) -> None:
    """The message names the setting and what it may be."""
    with pytest.raises(RecipeError, match=f"{name} is .*expected"):
        FindNeighbours(**{name: value})  # type: ignore[arg-type] # wrong on purpose


def test_settings_do_not_collide() -> None:
    """Both stages of the step take theirs from one section of the recipe."""
    assert set() == set(FindNeighbours().settings()) & set(MarkDuplicates().settings())


HASH = st.sampled_from([ALTERNATING, *(flipped(ALTERNATING, n, n) for n in (2, 4, 8, 16)), FAR, None])
SHAPES = st.lists(st.tuples(st.lists(HASH, min_size=1, max_size=4), st.sampled_from([4.0, 8.0])), max_size=8)


@given(SHAPES, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_graph_is_exact_and_free_of_order(
    shapes: list[tuple[list[int | None], float]], random: object
) -> None:
    """Every pair within the limits is found and none else, as by comparing all; the order of rows is free."""
    rows = [row(f"{n}", *hashes, kind="video", duration_s=s) for n, (hashes, s) in enumerate(shapes)]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis gives a random.Random
    expected = [
        (str(a["id"]), str(b["id"]))
        for n, a in enumerate(rows)
        for b in rows[n + 1 :]
        if a["duration_s"] == b["duration_s"] and mean_bits(a, b) <= 12
    ]
    assert expected == [(a, b) for a, b, level, _ in found(*shuffled) if level == "perceptual"]
    assert found(*rows) == found(*shuffled)


DIRECTION = st.sampled_from([[1.0, 0.0], [0.8, 0.6], [0.96, 0.28], [0.6, 0.8], None])
MEANT = st.lists(st.tuples(st.lists(HASH, min_size=1, max_size=3), DIRECTION, st.integers(1, 3)), max_size=8)


@given(MEANT, st.randoms(use_true_random=False), st.sampled_from([1, 100]))
@settings(max_examples=60, deadline=None)
def test_meaning_is_exact_and_free_of_order(
    shapes: list[tuple[list[int | None], list[float] | None, int]], random: object, flat_rows: int
) -> None:
    """Every pair of one kind whose cosine is reached is there at some level; the order of rows is free."""
    rows = [
        row(f"{n}", *hashes, kind="video", duration_s=float(s), embedding=direction)
        for n, (hashes, direction, s) in enumerate(shapes)
    ]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis gives a random.Random
    usable = [
        (str(each["id"]), direction)
        for each, (hashes, direction, _) in zip(rows, shapes, strict=True)
        if direction and 2 * sum(hash_ is not None for hash_ in hashes) >= len(hashes)
    ]
    expected = {
        (a, b): round(float(np.dot(one, other)), 6)
        for n, (a, one) in enumerate(usable)
        for b, other in usable[n + 1 :]
        if np.dot(one, other) > 0.949999
    }
    pairs = told(*rows)
    assert expected == {pair[:2]: pair[6] for pair in pairs if pair[:2] in expected}
    assert {pair[:2] for pair in pairs if pair[2] == "semantic"} <= expected.keys()
    assert pairs == told(*shuffled)
    assert len(pairs) == len({pair[:2] for pair in pairs})


def mean_bits(a: dict[str, object], b: dict[str, object]) -> float:
    ones: list[int | None] = a["phashes"]  # type: ignore[assignment] # lists of hashes
    others: list[int | None] = b["phashes"]  # type: ignore[assignment] # lists of hashes
    both = [
        (x ^ y).bit_count() for x, y in zip(ones, others, strict=False) if x is not None and y is not None
    ]
    if len(ones) != len(others) or not both or 2 * len(both) < len(ones):
        return 64.0
    return sum(both) / len(both)

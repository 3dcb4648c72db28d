"""Which numbers of a rule can be moved, and along what."""

from __future__ import annotations

from typing import Any

import pytest

from filters.handles import Handle, Threshold, check_thresholds, handle_of, handles, thresholds
from filters.rules import Rule, load_rules
from manifests.errors import RecipeError


def rule(keep: str, **parameters: Any) -> Rule:
    return load_rules({"made": {"keep": keep, "why": "a test", **parameters}})[0]


@pytest.mark.parametrize(
    ("keep", "axis", "side", "strict"),
    [
        ("blur <= $t", "blur", "max", False),
        ("blur < $t", "blur", "max", True),
        ("$t < blur", "blur", "min", True),
        ("$t >= blur", "blur", "max", False),
        ("blur between $t and 1", "blur", "min", False),
        ("blur between 0 and $t", "blur", "max", False),
        ("width_px / height_px >= $t and detail > 0.1", "(width_px / height_px)", "min", False),
    ],
)
def test_a_bound_is_found_whatever_way_it_is_written(keep: str, axis: str, side: str, strict: bool) -> None:
    """A comparison with a parameter alone on one side, also turned round, in BETWEEN, or joined by AND."""
    columns = ("width_px", "height_px") if "width" in axis else ("blur",)
    assert (Handle("made", "t", axis, columns, side, strict),) == handles(rule(keep, t=0.5))  # type: ignore[arg-type]


def test_a_parameter_that_bounds_two_things_moves_along_the_worse_of_them() -> None:
    """`a >= $t and b >= $t` is `least(a, b) >= $t`, unknown where one of them is."""
    (found,) = handles(rule("width_px >= $t and height_px >= $t", t=56))
    expected = (
        "case when (width_px) is null or (height_px) is null then null else least(width_px, height_px) end"
    )
    assert (expected, "min") == (found.axis, found.side)


@pytest.mark.parametrize(
    ("keep", "value"),
    [
        ("blur <= $t or detail > 0.5", 0.5),
        ("not (blur > $t)", 0.5),
        ("blur <= $t * 2", 0.5),
        ("blur <= $t and detail >= $t", 0.5),
        ("blur <= $t and detail <= blur * $t", 0.5),
        ("kind = $t", "video"),
        ("vfr = $t", True),
        ("list_contains($t, kind)", ["video"]),
    ],
)
def test_what_is_no_bound_has_no_handle(keep: str, value: Any) -> None:
    """A parameter within OR, NOT or arithmetic, one that bounds two ways, and what is no number."""
    assert () == handles(rule(keep, t=value))


def test_a_share_has_a_handle() -> None:
    """A keep-fraction moves as a number does."""
    assert ["made.t"] == [handle.name for handle in handles(rule("blur <= $t", t={"bottom": 0.7}))]


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    """RULE stands for RULE.PARAMETER where it has one only; else an error names what is near."""
    rules = (rule("blur <= $most", most=0.5),)
    assert "made.most" == handle_of(rules, "made")[1].name
    with pytest.raises(RecipeError, match=r"did you mean 'made\.most'"):
        handle_of(rules, "made.mots")


@pytest.mark.parametrize(
    ("keep", "settings", "expected"),
    [
        ("blur <= $max", {"max": 0.69}, [Threshold("blur", "<=", 0.69)]),
        (
            "width_px >= $a and height_px >= $a",
            {"a": 56},
            [Threshold("width_px", ">=", 56), Threshold("height_px", ">=", 56)],
        ),
        (
            "duration_s between $a and $b",
            {"a": 0.5, "b": 9},
            [Threshold("duration_s", ">=", 0.5), Threshold("duration_s", "<=", 9)],
        ),
        (
            "(motion > 0.001) or (fps < $max)",
            {"max": 2.0},
            [Threshold("motion", ">", 0.001), Threshold("fps", "<", 2.0)],
        ),
        ("detail >= -1e-3", {}, [Threshold("detail", ">=", -0.001)]),
        ("abs(motion) >= $min", {"min": 0.1}, []),
        ("width_px * height_px >= $min", {"min": 9}, []),
        ("list_contains($known, kind)", {"known": ["video"]}, []),
    ],
)
def test_thresholds(keep: str, settings: dict[str, Any], expected: list[Threshold]) -> None:
    """Comparisons of a column alone with a number, and no others: of a product no column has a threshold."""
    assert expected == thresholds(rule(keep, **settings))


def test_thresholds_of_shares() -> None:
    """Each corpus has its own; without a corpus all are told."""
    shared = rule("clip_score >= $min", min={"top": 0.7})
    found = shared.parameters[0].model_copy(update={"by_corpus": (("a", 0.2), ("b", 0.3))})
    shared = shared.model_copy(update={"parameters": (found,)})
    assert [Threshold("clip_score", ">=", 0.3)] == thresholds(shared, "b")
    assert [0.2, 0.3] == [one.value for one in thresholds(shared)]
    assert [] == thresholds(shared, "c")


@pytest.mark.parametrize(
    ("keep", "value"),
    [
        ("blur <= $t", 69),
        ("blur <= $t", -0.1),
        ("clip_score >= $t", 24.0),
        ("black_share between 0 and $t", 90),
    ],
)
def test_a_number_that_its_column_cannot_reach_is_refused(keep: str, value: float) -> None:
    """A percentage of what is a share, or a logit of what is a cosine, is another scale."""
    with pytest.raises(RecipeError, match=r"it is from -?[01] to 1; write a number on that scale"):
        check_thresholds([rule(keep, t=value)])
    check_thresholds([rule(keep, t=value, enabled=False)])


def test_numbers_within_and_of_no_range_pass() -> None:
    """The ends belong to a range; seconds have none."""
    every = [rule("blur <= $t", t=1), rule("clip_score >= $t", t=-1.0), rule("duration_s <= $t", t=1e6)]
    assert [None] * 3 == [check_thresholds([one]) for one in every]


def test_a_share_of_the_wrong_end_is_refused() -> None:
    """The top seven tenths of what is bounded from above would keep the worst."""
    with pytest.raises(RecipeError, match=r"would keep the other end; write t = \{ bottom = 0\.7 \}"):
        check_thresholds([rule("blur <= $t", t={"top": 0.7})])
    check_thresholds([rule("blur <= $t", t={"bottom": 0.7}), rule("clip_score >= $t", t={"top": 0.7})])


def test_a_range_that_holds_nothing_is_refused() -> None:
    """The least may be the most, not more."""
    with pytest.raises(RecipeError, match=r"no blur is at least 0\.9 and at most 0\.1; exchange the two"):
        check_thresholds([rule("blur between $a and $b", a=0.9, b=0.1)])
    check_thresholds([rule("blur between $a and $b", a=0.5, b=0.5)])


@pytest.mark.parametrize("keep", ["width_px >= $t", "fps between 1 and $t", "not ($t < fps)"])
def test_true_is_no_bound(keep: str) -> None:
    """DuckDB would compare with 1; where it is asked for equality, true is right."""
    with pytest.raises(RecipeError, match=r"t bounds a number .* found True; write a number"):
        check_thresholds([rule(keep, t=True)])
    check_thresholds([rule("vfr = $t", t=True)])

"""Which numbers of a rule can be moved, and along what."""

from __future__ import annotations

from typing import Any

import pytest

from filters.handles import Handle, handle_of, handles
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

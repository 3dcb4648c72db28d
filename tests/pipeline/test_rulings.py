"""Thresholds are read out of conditions, and a row is told by how far it passed or fell short."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.rules import Rule, load_rules
from manifests.manifest import Manifest
from pipeline.rulings import Threshold, effects, ruling, thresholds

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


def rule(keep: str, **settings: Any) -> Rule:
    return load_rules({"r": {"keep": keep, "why": "a test", **settings}})[0]


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
    ("blur", "kind", "outcome", "by"),
    [
        (0.5, "video", "passed", 0.25),
        (1.0, "video", "failed", -0.25),
        (None, "video", "unscored", None),
        (1.0, "image", "other kind", -0.25),
    ],
)
def test_ruling(blur: float | None, kind: str, outcome: str, by: float | None) -> None:
    """The outcome is that of the rules' own judge; `by` is the distance to the threshold, below 0 outside."""
    row = pa.table({"id": ["a"], "kind": [kind], "corpus": ["main"], "blur": pa.array([blur], pa.float64())})
    found = ruling(rule("blur <= $max", max=0.75, kinds=["video"]), row)
    assert (outcome, by) == (found["outcome"], found["thresholds"][0]["by"])


def test_effects_add_up(finished: Path) -> None:
    """What the rejecting rules take here is what the step counts as rejected; none takes more here than
    alone."""
    step = Manifest.open(finished, "filter")
    taken = effects(step)
    assert [rule["name"] for rule in step.record["rules"]] == [line["rule"] for line in taken]
    here = {line["rule"]: line["here"] for line in taken if line["otherwise"] == "reject" and line["here"]}
    assert step.record["counts"]["rejected"] == here
    assert all(line["only"] <= line["here"] <= line["alone"] for line in taken)

"""Thresholds are read out of conditions, and a row is told by how far it passed or fell short."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.judge import judge
from filters.rules import Rule, load_rules
from manifests.manifest import Manifest
from pipeline.rulings import effects, ruling
from tests.pipeline.local import commit

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


def rule(keep: str, **settings: Any) -> Rule:
    return load_rules({"r": {"keep": keep, "why": "a test", **settings}})[0]


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


def test_texts_are_replaced_of_rows_that_are_kept(tmp_path: Path) -> None:
    """Of four rows two fail the rule on texts; one of these the other rule rejects, so one text is
    replaced."""
    rows = pa.table(
        {"id": ["a", "b", "c", "d"], "blur": [0.9, 0.9, 0.1, 0.1], "clip_score": [0.1, 0.9, 0.1, 0.9]}
    )
    rules = load_rules(
        {
            "sharp": {"keep": "blur <= $max", "why": "a test", "max": 0.5},
            "fits": {"keep": "clip_score >= $min", "why": "a test", "min": 0.5, "otherwise": "recaption"},
        }
    )
    given = judge(rows, rules, step="filter")
    step = commit(tmp_path, "filter", rows, given, rules)
    counts = {line["rule"]: [line["alone"], line["only"], line["here"]] for line in effects(step)}
    assert {"sharp": [2, 2, 2], "fits": [1, 1, 1]} == counts


def test_effects_add_up(finished: Path) -> None:
    """What the rejecting rules take here is what the step counts as rejected; none takes more here than
    alone."""
    step = Manifest.open(finished, "filter")
    taken = effects(step)
    assert [rule["name"] for rule in step.record["rules"]] == [line["rule"] for line in taken]
    here = {line["rule"]: line["here"] for line in taken if line["otherwise"] == "reject" and line["here"]}
    assert step.record["counts"]["rejected"] == here
    assert all(line["only"] <= line["here"] <= line["alone"] for line in taken)

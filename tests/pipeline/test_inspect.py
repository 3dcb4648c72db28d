"""Inspection counts what is there, in lines that any terminal holds."""

from pathlib import Path
from typing import Any

import pytest

from manifests.views import ask
from pipeline.inspect import summary, table

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


def test_corpora_count_the_last_step(finished: Path) -> None:
    """By corpus the fates add up to the rows, and all corpora to those of the step; hours are those of live
    video."""
    found = summary(finished)
    total = [0] * 5
    for line in found["corpora"].values():
        numbers = [line[name] for name in ("rows", "live", "rejected", "duplicates", "failed")]
        assert numbers[0] == sum(numbers[1:])
        total = [a + b for a, b in zip(total, numbers, strict=True)]
    last = found["steps"]["pack"]
    sums = [sum(last[fate].values()) for fate in ("rejected", "duplicates", "failed")]
    assert [last["rows"], last["live"], *sums] == total
    kept = ask(finished, "select sum(duration_s) / 3600 as h from pack where shard is not null")["h"][
        0
    ].as_py()
    assert kept == pytest.approx(sum(line["kept_h"] for line in found["corpora"].values()))


def test_one_step_has_its_rules_and_corpora(finished: Path) -> None:
    """Asked for one step, rules and corpora are that step's."""
    found = summary(finished, "ingest")
    assert ["ingest"] == list(found["rules"])
    assert found["steps"]["ingest"]["rows"] == sum(line["rows"] for line in found["corpora"].values())


def test_lines_fit_80_columns(finished: Path) -> None:
    """Also with numbers of a large corpus and a name that would like to be long."""
    found: dict[str, Any] = summary(finished)
    large = {"rows": 98_765_432, "live": 87_654_321, "wall_s": 765_432.1, "cpu_s": 7_654_321.0}
    large |= {"rejected": {"r": 9_876_543}, "decodes": 98_765_432, "model_calls": 7_654_321}
    found["steps"] = {step: {**numbers, **large} for step, numbers in found["steps"].items()}
    found["corpora"] = {"a\x1b[2Jcorpus" * 9: next(iter(found["corpora"].values()))}
    text = table(found)
    assert 80 >= max(map(len, text.splitlines()))
    assert "\x1b" not in text

"""What the report shows of a rule is what the rule itself says of the rows."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.rules import Rule, load_rules
from manifests import verdicts
from pipeline.report.choose import Verdict, choose
from pipeline.report.run import open_run
from tests.pipeline.local import commit

# Eight rows by clip_score and text_repetition; g has no score.
SCORES = [0.1, 0.2, 0.3, 0.5, 0.6, 0.9, None, 0.8]
REPEATED = [0.9, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1]
LANGUAGES = ["en", "en", "en", "en", "zh", "en", "en", "de"]


def rule(keep: str, **settings: Any) -> Rule:
    return load_rules({"r": {"keep": keep, "why": "a test", "otherwise": "recaption", **settings}})[0]


def shown(out: Path, rule: Rule) -> Verdict:
    """What is shown of the rule that a step judged by."""
    rows = pa.table(
        {
            "id": list("abcdefgh"),
            "kind": ["video"] * 8,
            "clip_score": pa.array(SCORES, pa.float64()),
            "text_repetition": REPEATED,
            "text_language": LANGUAGES,
        }
    )
    commit(out, "filter", rows, verdicts.SCHEMA.empty_table(), (rule,))
    (found,) = choose(open_run(out)).verdicts
    return found


@pytest.mark.parametrize(
    ("keep", "unscored", "gone"),
    [
        ("clip_score >= $min", "keep", "cba"),
        ("clip_score >= $min", "reject", "cbag"),
        ("clip_score > $min", "keep", "dcba"),
        ("clip_score >= $min and list_contains(['en'], text_language)", "keep", "hecba"),
    ],
    ids=["threshold", "unscored", "strict", "and what is none"],
)
def test_texts_that_are_replaced(tmp_path: Path, keep: str, unscored: str, gone: str) -> None:
    """Exactly the rows that do not meet the rule, those nearest to its threshold first."""
    found = shown(tmp_path, rule(keep, unscored=unscored, min=0.5))
    assert (len(gone), tuple(gone), True) == (found.rows, found.gone, found.nearest)


def test_on_a_strict_threshold_is_not_just_kept(tmp_path: Path) -> None:
    """d stands exactly on it."""
    assert tuple("ehf") == shown(tmp_path, rule("clip_score > $min", unscored="keep", min=0.5)).just_kept


def test_alternatives_have_no_nearest(tmp_path: Path) -> None:
    """Where OR joins thresholds a row may fall short of one and be kept: the rows stand in any order."""
    keep = "clip_score >= $min or text_repetition <= $max"
    found = shown(tmp_path, rule(keep, unscored="keep", min=0.5, max=0.5))
    assert (1, ("a",), (), False) == (found.rows, found.gone, found.just_kept, found.nearest)


def test_a_rule_without_thresholds_is_told(tmp_path: Path) -> None:
    """Its rows are counted as well."""
    found = shown(tmp_path, rule("list_contains(['en', 'zh'], text_language)"))
    assert (1, ("h",), (), False) == (found.rows, found.gone, found.just_kept, found.nearest)

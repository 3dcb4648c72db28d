"""Which samples a budget of tokens holds."""

from __future__ import annotations

import hashlib
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import columns, verdicts
from manifests.errors import RecipeError
from stages.mix.budget import FitBudget

Sample = tuple[int | None, int | None]


def table(samples: dict[str, Sample]) -> pa.Table:
    rows = [{"id": id_, "visual_tokens": v, "text_tokens": t} for id_, (v, t) in samples.items()]
    return columns.table(rows, ["id", *FitBudget.reads])


def left_out(samples: dict[str, Sample], **settings: int) -> dict[str, str]:
    """The reason of each row that is left out."""
    return {v["id"]: v["reason"] for v in FitBudget(**settings).run(table(samples)).to_pylist()}


def test_reasons() -> None:
    """Without an answer, longer than a sequence, or neither."""
    samples: dict[str, Sample] = {"a": (5, None), "b": (80, 21), "c": (80, 20), "d": (None, 3)}
    assert {"a": "no_text", "b": "too_long", "d": "no_text"} == left_out(samples, longest_tokens=100)


def test_stops_at_the_first_that_does_not_fit() -> None:
    """In the order of SHA-256 of seed and id; a smaller one behind it is not squeezed in."""
    order = sorted("abcd", key=lambda id_: hashlib.sha256(f"0 {id_}".encode()).digest())
    samples: dict[str, Sample] = dict(zip(order, [(10, 0), (10, 5), (10, 20), (1, 0)], strict=True))
    for budget, taken in ((9, 0), (10, 1), (25, 2), (54, 2), (55, 3), (56, 4), (0, 4)):
        expected = dict.fromkeys(order[taken:], "over_budget")
        assert expected == left_out(samples, budget_tokens=budget)


def test_what_is_too_long_takes_no_budget() -> None:
    """A sample that is rejected anyhow leaves its tokens to others."""
    samples: dict[str, Sample] = {"a": (1000, 0), "b": (10, 0), "c": (10, 0)}
    assert {"a": "too_long"} == left_out(samples, budget_tokens=20, longest_tokens=100)


def test_verdict_says_why() -> None:
    """Step, fate, reason and numbers, in the schema of verdicts."""
    made = FitBudget(budget_tokens=4).run(table({"a": (2, 3)}))
    assert verdicts.SCHEMA == made.schema
    expected = ("a", "mix", "rejected", "over_budget", None, "5 tokens, beyond a budget of 4", None)
    assert expected == tuple(made.to_pylist()[0].values())
    assert 1 == len(verdicts.first(made))


def test_nothing_is_nothing() -> None:
    """No rows are no verdicts."""
    assert verdicts.SCHEMA == FitBudget(budget_tokens=1).run(table({})).schema


def test_draw_is_fair() -> None:
    """Half of the budget takes about half of two corpora, whose ids begin alike; another seed, other rows."""
    samples: dict[str, Sample] = {f"{corpus}{n:04}": (1, 1) for corpus in "ab" for n in range(1000)}
    one, other = (set(left_out(samples, budget_tokens=2000, mix_seed=seed)) for seed in (0, 1))
    shares = Counter(id_[0] for id_ in one)
    assert (1000, True) == (len(one), all(450 < share < 550 for share in shares.values()))
    assert 400 < len(one & other) < 600


@pytest.mark.parametrize("changes", [{"budget_tokens": -1}, {"longest_tokens": 0}])
def test_senseless_settings_are_refused(changes: dict[str, int]) -> None:
    """The message names the setting."""
    with pytest.raises(RecipeError, match=f"mix.{next(iter(changes))} is"):
        FitBudget(**changes)


TOKENS = st.one_of(st.none(), st.integers(0, 60))
SAMPLES = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.tuples(TOKENS, TOKENS), max_size=12)


@given(SAMPLES, st.integers(1, 300), st.integers(0, 300), st.integers(0, 3))
def test_laws_of_the_budget(samples: dict[str, Sample], budget: int, more: int, seed: int) -> None:
    """Within the budget; a larger one keeps what a smaller one kept; the order of the rows is free."""
    settings = {"longest_tokens": 100, "mix_seed": seed}
    out = left_out(samples, budget_tokens=budget, **settings)
    kept = samples.keys() - out.keys()
    assert sum((samples[id_][0] or 0) + (samples[id_][1] or 0) for id_ in kept) <= budget
    assert kept <= samples.keys() - left_out(samples, budget_tokens=budget + more, **settings).keys()
    assert out == left_out(dict(reversed(samples.items())), budget_tokens=budget, **settings)
    assert {id_ for id_, sample in samples.items() if None in sample} == {
        id_ for id_, reason in out.items() if reason == "no_text"
    }

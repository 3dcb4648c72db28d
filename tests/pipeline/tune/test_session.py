"""The numbers behind the tuning page, on rows made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.rules import load_rules
from manifests import columns, manifest, verdicts
from manifests.errors import ManifestError, RecipeError
from pipeline.recipe import load
from pipeline.steps import SHAPES
from pipeline.tune.calibrating import calibrated, precision
from pipeline.tune.session import Session
from stages.mix.tokens import VisualRule

NAMES = [
    *("id", "asset_id", "source_uri", "corpus", "kind", "width_px", "height_px", "duration_s", "frame_count"),
    *("black_share", "detail", "freeze_share", "blur", "clip_score", "text_garble", "text_repetition"),
    *("source_texts", "location"),
]


def row(n: int, **more: Any) -> dict[str, Any]:
    """A clip that every shipped rule keeps."""
    plain = {
        "id": f"{n:032x}",
        "asset_id": f"{n:032x}",
        "source_uri": f"{n}.mp4",
        "corpus": "web",
        "kind": "video",
    }
    size = {"width_px": 640, "height_px": 360, "duration_s": 4.0, "frame_count": 100}
    good = {"black_share": 0.0, "detail": 0.3, "freeze_share": 0.0, "blur": 0.3, "clip_score": 0.9}
    return {**plain, **size, **good, "source_texts": ["a text"], **more}


def session(out: Path, rows: list[dict[str, Any]], *settings: str, dead: tuple[int, ...] = ()) -> Session:
    """The session over a step `score` of these rows, some of which an earlier rule took."""
    gone = [
        {"id": f"{n:032x}", "step": "ingest", "fate": "rejected", "reason": "large_enough", "detail": ""}
        for n in dead
    ]
    given = pa.Table.from_pylist(gone, schema=verdicts.SCHEMA)
    record = {
        "inputs": "made",
        "rows": {"": manifest.put(out / "score", "rows-all", columns.table(rows, NAMES))},
        "tables": {"verdicts": manifest.put(out / "score", "verdicts", given)},
        "counts": {"rows": len(rows), "live": len(rows), "rejected": {}, "duplicates": {}, "failed": {}},
    }
    manifest.commit(out, "score", record, [])
    return Session.open(out, load("default", SHAPES, settings))


def test_rows_that_died_before_are_not_judged(tmp_path: Path) -> None:
    """What an earlier step took is no matter of these rules."""
    made = session(tmp_path, [row(n) for n in range(4)], dead=(1, 2))
    assert 2 == made.what_if({})["all"]["rows"]


def test_totals_are_sums(tmp_path: Path) -> None:
    """Seconds of video, and visual tokens as mix counts them; an image has no seconds."""
    rows = [row(0), row(1, blur=0.9), row(2, kind="image", duration_s=None, frame_count=1)]
    found = session(tmp_path, rows).what_if({})
    rule = VisualRule()
    clip, still = rule.video_tokens(640, 360, 4.0, 100), rule.image_tokens(640, 360)
    assert {"rows": 3, "seconds": 8.0, "tokens": 2.0 * clip + still} == found["all"]
    assert {"rows": 2, "seconds": 4.0, "tokens": 1.0 * clip + still} == found["kept"]


def test_a_corpus_that_loses_far_more_is_marked(tmp_path: Path) -> None:
    """Half of one corpus goes and a twentieth of the other: the first is marked, with what the rest keeps."""
    rows = [row(n, corpus="films", blur=0.9 if n < 20 else 0.3) for n in range(40)]
    rows += [row(n, corpus="web", blur=0.9 if n < 42 else 0.3) for n in range(40, 80)]
    films, web = session(tmp_path, rows).what_if({})["corpora"]
    assert (True, 20, 0.95) == (films["far"], films["kept"], films["rest"])
    assert (False, 38, 0.5) == (web["far"], web["kept"], web["rest"])


def test_a_small_corpus_is_not_marked(tmp_path: Path) -> None:
    """Of three rows, two say nothing."""
    rows = [row(n, corpus="few", blur=0.9) for n in range(2)] + [row(n) for n in range(2, 60)]
    assert [False, False] == [one["far"] for one in session(tmp_path, rows).what_if({})["corpora"]]


def test_a_share_has_a_line_for_each_corpus(tmp_path: Path) -> None:
    """The best half of each corpus: thresholds by corpus, as the run would find them."""
    rows = [row(n, corpus="ab"[n % 2], clip_score=n / 10) for n in range(8)]
    made = session(tmp_path, rows, "filter.aligned.min={top=0.5}")
    found = made.histogram({}, "aligned.min")
    assert {"a": 0.4, "b": 0.5} == found["corpora"]
    assert {"a": 0.2, "b": 0.3} == made.histogram({"aligned": {"min": {"top": 0.75}}}, "aligned.min")[
        "corpora"
    ]


def test_unknown_values_are_counted_apart(tmp_path: Path) -> None:
    """Null and NaN stand in no bin, and are shown as clips of unknown value where the rule keeps them."""
    rows = [row(0), row(1, blur=None), row(2, blur=float("nan"))]
    made = session(tmp_path, rows)
    found = made.histogram({}, "not_blurred.max")
    assert (1, 2) == (sum(found["all"]), found["unknown"])
    assert [f"{n:032x}" for n in (1,)] == [
        card["id"] for card in made.boundary({}, "not_blurred", n=2)["unknown"]
    ]


def test_only_routed_clips_cost_a_caption_where_the_recipe_says_so(tmp_path: Path) -> None:
    """caption_rows = recaption: a clip without a text, and one whose text does not fit."""
    rows = [row(0), row(1, source_texts=[], clip_score=None), row(2, clip_score=0.1)]
    assert 3 == session(tmp_path / "a", rows).what_if({})["captions"]["rows"]
    made = session(tmp_path / "b", rows, "caption.caption_rows=recaption")
    assert 2 == made.what_if({})["captions"]["rows"]
    routed = {one["rule"]: one["rows"] for one in made.what_if({})["routed"]}
    assert {"aligned": 1, "readable": 0, "not_repetitive": 0} == routed


def test_equal_distances_are_ordered_by_id(tmp_path: Path) -> None:
    """The clips around a threshold are the same ones every time."""
    made = session(tmp_path, [row(n, blur=0.6) for n in range(20)])
    assert [f"{n:032x}" for n in range(3)] == [c["id"] for c in made.boundary({}, "not_blurred", n=3)["kept"]]


LENGTH = {
    "keep": "duration_s between $min and $max",
    "why": "a test",
    "min": 2.0,
    "max": 6.0,
    "kinds": ["video"],
}


def made_with(out: Path, rows: list[dict[str, Any]], rule: dict[str, Any]) -> Session:
    """The session of a recipe with one rule more."""
    recipe = load("default", SHAPES)
    session(out, rows)
    return Session.open(out, replace(recipe, rules=(*recipe.rules, *load_rules({"made": rule}))))


def test_the_boundary_of_a_range_has_two_sides(tmp_path: Path) -> None:
    """Beyond the least lie the short ones only, beyond the most the long ones; others are within both."""
    rows = [row(n, duration_s=float(n)) for n in range(1, 10)]
    made = made_with(tmp_path, rows, LENGTH)
    short, long = made.boundary({}, "made.min"), made.boundary({}, "made.max")
    assert ([1.0], [2.0, 3.0, 4.0, 5.0, 6.0]) == tuple(
        [card["value"] for card in short[side]] for side in ("rejected", "kept")
    )
    assert ([7.0, 8.0, 9.0], [6.0, 5.0, 4.0, 3.0, 2.0]) == tuple(
        [card["value"] for card in long[side]] for side in ("rejected", "kept")
    )


def test_rows_of_other_kinds_stand_at_no_boundary(tmp_path: Path) -> None:
    """A rule for videos has no images just within it, nor among its bars."""
    rows = [row(0), row(1, kind="image", duration_s=3.0), row(2)]
    made = made_with(tmp_path, rows, LENGTH)
    assert [f"{n:032x}" for n in (0, 2)] == [card["id"] for card in made.boundary({}, "made.min")["kept"]]
    found = made.histogram({}, "made.min")
    assert (2, 0, 1) == (sum(found["all"]), found["unknown"], found["other_kinds"])


def test_a_share_is_near_by_the_threshold_of_its_corpus(tmp_path: Path) -> None:
    """What lies just beyond the best half of one corpus may lie far within that of another."""
    rows = [row(n, corpus="a", blur=0.10 + 0.01 * n) for n in range(4)]
    rows += [row(n, corpus="b", blur=0.40 + 0.02 * n) for n in range(4, 8)]
    rule = {"keep": "blur <= $max", "why": "a test", "max": {"bottom": 0.5}}
    found = made_with(tmp_path, rows, rule).boundary({}, "made")
    assert [f"{n:032x}" for n in (2, 3, 6, 7)] == [card["id"] for card in found["rejected"]]
    assert [f"{n:032x}" for n in (1, 5, 0, 4)] == [card["id"] for card in found["kept"]]


def test_a_strict_bound_is_calibrated_to_keep_what_it_names(tmp_path: Path) -> None:
    """Of `blur < $max` the value for half lies just beyond the last row that is to stay."""
    rows = [row(n, blur=0.1 * n) for n in range(1, 5)]
    rule = {"keep": "blur < $max", "why": "a test", "max": 0.5}
    made = made_with(tmp_path, rows, rule)
    handle, found = calibrated(made, "made", "keep", 0.5, {})
    assert (0.5, 4) == (found.kept.value, found.kept.n)
    assert 2 == made.what_if({"made": {"max": found.value}})["kept"]["rows"]
    assert "<" == handle.sense


def test_a_share_is_found_among_the_kinds_of_the_rule(tmp_path: Path) -> None:
    """Images say nothing of how long videos are; and what the rule's other end takes is not kept."""
    rows = [row(n, duration_s=float(n)) for n in range(1, 9)]
    rows += [row(n, kind="image", duration_s=0.5) for n in range(9, 20)]
    _, found = calibrated(made_with(tmp_path, rows, LENGTH), "made.min", "keep", 0.75, {})
    assert (3.0, 8, 0.5) == (found.value, found.rows, found.kept.value)


def test_votes_that_say_nothing_draw_nothing(tmp_path: Path) -> None:
    """Unsure ones, and such on rows of unknown value: no curve, and a sentence."""
    made = session(tmp_path, [row(0, blur=None), row(1, blur=None)])
    found = precision(made, {}, "not_blurred", {f"{n:032x}": bool(n) for n in range(2)})
    assert ([], None) == (found["curve"], found["suggestion"])
    assert "0 good and 0 bad rows with a known value" in precision(made, {}, "not_blurred", {})["reason"]


def test_what_cannot_be_tuned_is_said(tmp_path: Path) -> None:
    """A directory without rows; a step that was not run."""
    with pytest.raises(ManifestError, match="no step whose rows can be judged"):
        Session.open(tmp_path, load("default", SHAPES))
    session(tmp_path, [row(0)])
    with pytest.raises(RecipeError, match="no rules of 'ingest' can be tuned here"):
        Session.open(tmp_path, load("default", SHAPES), "ingest")

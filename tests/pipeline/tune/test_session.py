"""The numbers behind the tuning page, on rows made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests import columns, manifest, verdicts
from manifests.errors import ManifestError, RecipeError
from pipeline.recipe import load
from pipeline.steps import SHAPES
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


def test_what_cannot_be_tuned_is_said(tmp_path: Path) -> None:
    """A directory without rows; a step that was not run."""
    with pytest.raises(ManifestError, match="no step whose rows can be judged"):
        Session.open(tmp_path, load("default", SHAPES))
    session(tmp_path, [row(0)])
    with pytest.raises(RecipeError, match="no rules of 'ingest' can be tuned here"):
        Session.open(tmp_path, load("default", SHAPES), "ingest")

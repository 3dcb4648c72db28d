"""A trace tells every step as it was: the row, what was measured, what was decided by how far."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import RecipeError
from manifests.manifest import Manifest
from manifests.verdicts import STEPS
from manifests.views import ask
from pipeline.trace import lines, trace
from tests.pipeline.local import run_here

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


def first(out: Path, condition: str) -> str:
    return str(ask(out, f"select id from {condition} order by id limit 1")["id"][0].as_py())


def by_name(row: dict[str, Any], step: str) -> dict[str, Any]:
    return next(dict(one) for one in row["steps"] if one["step"] == step)


def test_thresholds_are_those_of_the_run(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """A threshold that was set for the run is shown, not the recipe's; so are the rules of all steps."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    run_here(corpus, out, settings=["filter.not_blurred.max=0.9"], only=["filter"])
    (row,) = trace(out, first(out, "filter where kind = 'video' and error is null"))["rows"]
    rules = {rule["rule"]: rule["keep"] for step in row["steps"] for rule in step["rules"]}
    assert "blur <= 0.9" == rules["not_blurred"]
    assert {"wanted_kind", "not_black", "aligned"} <= rules.keys()


def test_every_step_is_told(finished: Path) -> None:
    """A packed clip: the asset that it was in ingest, what each stage wrote, each rule it passed, the
    shard."""
    clip = first(finished, "pack where shard is not null and kind = 'video'")
    (row,) = trace(finished, clip)["rows"]
    assert list(STEPS) == [step["step"] for step in row["steps"]]
    asset = by_name(row, "split")["parent_id"]
    assert [asset, *[clip] * 7] == [step["id"] for step in row["steps"]]
    assert {"kind", "codec", "width_px"} <= by_name(row, "ingest")["wrote"]["ProbeAsset"].keys()
    assert {"start_pts", "blur", "duration_s"} <= by_name(row, "split")["wrote"]["SplitShots"].keys()
    assert {"text", "text_from"} <= by_name(row, "caption")["wrote"]["ChooseText"].keys()
    rejecting = [r for step in row["steps"] for r in step["rules"] if r["otherwise"] == "reject"]
    assert {"passed", "unscored"} >= {rule["outcome"] for rule in rejecting}
    assert str(row["shard"]).startswith("video-clips/shards/")


def test_a_rejected_row_is_judged_once(finished: Path) -> None:
    """The rule says by how much the row fell short; the steps after it judged nothing and wrote nothing."""
    (row,) = trace(finished, first(finished, "filter where rejected_by = 'not_black'"))["rows"]
    here = by_name(row, "filter")
    judged = {rule["rule"]: rule for rule in here["rules"]}
    (threshold,) = judged["not_black"]["thresholds"]
    assert "failed" == judged["not_black"]["outcome"]
    assert threshold["value"] - judged["not_black"]["values"]["black_share"] == threshold["by"]
    assert ("rejected", "not_black") == (here["verdicts"][0]["fate"], here["verdicts"][0]["reason"])
    later = row["steps"][STEPS.index("filter") + 1 :]
    assert [[]] * 4 == [step["rules"] for step in later]
    assert [False] * 4 == [step["live"] for step in later]
    text = "\n".join(lines(trace(finished, row["id"])))
    assert "not_black: failed" in text and "(beyond by" in text and "pack: rejected at filter" in text


def test_a_failed_asset_is_never_judged(finished: Path) -> None:
    """What could not be read has a verdict and no ruling."""
    (row,) = trace(finished, first(finished, "ingest where error is not null"))["rows"]
    assert [] == [rule for step in row["steps"] for rule in step["rules"]]
    assert "failed" == by_name(row, "ingest")["verdicts"][0]["fate"]


def test_every_clip_of_an_asset_is_listed(finished: Path) -> None:
    """The id of an asset of several clips, its first digits and its file answer with all of them, in time;
    for people one line each."""
    several = "select asset_id, count(*) as n from split group by 1 having n > 1 order by 1"
    asset, count = ask(finished, several).to_pylist()[0].values()
    uri = ask(finished, f"select source_uri from ingest where asset_id = '{asset}'")["source_uri"][0].as_py()
    for wanted in (asset, asset[:12], uri):
        found = trace(finished, wanted)
        starts = [row["start_s"] for row in found["rows"]]
        assert (asset, count, sorted(starts)) == (found["asset_id"], len(found["rows"]), starts)
        text = "\n".join(lines(found))
        assert f"{count} clips" in text and all(row["id"] in text for row in found["rows"])


def test_digits_of_several_assets_are_refused(finished: Path) -> None:
    """Too few digits name the rows that answer."""
    with pytest.raises(RecipeError, match="give more digits"):
        trace(finished, "")


def test_a_name_that_is_not_there_offers_one_like_it(finished: Path) -> None:
    """A slip of the keys finds the file that was meant; a word like none is offered none."""
    name = Manifest.open(finished, "ingest").table("sources")["source_uri"][0].as_py()
    with pytest.raises(RecipeError, match=r"did you mean '[^']+'"):
        trace(finished, name + "x")
    with pytest.raises(RecipeError, match=r"was ingested$"):
        trace(finished, "~~~~~~")

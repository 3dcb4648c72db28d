"""A trace tells what was decided as it was decided, of a clip, an asset or a file."""

import shutil
from pathlib import Path

import pytest

from manifests.errors import RecipeError
from manifests.views import ask
from pipeline.trace import lines, trace
from tests.pipeline.local import run_here

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")


def test_thresholds_are_those_of_the_run(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """A threshold that was set for the run is shown, not the recipe's; so are the rules of all steps."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    run_here(corpus, out, settings=["filter.not_blurred.max=0.9"], only=["filter"])
    clip = ask(out, "select id from filter where kind = 'video' and error is null order by id")["id"][0]
    rules = {rule["rule"]: rule["keep"] for rule in trace(out, clip.as_py())["rules"]}
    assert "blur <= 0.9" == rules["not_blurred"]
    assert {"wanted_kind", "not_black", "aligned"} <= rules.keys()


def test_a_video_is_found_by_the_id_of_its_asset(finished: Path) -> None:
    """The id of an asset of several clips shows them all; so do its first digits."""
    several = "select asset_id from split group by 1 having count(*) > 1 order by 1"
    asset = ask(finished, several)["asset_id"][0].as_py()
    for wanted in (asset, asset[:12]):
        found = trace(finished, wanted)
        assert asset == found["row"]["asset_id"]
        assert len(found["clips"]) > 1
        assert any("clips of its asset" in line for line in lines(found))


def test_digits_of_several_assets_are_refused(finished: Path) -> None:
    """Too few digits name the rows that answer."""
    with pytest.raises(RecipeError, match="give more digits"):
        trace(finished, "")

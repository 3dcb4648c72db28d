"""A recipe is checked whole before anything starts, and every error offers a way on."""

from pathlib import Path

import pytest

from manifests.errors import RecipeError
from pipeline.drive import checked_recipe, known_steps
from pipeline.recipe import check_graph, load
from pipeline.steps import GIVEN, SHAPES
from stages.base import Map


def test_the_embedded_recipe_is_whole() -> None:
    """Its stages read only what is written before, and its rules bind to the columns of their step."""
    recipe = checked_recipe()
    assert list(SHAPES) == list(recipe.stages)
    assert "not_black" in {rule.name for rule in recipe.rules}


def test_settings_go_over_the_recipe() -> None:
    """--set takes TOML values and plain words."""
    recipe = checked_recipe(settings=["split.detector=content", "split.min_shot_s=1.5", "run.workers=1"])
    shots = recipe.stages["split"][0].settings()
    assert ("content", 1.5, 1) == (shots["detector"], shots["min_shot_s"], recipe.resources.processes)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("splt.detector=content", r"section 'splt'; did you mean 'split'\?"),
        ("split.detectr=content", r"'detectr'; did you mean 'detector'\?"),
        ("split.detector=sharp", r"detector: .*'adaptive'"),
        ("split.min_shot_s=long", "min_shot_s: .*number"),
        ("run.wrkers=2", r"'wrkers'; did you mean 'workers'\?"),
        ("filter.not_blak.max=1", "not_blak"),
        ("filter.not_black.mx=1", "mx"),
        ("filter.not_black.keep=black_shre <= $max", r"black_share"),
        ("filter.not_black.keep=read_text('x') = 'y'", "not_black"),
        ("nonsense", "section.key=value"),
        ("dedup.radius_bits=20", "wider than dedup.graph_radius_bits = 12"),
        ("split=3", "split"),
    ],
)
def test_wrong_settings_offer_the_nearest(setting: str, words: str) -> None:
    """An unknown name or a wrong value is an error before any work, with what would be right."""
    with pytest.raises(RecipeError, match=words):
        checked_recipe(settings=[setting])


def test_missing_and_broken_recipes(tmp_path: Path) -> None:
    """A recipe that is not there, or is no TOML, says so."""
    with pytest.raises(RecipeError, match=r"no recipe 'defalt'.*did you mean 'default'"):
        checked_recipe("defalt")
    (tmp_path / "mine.toml").write_text("name = \n")
    with pytest.raises(RecipeError, match="is not TOML"):
        checked_recipe(str(tmp_path / "mine.toml"))


def test_own_recipe_with_own_rule(tmp_path: Path) -> None:
    """A rule of a recipe joins the shipped ones and is bound to the columns."""
    (tmp_path / "mine.toml").write_text(
        '[filter.wide]\nafter = "ingest"\nkeep = "width_px >= $min"\nmin = 640\nwhy = "we train wide"\n'
    )
    assert "wide" == checked_recipe(str(tmp_path / "mine.toml")).rules[-1].name


def test_unknown_step_offers_the_nearest() -> None:
    """A misspelt step is an error."""
    with pytest.raises(RecipeError, match="did you mean 'dedup'"):
        known_steps(["dedupe"])


class Late(Map):
    """Reads what nobody has written when it runs."""

    reads = ("media_bytes",)
    writes = ("luma_mean",)


def test_a_stage_that_reads_what_nobody_wrote_is_refused() -> None:
    """The edges of the DAG are checked before anything starts, and the writer is named."""
    recipe = load("default", {**SHAPES, "split": (*SHAPES["split"], Late)})
    with pytest.raises(
        RecipeError, match="Late reads media_bytes, which no earlier stage writes; put CutMedia"
    ):
        check_graph(recipe, GIVEN)


def test_stages_that_share_a_setting_agree_on_it() -> None:
    """A name in a section is one setting: the stages of the step that have it mean the same by it."""
    recipe = checked_recipe(settings=["score.batch=7"])
    batches = {s.name: s.settings().get("batch") for stages in recipe.stages.values() for s in stages}
    expected = {"EmbedFrames": 7, "ScoreTexts": 7, "ScoreCaptions": 7, "CaptionClips": 32}
    assert expected == {name: batch for name, batch in batches.items() if batch is not None}


def test_settings_of_a_stage_at_home_elsewhere_are_refused_here() -> None:
    """New captions are scored by the model of [score]: there is no second place to name one."""
    with pytest.raises(RecipeError, match="clip_model"):
        checked_recipe(settings=["caption.clip_model=embedded"])


def test_threshold_of_another_model_is_refused() -> None:
    """A number found with one model says nothing of another's scores; a share of a corpus does."""
    foreign = 'filter.aligned.min={value=0.3, model="ViT-L-14/openai", scale="cosine"}'
    with pytest.raises(RecipeError, match=r"aligned.*ViT-L-14/openai.*scores with 'reelmix-demo-clip'"):
        checked_recipe(settings=[foreign])
    assert checked_recipe(settings=["filter.aligned.min={top=0.7}"])

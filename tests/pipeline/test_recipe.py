"""A recipe is checked whole before anything starts, and every error offers a way on."""

import ast
import dataclasses
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from filters.rules import JUDGED, ROUTED
from manifests import columns
from manifests.errors import RecipeError
from pipeline.context import JUDGES
from pipeline.drive import checked_recipe, known_steps
from pipeline.recipe import VLLM, check_graph, load
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
    shots = recipe.stages["split"][1].settings()
    assert ("content", 1.5, 1) == (shots["detector"], shots["min_shot_s"], recipe.resources.processes)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("splt.detector=content", r"section 'splt'; did you mean 'split'\?"),
        ("split.detectr=content", r"'detectr'; did you mean 'detector'\?"),
        ("split.detector=sharp", r"detector: .*'adaptive'"),
        ("split.min_shot_s=long", "min_shot_s: .*number"),
        ("score.clip_dtype=auto", "clip_dtype: .*'float32', 'bfloat16' or 'float16', found .auto"),
        ("caption.captioner_dtype=auto", "captioner_dtype: .*'bfloat16'"),
        ("run.wrkers=2", r"'wrkers'; did you mean 'workers'\?"),
        ("filter.not_blak.max=1", "not_blak"),
        ("filter.not_black.mx=1", "mx"),
        ("filter.not_black.keep=black_shre <= $max", r"black_share"),
        ("filter.not_black.keep=read_text('x') = 'y'", "not_black"),
        ("nonsense", "section.key=value"),
        ("dedup.radius_bits=20", "wider than dedup.graph_radius_bits = 12"),
        ("split=3", "split"),
        ("run.vllm={tensor_paralel_size=2}", r"'tensor_paralel_size'.*did you mean 'tensor_parallel_size'\?"),
        ("run.vllm.tensor_parallel_size=0", r"\[run.vllm\] tensor_parallel_size: .*greater than 0, found 0"),
        ("run.vllm.gpu_memory_utilization=90", "gpu_memory_utilization: .*, found 90"),
        ("run.vllm=2", "vllm: .*dictionary"),
    ],
)
def test_wrong_settings_offer_the_nearest(setting: str, words: str) -> None:
    """An unknown name or a wrong value is an error before any work, with what would be right."""
    with pytest.raises(RecipeError, match=words):
        checked_recipe(settings=[setting])


@pytest.mark.parametrize(
    "name",
    [
        "code_revision",
        "dtype",
        "generation_config",
        "hf_overrides",
        "kv_cache_dtype",
        "limit_mm_per_prompt",
        "max_model_len",
        "mm_processor_kwargs",
        "model",
        "override_generation_config",
        "quantization",
        "revision",
        "seed",
        "speculative_config",
        "tokenizer",
        "trust_remote_code",
        "video_pruning_rate",
    ],
)
def test_what_vllm_says_is_no_resource(name: str) -> None:
    """[run] enters no fingerprint: an argument of vLLM that may change words is refused there."""
    with pytest.raises(RecipeError, match=f"'{name}' is none of the arguments that only say how vLLM runs"):
        checked_recipe(settings=[f"run.vllm.{name}='x'"])


def test_how_vllm_runs_is_said_in_its_own_words() -> None:
    """What may be said are arguments of the vLLM that is installed; what is not said is left to it."""
    settings = ["run.vllm={tensor_parallel_size=2, gpu_memory_utilization=0.5}"]
    expected = {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.5}
    assert expected == checked_recipe(settings=settings).resources.vllm
    found = find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        pytest.skip("vLLM is not installed")
    # Read, as to import it takes seconds.
    source = (Path(found.submodule_search_locations[0]) / "engine" / "arg_utils.py").read_text()
    (arguments,) = (
        n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "EngineArgs"
    )
    known = {
        n.target.id for n in arguments.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    }
    assert set() == set(VLLM) - known


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


def test_a_borrowed_setting_stands_with_its_lender_only() -> None:
    """A mix counts what pack will write: one setting, in [pack], of one default and one error."""
    mix, pack = (checked_recipe(settings=["pack.max_side_px=75"]).stages[step] for step in ("mix", "pack"))
    assert [75, 75] == [stage.settings()["max_side_px"] for stage in (mix[0], pack[0])]
    with pytest.raises(RecipeError, match=r"\[mix\] max_side_px is a setting of \[pack\]; write it there"):
        checked_recipe(settings=["mix.max_side_px=75"])
    with pytest.raises(RecipeError, match=r"^\[pack\] max_side_px: .*, found \"large\""):
        checked_recipe(settings=["pack.max_side_px=large"])


def test_what_is_borrowed_is_lent_with_the_same_default() -> None:
    """A lender's setting that is left out means the same to the one who borrows it."""
    borrowed = [
        (kind, step, name) for kinds in SHAPES.values() for kind in kinds for step, name in kind.borrows
    ]
    assert borrowed
    for kind, step, name in borrowed:
        lent = [f.default for k in SHAPES[step] for f in dataclasses.fields(k) if f.name == name]
        assert lent == [f.default for f in dataclasses.fields(kind) if f.name == name]


def test_rules_follow_the_steps_that_judge_them() -> None:
    """What a rule may say of its step and route is what the steps do."""
    assert set(JUDGED) == {after for followed in JUDGES.values() for after in followed}
    assert ROUTED == JUDGES["filter"]


@dataclasses.dataclass(frozen=True)
class Named(Map):
    """Writes the column that its table is called."""

    section = "named"
    called: str = ""

    @property
    def writes(self) -> tuple[str, ...]:  # type: ignore[override]  # Elsewhere a constant of the class.
        return (self.called,)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["nsfw", "NSFW"], r"^\[score.named.NSFW\] writes NSFW, .* from nsfw of \[score.named.nsfw\]"),
        (["Fps"], r"^\[score.named.Fps\] writes Fps, which SQL cannot tell from fps"),
    ],
)
def test_columns_that_sql_takes_for_one_are_refused(names: list[str], message: str) -> None:
    """DuckDB compares names without case: the second section is named, and the column that it would hide."""
    settings = [f"score.named.{name}={{}}" for name in names]
    with pytest.raises(RecipeError, match=message):
        load("default", {**SHAPES, "score": (*SHAPES["score"], Named)}, settings)


def test_threshold_of_another_model_is_refused() -> None:
    """A number found with one model says nothing of another's scores; a share of a corpus does."""
    foreign = 'filter.aligned.min={value=0.3, model="ViT-L-14/openai", scale="cosine"}'
    with pytest.raises(RecipeError, match=r"aligned.*ViT-L-14/openai.*scores with 'reelmix-demo-clip'"):
        checked_recipe(settings=[foreign])
    assert checked_recipe(settings=["filter.aligned.min={top=0.7}"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("split.max_shot_s=0", "split.max_shot_s is 0.0, expected 0.1 or more"),
        ("split.max_shot_s=nan", "split.max_shot_s is nan"),
        ("split.frame_px=0", "split.frame_px is 0, expected 16 to 4096"),
        ("split.frame_quality=900", "split.frame_quality is 900, expected 1 to 100"),
        ("pack.crf=900", "pack.crf is 900, expected 0 to 63"),
        ("pack.gop_s=-3", "pack.gop_s is -3.0, expected 0.01 or more"),
        ("pack.shard_samples=0", "pack.shard_samples is 0, expected 1 or more"),
    ],
)
def test_settings_have_ranges(setting: str, message: str) -> None:
    """What no encoder or shard can be is told at load, not after hours of work."""
    with pytest.raises(RecipeError, match=re.escape(message)):
        checked_recipe(settings=[setting])


@pytest.mark.parametrize("name", [name for name, column in columns.COLUMNS.items() if column.asked])
def test_what_has_a_column_computed_is_true(name: str) -> None:
    """Without the setting that a column names nobody writes it, with it somebody does."""
    for settings, expected in (([], 0), ([columns.column(name).asked.replace(" = ", "=")], 1)):
        stages = checked_recipe(settings=settings).stages["score"]
        assert expected == len([stage for stage in stages if name in stage.writes])


@pytest.mark.parametrize(
    ("rule", "asked"),
    [("little_text", 'score.ocr = "area"'), ("no_faces", "score.faces = true")],
)
def test_a_rule_on_what_nobody_computes_is_off_or_says_what_to_set(rule: str, asked: str) -> None:
    """Shipped off; turned on, it names the setting; with that, it judges."""
    assert not next(r for r in checked_recipe().rules if r.name == rule).enabled
    on = f"filter.{rule}.enabled=true"
    with pytest.raises(RecipeError, match=re.escape(f"no column after score; {asked} has it computed")):
        checked_recipe(settings=[on])
    recipe = checked_recipe(settings=[on, asked.replace(" = ", "=")])
    assert next(r for r in recipe.rules if r.name == rule).enabled


def test_a_threshold_of_another_detector_is_refused() -> None:
    """What one model counts, another may not."""
    foreign = 'filter.little_text={enabled=true, max={value=0.3, model="CRAFT"}}'
    with pytest.raises(RecipeError, match=r"belongs to the model 'CRAFT'.*scores with 'PP-OCRv6-small'"):
        checked_recipe(settings=[foreign, "score.ocr=area"])

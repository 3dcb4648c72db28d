"""Rules as people write them: what loads, what is refused and how the refusal helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from filters import rules as module
from filters.rules import Rule, check, following, load_rules, override
from manifests.errors import RecipeError

SHIPPED = Path(module.__file__).with_name("rules.toml")
ASSET = ["id", "kind", "width_px", "height_px", "duration_s", "size_bytes", "aspect"]
CLIP = [*ASSET, "fps", "black_share", "detail", "blur", "freeze_share", "motion", "luma_mean", "source_texts"]
CLIP += ["flow", "codec_motion", "jump_share", "flash_rate"]
ASKED = ("ocr_area_share", "face_count")
TEXT = ["text_garble", "text_repetition", "text_chars", "text_language"]


def entry(keep: str = "black_share <= $max", **more: Any) -> dict[str, Any]:
    threshold = {"max": 0.9} if "$max" in keep else {}
    return {"not_black": {"keep": keep, "why": "a test", **threshold, **more}}


def one(keep: str = "black_share <= $max", **more: Any) -> Rule:
    return load_rules(entry(keep, **more))[0]


def refused(raw: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as error:
        check(load_rules(raw), CLIP)
    return str(error.value)


def test_shipped_rules_fit_the_columns_of_their_step() -> None:
    """Every shipped rule, also one that is off, binds to what its step has written, and says where its
    threshold comes from."""
    shipped = [rule.model_copy(update={"enabled": True}) for rule in load_rules(SHIPPED)]
    check(following(shipped, "ingest"), ASSET)
    check(following(shipped, "split"), CLIP)
    check(following(shipped, "score"), [*CLIP, *TEXT, "clip_score", "letterbox_share", *ASKED])
    assert len(shipped) == sum(len(following(shipped, step)) for step in ("ingest", "split", "score"))
    assert all(len(rule.why) > 40 for rule in shipped)


def test_a_rule_on_what_is_not_computed_says_what_computes_it() -> None:
    """Off, it asks for nothing; on, the setting that has its column computed is named."""
    check(load_rules(entry("face_count <= 3", enabled=False)), CLIP)
    assert "no column after split; score.faces = true has it computed" in refused(entry("face_count <= 3"))
    assert "[score.detect.NAME] has it computed" in refused(entry("count_people <= 3"))


def test_defaults() -> None:
    """A rule follows split, rejects what is unscored, meets every kind and is switched on."""
    rule = one()
    assert ("split", "reject", (), True) == (rule.after, rule.unscored, rule.kinds, rule.enabled)


def test_threshold_as_a_table_keeps_its_origin() -> None:
    """A threshold may say its model, scale and origin beside its value."""
    threshold = one(max={"value": 0.24, "model": "m", "scale": "cosine", "origin": "paper"}).parameters[0]
    assert ("max", 0.24, "m", "cosine", "paper") == tuple(threshold.model_dump(exclude_none=True).values())


def test_identity_holds_what_decides_and_no_words() -> None:
    """Another explanation is the same rule, another threshold is another; both are hashable."""
    assert one().identity() == one(why="said otherwise").identity()
    assert one().identity() == one(max={"value": 0.9, "origin": "paper"}).identity()
    assert one().identity() != one(max=0.8).identity()
    assert 2 == len({one(), one(), one(max=0.8)})


def test_spelled_has_the_values() -> None:
    """People read the condition with its numbers, on one line."""
    assert "black_share <= 0.9" == one("black_share\n  <= $max").spelled()


@pytest.mark.parametrize(
    ("raw", "help_"),
    [
        (
            entry("blackshare <= $max"),
            "'blackshare', which is no column after split; did you mean 'black_share'?",
        ),
        (entry(unscord="keep"), "unknown key 'unscord', not used in keep; did you mean 'unscored'?"),
        (entry(maxx=1), "unknown key 'maxx', not used in keep; did you mean 'max'?"),
        (entry("black_share <= $limit"), "keep uses $limit, which has no value"),
        (entry(after="spilt"), "unknown step 'spilt'; did you mean 'split'?"),
        (entry(after="pack"), "no rule is judged after pack; rules follow ingest, split, score, caption"),
        (entry(after="caption", otherwise="recaption"), "is for rules after split or score"),
        (entry(otherwise="recaption", unscored="fail"), "fails no row: write unscored"),
        (entry(kinds=["vidoe"]), "unknown kind 'vidoe'; did you mean 'video'?"),
        (entry(unscored="drop"), "unscored: Input should be 'keep', 'reject' or 'fail', found 'drop'"),
        (entry(enabled="yes"), "enabled: Input should be a valid boolean, found 'yes'"),
        (entry(max={"value": 1, "modle": "m"}), "max: unknown key 'modle'; did you mean 'model'?"),
        (entry(max={"model": "m"}), "either a value, or the top or the bottom share"),
        (entry(max=float("nan")), "a threshold must be finite"),
        (entry(max="much"), "cannot be computed: Conversion Error"),
        (entry(max=True), "cannot be computed: Binder Error"),
        (entry("black_share"), "gives double, expected true or false"),
        (entry("frames is null"), "reads 'frames', which is no column"),
        (entry("current_date > id"), "reads 'current_date', which is no column"),
        (entry("random() < 0.5"), "[filter.not_black] keep = 'random() < 0.5': random() gives"),
        (entry("true); drop table rows; select (true"), "it is not one SQL expression"),
        ({"not_black": {"why": "w"}}, "keep is missing"),
        ({"not_black": {"keep": "true"}}, "why is missing"),
        ({"not_black": 0.9}, "[filter.not_black] is no rule"),
        ({"not'black": {"keep": "true", "why": "w"}}, "is no rule"),
    ],
)
def test_mistakes_are_named_with_their_remedy(raw: dict[str, Any], help_: str) -> None:
    """A rule that cannot work is refused before any work, with rule, fault and the nearest valid name."""
    assert help_ in refused(raw)


def test_columns_that_differ_by_machine_cannot_decide() -> None:
    """A rule over the place of a file would give other rows in another folder."""
    with pytest.raises(RecipeError, match="'location', which is no column"):
        check([one("location.path = 'here'")], [*CLIP, "location"])


def test_a_disabled_rule_may_wait_for_its_column() -> None:
    """A rule that is switched off is not bound, so that it can ship before its measure exists."""
    with pytest.raises(RecipeError, match="aesthetic"):
        check([one("aesthetic > $max")], CLIP)
    check([one("aesthetic > $max", enabled=False)], CLIP)


def test_kinds_need_the_column_kind() -> None:
    """A rule for some kinds only cannot be judged over rows without a kind."""
    with pytest.raises(RecipeError, match="reads 'kind'"):
        check([one(kinds=["video"])], ["id", "black_share"])


def test_wrong_toml_is_a_recipe_error(tmp_path: Path) -> None:
    """A file that is no TOML is named."""
    path = tmp_path / "rules.toml"
    path.write_text("[not_black\n")
    with pytest.raises(RecipeError, match=r"rules\.toml cannot be read"):
        load_rules(path)


def test_override_changes_one_value_and_keeps_the_rest() -> None:
    """A new threshold keeps the rule's place, words, model and scale; the origin of the old one goes."""
    shipped = load_rules(entry(max={"value": 0.9, "model": "m", "scale": "s", "origin": "paper"}))
    changed = override(shipped, {"not_black.max": 0.5})[0]
    assert ("a test", 0.5) == (changed.why, changed.parameters[0].value)
    assert ("m", "s", None) == (
        changed.parameters[0].model,
        changed.parameters[0].scale,
        changed.parameters[0].origin,
    )
    assert (changed,) == override(shipped, {"not_black": {"max": 0.5}})


def test_override_without_changes_is_the_same() -> None:
    """The shipped rules survive a round through their tables."""
    assert load_rules(SHIPPED) == override(load_rules(SHIPPED), {})


def test_override_with_a_new_condition_drops_the_thresholds_it_leaves() -> None:
    """A recipe may rewrite a rule's condition; what the old one needed does not linger as an unknown key."""
    changed = override([one()], {"not_black": {"keep": "luma_mean >= $dark", "dark": 0.05}})[0]
    assert ["dark"] == [parameter.name for parameter in changed.parameters]


def test_override_adds_a_rule_at_the_end() -> None:
    """A recipe's own rule comes after the shipped ones."""
    changed = override([one()], {"smooth": {"keep": "fps >= 10", "why": "slower looks like slides"}})
    assert ["not_black", "smooth"] == [rule.name for rule in changed]


@pytest.mark.parametrize(
    ("changes", "help_"),
    [
        ({"not_blak.max": 0.5}, "unknown rule 'not_blak'; did you mean 'not_black'?"),
        ({"not_black.mx": 0.5}, "unknown key 'mx', not used in keep; did you mean 'max'?"),
        ({"not_black.max": "much"}, "not_black.max is a number, found 'much'"),
        ({"not_black.enabled": 0}, "enabled: Input should be a valid boolean, found 0"),
        ({"not_black": 0.5}, "'not_black' is no rule; write rule.threshold = value"),
    ],
)
def test_override_mistakes_are_named(changes: dict[str, Any], help_: str) -> None:
    """A setting that meets no rule or no threshold never passes in silence."""
    with pytest.raises(RecipeError) as error:
        override([one()], changes)
    assert help_ in str(error.value)


def test_following_takes_enabled_rules_of_one_step() -> None:
    """Only rules that are switched on judge, each after its own step."""
    early, off, late = one(after="ingest"), one(enabled=False), one()
    assert (late,) == following([early, off, late], "split")


def test_a_threshold_on_another_scale_is_refused() -> None:
    """The scale that a rule ships with is what its number means; without a word of scale it is that one."""
    rules = load_rules(
        {"soft": {"keep": "blur <= $max", "why": "x", "max": {"value": 0.5, "scale": "0 to 1"}}}
    )
    assert 0.4 == override(rules, {"soft": {"max": {"value": 0.4}}})[0].parameters[0].value
    with pytest.raises(
        RecipeError, match=r"soft\.max is on the scale '0 to 1', found a threshold on 'percent'"
    ):
        override(rules, {"soft": {"max": {"value": 40, "scale": "percent"}}})

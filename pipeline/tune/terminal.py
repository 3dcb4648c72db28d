"""The tuning page's twins for terminals and scripts: the same answers as text or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from filters.calibrate import Calibration, Goal
from filters.handles import Handle, handle_of
from manifests.errors import RecipeError
from pipeline.drive import check_thresholds
from pipeline.recipe import EMBEDDED, Recipe, check_graph, load
from pipeline.show import one_line
from pipeline.steps import GIVEN, SHAPES
from pipeline.tune.app import Desk
from pipeline.tune.calibrating import calibrated
from pipeline.tune.export import exported
from pipeline.tune.session import Json, Session
from pipeline.tune.votes import read_labels

MOST_VALUES = 10_000
Told = tuple[Any, str]


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line; `goals` hold one number where `calibrate` names a threshold."""

    what_if: Sequence[str] = ()
    sweep: str | None = None
    boundary: str | None = None
    calibrate: str | None = None
    goals: Mapping[str, float | None] = field(default_factory=dict)
    labels: Path | None = None
    diff: str | None = None

    @property
    def anything(self) -> bool:
        return any(
            (
                *(self.what_if, self.sweep, self.boundary, self.calibrate, self.diff, self.labels),
                *(target is not None for target in self.goals.values()),
            )
        )


def desk(
    out: Path, recipe: str, settings: Iterable[str], save: Path | None, against: str | None = None
) -> Desk:
    """What a tuning session works on. A file to save to that exists is the recipe itself; `against` is a
    recipe that changes are held against, too.

    Raises RecipeError for a recipe that would not run.
    """
    if save and save.exists() and recipe not in (EMBEDDED, str(save)):
        raise RecipeError(f"{save} exists and is not {recipe}; save to another file, or tune --recipe {save}")
    if save and not save.absolute().parent.is_dir():
        raise RecipeError(f"{save.absolute().parent} is no folder; make it, or save elsewhere")
    base, settings = recipe, tuple(settings)

    def read() -> Recipe:
        return recipe_of(str(save) if save and save.exists() else base, settings)

    read()
    return Desk(out, read, save, base, recipe_of(against) if against else None, settings)


def recipe_of(name: str, settings: Iterable[str] = ()) -> Recipe:
    """A recipe with its columns and thresholds checked; its models are not looked for."""
    recipe = load(name, SHAPES, settings)
    check_graph(recipe, GIVEN)
    check_thresholds(recipe)
    return recipe


def answer(desk: Desk, step: str | None, asked: Asked) -> Told:
    """The answer as JSON values and as text. Raises RecipeError for what names no threshold."""
    goals = [f"--{goal}" for goal, target in asked.goals.items() if target is not None]
    if not asked.calibrate and (goals or asked.labels):
        raise RecipeError(f"{', '.join(goals) or '--labels'} goes with --calibrate RULE.PARAM")
    asked_for = {f"--{n}": v for n in ("sweep", "boundary", "calibrate", "diff") if (v := getattr(asked, n))}
    if len(asked_for) > 1:
        raise RecipeError(f"{' and '.join(asked_for)} are two questions; ask them one by one")
    session, changes = desk.session(step), changes_of(asked.what_if)
    if changes and (asked.calibrate or asked.diff):
        raise RecipeError(
            f"{next(iter(asked_for))} takes the recipe as it is; leave out --what-if, or --set it"
        )
    if asked.sweep:
        return _sweep(session, changes, asked.sweep)
    if asked.boundary:
        return _boundary(session.boundary(changes, asked.boundary))
    if asked.calibrate:
        return _calibrate(desk, session, asked)
    if asked.diff:
        return _diff(session, recipe_of(asked.diff))
    return _what_if(session.what_if(changes))


def write_export(desk: Desk, step: str | None, asked: Asked, path: Path) -> str:
    """Write the page as one file; returns a line that says so."""
    if not path.absolute().parent.is_dir():
        raise RecipeError(f"{path.absolute().parent} is no folder; make it, or export elsewhere")
    session = desk.session(step)
    html = exported(session, desk.start(session), changes_of(asked.what_if))
    path.write_text(html, encoding="utf-8")
    return f"{path}: {len(html) / 1e6:.1f} MB, opens in any browser"


def changes_of(settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """RULE.PARAM=VALUE (a number, true, false, {top=0.7}) as changes of rules."""
    import tomllib

    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, text = setting.removeprefix("filter.").partition("=")
        rule, dot, parameter = name.partition(".")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = None
        if not equals or not dot or value is None:
            raise RecipeError(f"--what-if takes RULE.PARAM=VALUE, found {setting!r}")
        changes.setdefault(rule, {})[parameter] = value
    return changes


def _what_if(found: Json) -> Told:
    everything, kept, captions = found["all"], found["kept"], found["captions"]
    tokens = f"about {kept['tokens']:.0f} visual tokens" if "tokens" in kept else "visual tokens unknown"
    cost = "unknown of assets, which are not cut into clips yet"
    if captions:
        hours = captions["seconds"] / 3600
        cost = f"{captions['rows']} clips, duplicates included, {hours:.3f} hours of one core"
    lines = [
        f"kept {kept['rows']} of {everything['rows']} rows, {kept['seconds'] / 3600:.3f} of "
        f"{everything['seconds'] / 3600:.3f} hours, {tokens}",
        f"against the recipe: +{found['gained']} -{found['lost']}",
        f"captions: {cost}",
        "",
        f"{'rule':<24}{'alone':>9}{'only it':>9}{'here':>9}",
        *(f"{r['rule']:<24}{r['alone']:>9}{r['only']:>9}{r['here']:>9}" for r in found["rules"]),
        *(f"{r['rule']:<24}{'recaptions':>18}{r['rows']:>9}" for r in found["routed"]),
        "",
        f"{'corpus':<24}{'rows':>9}{'kept':>9}{'share':>9}",
    ]
    for one in found["corpora"]:
        mark = "  loses far more than the rest" if one["far"] else ""
        share = one["kept"] / max(one["rows"], 1)
        lines.append(one_line(f"{one['corpus']:<24}{one['rows']:>9}{one['kept']:>9}{share:>9.3f}{mark}"))
    return found, "\n".join(lines)


def _sweep(session: Session, changes: dict[str, dict[str, Any]], asked: str) -> Told:
    name, _, text = asked.partition("=")
    values = swept(text)
    rule, handle = handle_of(session.rules(changes), name)
    if next(p.share for p in rule.parameters if p.name == handle.parameter) is None:
        # Refused as --what-if would refuse them.
        for value in (values[0], values[-1]):
            session.rules({rule.name: {handle.parameter: value}})
    found = session.sweep(changes, name, values)
    # A rule that has texts replaced takes no row, and sends some to be captioned.
    word = "routed" if any(one["routed"] for one in found) else "taken"
    lines = [f"{'value':>12}{'kept':>10}{word:>10}{'hours':>10}{'tokens':>14}"]
    for one in found:
        kept = one["kept"]
        tokens = f"{kept['tokens']:.0f}" if "tokens" in kept else "unknown"
        numbers = f"{kept['rows']:>10}{one[word]:>10}{kept['seconds'] / 3600:>10.3f}{tokens:>14}"
        lines.append(f"{one['value']:>12.6g}{numbers}")
    return found, "\n".join(lines)


def swept(text: str) -> list[float]:
    """The values of `from:to:step`, both ends included where the step meets them."""
    try:
        first, last, by = (float(part) for part in text.split(":"))
    except ValueError:
        first, last, by = 0.0, 0.0, 0.0
    if not by > 0 or last < first:
        raise RecipeError(
            f"a sweep is RULE.PARAM=from:to:step, as not_blurred.max=0.5:0.8:0.05; found {text!r}"
        )
    many = int((last - first) / by + 1e-9) + 1
    if many > MOST_VALUES:
        raise RecipeError(f"the sweep has {many} values, expected at most {MOST_VALUES}; take a larger step")
    return [round(float(value), 12) for value in first + by * np.arange(many)]


def _boundary(found: Json) -> Told:
    lines = []
    beyond = {"reject": "rejected", "recaption": "sent to be captioned"}[found["otherwise"]]
    for side, word in (("rejected", beyond), ("kept", "kept")):
        lines.append(f"just {word}, nearest to {found['name']} first:")
        for card in found[side]:
            when = "" if card.get("start_s") is None else f" from {card['start_s']:.1f} s"
            lines.append(one_line(f"  {card['value']:<12.6g}{card['id']}  {card.get('source_uri')}{when}"))
    return found, "\n".join(lines)


def _calibrate(desk: Desk, session: Session, asked: Asked) -> Told:
    goals = [(goal, target) for goal, target in asked.goals.items() if target is not None]
    if len(goals) != 1:
        raise RecipeError("--calibrate needs one of --precision, --recall and --keep with a share, as 0.9")
    goal, target = goals[0]
    labels = read_labels(asked.labels) if asked.labels else desk.votes.labels()
    assert asked.calibrate is not None
    handle, found = calibrated(session, asked.calibrate, cast(Goal, goal), target, labels)
    return {"name": handle.name, "side": handle.side, **asdict(found)}, _calibrated(handle, found)


def _calibrated(handle: Handle, found: Calibration) -> str:
    lines = [
        f"{handle.name}: keep {handle.axis} {handle.sense} {found.value!r} for {found.goal} {found.target:g}",
        f"  95 % interval {_end(found.low)} to {_end(found.high)}, on {found.rows} "
        f"{'rows' if found.goal == 'keep' else 'labelled rows'}",
    ]
    for name, share in (("keeps", found.kept), ("precision", found.precision), ("recall", found.recall)):
        if share is not None:
            lines.append(f"  {name} {share.value:.3f} ({share.low:.3f} to {share.high:.3f})")
    return "\n".join([*lines, f'  to take it: SET="filter.{handle.name}={found.value!r}"'])


def _end(value: float | None) -> str:
    return "no bound (too few rows)" if value is None else f"{value:.6g}"


def _diff(session: Session, other: Recipe) -> Told:
    """The clips that flip when another recipe's rules judge, and the rules that differ."""
    theirs = session.universe.rules(other.rules)
    gained, lost = (session.universe.ids(places) for places in session.flipped(session.saved, theirs))
    rules = _differing(session, theirs)
    kept = int(session.trial.kept(session.saved).sum())
    found = {
        "recipes": [session.recipe.name, other.name],
        "kept": [kept, kept + len(gained) - len(lost)],
        "rules": rules,
        "gained": gained,
        "lost": lost,
    }
    lines = [f"{session.recipe.name} keeps {kept} rows, {other.name} {kept + len(gained) - len(lost)}"]
    lines += [f"  {rule}: {before} -> {after}" for rule, (before, after) in rules.items()]
    for word, ids in (("gained", gained), ("lost", lost)):
        lines.append(f"{word}: {len(ids)}")
        cards = [session.clips.card(id_) for id_ in ids[:20]]
        lines += [one_line(f"  {card['id']}  {card.get('source_uri')}") for card in cards]
    return found, "\n".join(lines)


def _differing(session: Session, theirs: Sequence[Any]) -> dict[str, tuple[str, str]]:
    mine, others = ({r.name: r for r in rules if r.enabled} for rules in (session.saved, theirs))
    names = dict.fromkeys([*mine, *others])
    told = {n: tuple(rules[n].spelled() if n in rules else "off" for rules in (mine, others)) for n in names}
    return {name: (both[0], both[1]) for name, both in told.items() if both[0] != both[1]}

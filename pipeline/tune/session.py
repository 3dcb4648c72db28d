"""The answers that the tuning page and its terminal twins show: JSON values, made of stored columns only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.handles import Handle, check_thresholds, handle_of, handles
from filters.rules import Rule, override
from filters.trial import Mask, Trial, Values, rejecting
from manifests.errors import RecipeError, nearest
from pipeline.context import JUDGES
from pipeline.recipe import Recipe
from pipeline.retention import far_more
from pipeline.tune.clips import Clips
from pipeline.tune.universe import ROWS_OF, Universe, judging

Json = dict[str, Any]
Changes = Mapping[str, Mapping[str, Any]]
Places = npt.NDArray[np.int64]

BINS = 64
QUANTILES = tuple(n / 100 for n in range(101))


@dataclass(frozen=True)
class Session:
    """A work directory, a recipe, and the step whose rules are tuned. `changes` say what differs from the
    recipe's rules, as `filters.rules.override` takes them."""

    out: Path
    recipe: Recipe
    step: str

    @classmethod
    def open(cls, out: Path, recipe: Recipe, step: str | None = None) -> Session:
        """Raises RecipeError for a step that judges nothing, ManifestError for a directory without rows."""
        known = judging(out, recipe)
        if step is not None and step not in known:
            raise RecipeError(f"no rules of {step!r} can be tuned here; {nearest(step, known)}")
        return cls(out, recipe, step or known[0])

    @cached_property
    def universe(self) -> Universe:
        return Universe.open(self.out, self.step, self.recipe)

    @property
    def trial(self) -> Trial:
        return self.universe.trial

    @property
    def manifest_digest(self) -> str:
        """The digest of the rows that are judged."""
        return self.universe.manifest.digest

    @cached_property
    def digest(self) -> str:
        """Changes with the rows that are judged, and with the rules."""
        rules = [rule.identity() for rule in self.recipe.rules]
        return hashlib.sha256(f"{self.manifest_digest} {rules}".encode()).hexdigest()[:16]

    @cached_property
    def clips(self) -> Clips:
        return Clips.open(self.out, assets=self.step == "ingest")

    @cached_property
    def saved(self) -> tuple[Rule, ...]:
        """The recipe's rules that this step judges."""
        return self.universe.rules(self.recipe.rules)

    def rules(self, changes: Changes) -> tuple[Rule, ...]:
        """The rules with changes; raises RecipeError for an unknown rule or threshold, or a wrong value."""
        known = {rule.name: rule for rule in self.saved}
        for name, change in changes.items():
            if name not in known:
                raise RecipeError(self._absent(name, known))
            parameters = [parameter.name for parameter in known[name].parameters]
            for key in change:
                if key not in ("enabled", *parameters):
                    raise RecipeError(f"{name} has no threshold {key!r}; {nearest(key, parameters)}")
        rules = override(self.saved, changes)
        check_thresholds(rules)
        return rules

    def recipes_values(self, changes: Changes) -> Changes:
        """What the recipe says where there are changes."""
        known = {rule.name: {"enabled": rule.enabled, **rule.identity()["parameters"]} for rule in self.saved}
        return {name: {key: known[name][key] for key in change} for name, change in changes.items()}

    def _absent(self, name: str, known: Iterable[str]) -> str:
        """Why a rule cannot be tuned here."""
        rule = next((rule for rule in self.recipe.rules if rule.name == name), None)
        if rule is None:
            return f"unknown rule {name!r}; {nearest(name, known)}"
        step = next(step for step, after in JUDGES.items() if rule.after in after)
        if step != self.step and step not in judging(self.out, self.recipe):
            return (
                f"{name} is judged by {step}, on rows of {ROWS_OF[step]}, which is not finished here; run it"
            )
        if step != self.step:
            return f"{name} is judged by {step}; take --step {step}"
        return f"{name} is off, and what it reads was not computed: {', '.join(rule.columns)}"

    def start(self) -> Json:
        """What does not change while people tune: rules, measures, corpora, rates."""
        rate, how = self.universe.caption_s
        return {
            "out": self.out.name,
            "recipe": self.recipe.name,
            "step": self.step,
            "steps": judging(self.out, self.recipe),
            "rows": self.trial.count,
            "rules": [self._rule(rule) for rule in self.saved],
            "measures": [
                {"name": c.name, "unit": c.unit, "meaning": c.meaning} for c in self.universe.measures
            ],
            "caption_s": {"value": rate, "how": how},
        }

    def _rule(self, rule: Rule) -> Json:
        bounds = {handle.parameter: handle for handle in handles(rule)}
        return {
            **rule.model_dump(include={"name", "after", "keep", "why", "otherwise", "unscored", "enabled"}),
            "kinds": list(rule.kinds),
            "parameters": [
                {
                    **parameter.model_dump(exclude={"by_corpus"}, exclude_none=True),
                    "handle": _told(bounds.get(parameter.name)),
                }
                for parameter in rule.parameters
            ],
        }

    def what_if(self, changes: Changes) -> Json:
        """Totals, flips against the recipe, the effect of each rule, and retention by corpus. Of assets,
        which are not cut into clips yet, neither tokens nor captions are known."""
        rules, trial = self.rules(changes), self.trial
        kept, before = trial.kept(rules), trial.kept(self.saved)
        return {
            "all": trial.totals(np.ones(trial.count, bool)),
            "kept": trial.totals(kept),
            "saved": trial.totals(before),
            "gained": int((kept & ~before).sum()),
            "lost": int((before & ~kept).sum()),
            "captions": None if self.step == "ingest" else self._captions(rules, kept),
            "rules": trial.effect(rules),
            "routed": self._routed(rules, kept),
            "corpora": self.corpora(kept),
        }

    def _routed(self, rules: tuple[Rule, ...], kept: Mask) -> list[Json]:
        """Of each rule that sends rows to be captioned anew: how many of those kept."""
        routing = [rule for rule in rules if rule.enabled and rule.otherwise == "recaption"]
        fails = self.trial.fails(routing)
        return [{"rule": r.name, "rows": int((f & kept).sum())} for r, f in zip(routing, fails, strict=True)]

    def _captions(self, rules: tuple[Rule, ...], kept: Mask) -> Json:
        """How many kept rows are captioned, and the seconds of one core that this takes."""
        rows = self._captioned(rules, kept)
        return {"rows": rows, "seconds": rows * self.universe.caption_s[0]}

    def _captioned(self, rules: tuple[Rule, ...], kept: Mask) -> int:
        """How many kept rows the recipe has captioned: all, or only those routed there or without a text."""
        chosen = next((getattr(s, "caption_rows", None) for s in self.recipe.stages["caption"]), "all")
        if chosen == "all" or "source_texts" not in self.universe.names:
            return int(kept.sum())
        routing = [rule for rule in rules if rule.enabled and rule.otherwise == "recaption"]
        asked = np.logical_or.reduce([self.universe.without_text, *self.trial.fails(routing)])
        return int((kept & asked).sum())

    def corpora(self, kept: Mask) -> list[Json]:
        """Rows, kept rows and hours by corpus, and the share that the `rest` keeps; `far` marks a corpus that
        loses far more than the rest."""
        names, codes = self.universe.corpora
        lost, stay = np.bincount(codes + len(names) * kept, minlength=2 * len(names)).reshape(2, len(names))
        rows = lost + stay
        hours = np.bincount(codes, kept * self.trial.weights["seconds"], len(names)) / 3600
        others, theirs = rows.sum() - rows, stay.sum() - stay
        return [
            {
                "corpus": name,
                "rows": int(rows[at]),
                "kept": int(stay[at]),
                "hours": float(hours[at]),
                "rest": float(theirs[at] / max(others[at], 1)),
                "far": bool(others[at]) and far_more(lost[at], rows[at], others[at] - theirs[at], others[at]),
            }
            for at, name in enumerate(names)
        ]

    def histogram(self, changes: Changes, name: str, *, scale: str = "linear", bins: int = BINS) -> Json:
        """Counts of all rows, and of those that the other rules keep, over equal bins; `name` is
        RULE.PARAMETER or a measure. `quantiles` are the hundredths of the known values."""
        rules = self.rules(changes)
        known = [c.name for c in self.universe.measures]
        rule, meant = "", np.ones(self.trial.count, bool)
        if name in known:
            values = self.universe.numbers(name)
        else:
            found, handle = self._handle(rules, name, known)
            rule, meant, values = found.name, self.trial.meant(found), self.trial.axis(found, handle)
        others = self.trial.others(rules, rule)
        finite = np.isfinite(values)
        edges = _edges(values[finite], scale, bins)
        counted = {
            "all": np.histogram(values[finite], edges)[0],
            "others": np.histogram(values[finite & others], edges)[0],
        }
        return {
            "name": name,
            "edges": [float(edge) for edge in edges],
            **{key: [int(n) for n in counts] for key, counts in counted.items()},
            "unknown": int((meant & ~finite).sum()),
            "other_kinds": int((~meant).sum()),
            "quantiles": [float(q) for q in np.quantile(values[finite], QUANTILES)] if finite.any() else [],
            "corpora": self._shares(rules, name),
        }

    def _handle(self, rules: tuple[Rule, ...], name: str, also: list[str]) -> tuple[Rule, Handle]:
        try:
            return handle_of(rules, name)
        except RecipeError as error:
            if name.partition(".")[0] in {rule.name for rule in rules}:
                raise
            raise RecipeError(
                f"{name!r} is neither a threshold nor a measure; {nearest(name, also)}"
            ) from error

    def _shares(self, rules: tuple[Rule, ...], name: str) -> Json:
        """The thresholds of each corpus, where a threshold is a share."""
        rule, _, parameter = name.partition(".")
        chosen = [r for r in rules if r.name == rule and any(p.share is not None for p in r.parameters)]
        settled = self.trial.settled(chosen)
        return {
            c: v for r in settled for p in r.parameters if p.name == parameter for c, v in p.by_corpus or ()
        }

    def overlap(self, changes: Changes) -> Json:
        """Rows that both of two rules take, pair by pair."""
        rules = self.rules(changes)
        return {"rules": [rule.name for rule in rejecting(rules)], "both": self.trial.overlap(rules)}

    def boundary(self, changes: Changes, name: str, *, n: int = 12) -> Json:
        """The clips beyond a threshold that only this rule takes, and those within it that it keeps, nearest
        first (of a share, to that of their corpus); `value` is what the threshold bounds. Clips as far are
        ordered by id."""
        rules = self.rules(changes)
        rule, handle = handle_of(rules, name)
        (fails,) = self.trial.fails([rule])
        values, margin = self.trial.axis(rule, handle), self.trial.margin(rule, handle)
        others = self.trial.others(rules, rule.name)
        beyond = margin <= 0 if handle.strict else margin < 0
        unknown = np.flatnonzero(others & self.trial.meant(rule) & ~np.isfinite(values))
        return {
            "name": handle.name,
            "otherwise": rule.otherwise,
            "rejected": self._near(values, margin, others & fails & beyond, n),
            "kept": self._near(values, margin, others & ~fails & ~beyond, n),
            "unknown": self._cards(unknown[: n // 2]),
        }

    def _near(self, values: Values, margin: Values, mask: Mask, n: int) -> list[Json]:
        at = np.flatnonzero(mask & np.isfinite(margin))
        far = np.abs(margin[at])
        if len(at) > n:
            # Every row as near as the n-th, so that equal ones are always taken by id.
            near = far <= np.partition(far, n - 1)[n - 1]
            at, far = at[near], far[near]
        return self._cards(at[np.argsort(far, kind="stable")][:n], values)

    def _cards(self, at: Places, values: Values | None = None) -> list[Json]:
        """Cards of the rows at these places, with the measures that rules read."""
        made = []
        reads = sorted({n for rule in self.saved for n in rule.expression.columns} & set(self.universe.names))
        table = self.universe.read(reads)
        for place in at.tolist():
            scores = {name: table[name][place].as_py() for name in reads}
            value = {} if values is None else {"value": float(values[place])}
            made.append({**self.clips.card(self.universe.ids([place])[0]), **value, "scores": scores})
        return made

    def flips(self, changes: Changes, *, n: int = 12, against: Recipe | None = None) -> Json:
        """The clips that changes bring back, and those that they lose, against the recipe or another one;
        first by id."""
        before = self.saved if against is None else self.universe.rules(against.rules)
        gained, lost = self.flipped(before, self.rules(changes))
        return {
            "gained": {"rows": len(gained), "cards": self._cards(gained[:n])},
            "lost": {"rows": len(lost), "cards": self._cards(lost[:n])},
        }

    def flipped(self, before: tuple[Rule, ...], after: tuple[Rule, ...]) -> tuple[Places, Places]:
        """Where the rows stand that only `after` keeps, and those that only `before` keeps."""
        kept, then = self.trial.kept(after), self.trial.kept(before)
        return np.flatnonzero(kept & ~then), np.flatnonzero(then & ~kept)

    def sweep(self, changes: Changes, name: str, values: list[float]) -> list[Json]:
        """`filters.trial.Trial.sweep` of RULE.PARAMETER."""
        rules = self.rules(changes)
        _, handle = handle_of(rules, name)
        return self.trial.sweep(rules, handle.name, values)


def _told(handle: Handle | None) -> Json | None:
    if handle is None:
        return None
    return {"axis": handle.axis, "side": handle.side, "sense": handle.sense, "name": handle.name}


def _edges(values: Values, scale: str, bins: int) -> Values:
    """The edges of bins over known values: of equal width, of equal ratio, or of equal counts."""
    if not len(values):
        return np.linspace(0.0, 1.0, bins + 1)
    low, high = float(values.min()), float(values.max())
    if scale == "quantile":
        edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
        return edges if len(edges) > 1 else np.array([low, np.nextafter(low, np.inf)])
    if scale == "log" and low > 0:
        return np.geomspace(low, max(high, low * 1.001), bins + 1)
    if scale not in ("linear", "log"):
        raise RecipeError(f"scale is {scale!r}, expected linear, log or quantile")
    return np.linspace(low, high if high > low else low + 1e-3, bins + 1)

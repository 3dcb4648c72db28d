"""What other thresholds would do: the rules over rows at hand, with only what changed judged again."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.handles import Handle
from filters.judge import KEPT, axis, outcomes
from filters.rules import Rule, override
from filters.shares import settle

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

# Rules, with their thresholds, whose outcomes are remembered: a byte a row each.
REMEMBERED = 64


@dataclass(frozen=True)
class Trial:
    """`count` rows to be judged. `read` gives named columns of them, always in the same order; `weights`
    are what totals are taken of, a float64 a row (seconds, tokens); null counts as none."""

    count: int
    read: Callable[[list[str]], pa.Table]
    weights: Mapping[str, Values] = field(default_factory=dict)
    _failing: OrderedDict[str, Mask] = field(default_factory=OrderedDict, repr=False)
    _axes: dict[str, Values] = field(default_factory=dict, repr=False)

    def settled(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """The rules with the numbers of their shares found in these rows."""
        return settle(rules, self.read)

    def fails(self, rules: Sequence[Rule]) -> list[Mask]:
        """Which rows fail each of these rules, enabled or not."""
        rules = self.settled(rules)
        keys = {_key(rule): rule for rule in rules}
        missing = {key: rule for key, rule in keys.items() if key not in self._failing}
        if missing:
            names = sorted({name for rule in missing.values() for name in rule.columns})
            made = outcomes(self.read(names or ["id"]), list(missing.values()))
            for key, rule in missing.items():
                self._failing[key] = made[rule.name].combine_chunks().to_numpy() != KEPT
                self._failing[key].flags.writeable = False
        for key in keys:
            self._failing.move_to_end(key)
        found = [self._failing[_key(rule)] for rule in rules]
        while len(self._failing) > max(REMEMBERED, len(rules)):
            self._failing.popitem(last=False)
        return found

    def kept(self, rules: Iterable[Rule]) -> Mask:
        """Which rows no enabled rule rejects."""
        return ~_any(self.fails(rejecting(rules)), self.count)

    def meant(self, rule: Rule) -> Mask:
        """Which rows are of the kinds that a rule judges."""
        if not rule.kinds:
            return np.ones(self.count, bool)
        kinds = pc.is_in(self.read(["kind"])["kind"], value_set=pa.array(rule.kinds))
        found: Mask = kinds.to_numpy().astype(bool)
        return found

    def axis(self, rule: Rule, handle: Handle) -> Values:
        """What a threshold bounds, of each row; NaN where it is unknown, and for rows of other kinds."""
        if handle.axis not in self._axes:
            found = axis(self.read(list(handle.columns)), handle.axis)
            self._axes[handle.axis] = found.to_numpy(zero_copy_only=False)
        return np.where(self.meant(rule), self._axes[handle.axis], np.nan)

    def margin(self, rule: Rule, handle: Handle) -> Values:
        """How far each row is on the right side of the threshold, below 0 beyond it; of a share, of that of
        its corpus. NaN where it is unknown."""
        (settled,) = self.settled([rule])
        parameter = next(p for p in settled.parameters if p.name == handle.parameter)
        at: Any = parameter.plain()
        if parameter.share is not None:
            known = pa.table(
                [[c for c, _ in parameter.by_corpus or ()], [v for _, v in parameter.by_corpus or ()]],
                schema=pa.schema([("corpus", pa.string()), ("at", pa.float64())]),
            )
            corpora = self.read(["corpus"])["corpus"].fill_null("")
            places = pc.index_in(corpora, value_set=known["corpus"].combine_chunks())
            at = known["at"].take(places).to_numpy()
        values = self.axis(rule, handle)
        found: Values = values - at if handle.side == "min" else at - values
        return found

    def totals(self, mask: Mask) -> dict[str, float]:
        """The number of rows under a mask, and the sum of each weight."""
        # Faster than picking values out, steadier than a dot product, whose threads wait for each other.
        sums = {name: float((values * mask).sum()) for name, values in self.weights.items()}
        return {"rows": _count(mask), **sums}

    def effect(self, rules: Iterable[Rule]) -> list[dict[str, Any]]:
        """`filters.judge.effect` of the rules that reject; in their order."""
        active = rejecting(rules)
        failing = self.fails(active)
        many, places = np.zeros(self.count, np.uint16), np.zeros(self.count, np.uint32)
        for place, fails in enumerate(failing, 1):
            many += fails
            places += np.uint16(place) * fails
        # Where one rule alone takes a row, the sum of the places is its place; all else counts at 0.
        taker = (places * (many == 1)).astype(np.intp)
        only = np.bincount(taker, minlength=len(active) + 1)
        weights = {name: np.bincount(taker, v, len(active) + 1) for name, v in self.weights.items()}
        before, told = np.zeros(self.count, bool), list[dict[str, Any]]()
        for place, (rule, fails) in enumerate(zip(active, failing, strict=True), 1):
            told.append(
                {
                    "rule": rule.name,
                    "alone": _count(fails),
                    "only": int(only[place]),
                    "here": _count(fails & ~before),
                    "weights": {name: float(sums[place]) for name, sums in weights.items()},
                }
            )
            before |= fails
        return told

    def overlap(self, rules: Iterable[Rule]) -> list[list[int]]:
        """How many rows both of two rejecting rules take, for each pair; the diagonal is what one takes."""
        failing = self.fails(rejecting(rules))
        return [[_count(a & b) for b in failing] for a in failing]

    def others(self, rules: Iterable[Rule], but: str) -> Mask:
        """Which rows all enabled rules but one keep."""
        return self.kept(rule for rule in rules if rule.name != but)

    def sweep(self, rules: Iterable[Rule], name: str, values: Iterable[float]) -> list[dict[str, Any]]:
        """What each value of one threshold, `RULE.PARAMETER`, would do, all else as it is: the value (of a
        share, the share), `kept` (totals), `taken`, the rows that only this rule takes, `routed`, those of
        the kept that it sends to be captioned, and `gained` and `lost` against the rules as they are."""
        rules = tuple(rules)
        rule = next(rule for rule in rules if rule.name == name.partition(".")[0])
        others, before = self.others(rules, rule.name), self.kept(rules)
        told = list[dict[str, Any]]()
        for value in values:
            (changed,) = override((rule,), {rule.name: {name.partition(".")[2]: _spelled(rule, name, value)}})
            (fails,) = self.fails([changed])
            takes = fails & others if rejecting([rule]) else np.zeros(self.count, bool)
            kept = others & ~takes
            routes = rule.enabled and rule.otherwise == "recaption"
            told.append(
                {
                    "value": value,
                    "kept": self.totals(kept),
                    "taken": _count(takes),
                    "routed": _count(kept & fails) if routes else 0,
                    "gained": _count(kept & ~before),
                    "lost": _count(before & ~kept),
                }
            )
        return told


def _spelled(rule: Rule, name: str, value: float) -> Any:
    """A threshold that is a share stays one."""
    parameter = next(p for p in rule.parameters if p.name == name.partition(".")[2])
    if parameter.share is None:
        return value
    return {"bottom" if parameter.top is None else "top": value}


def rejecting(rules: Iterable[Rule]) -> list[Rule]:
    """The enabled rules that reject what does not meet them, in their order."""
    return [rule for rule in rules if rule.enabled and rule.otherwise == "reject"]


def _key(rule: Rule) -> str:
    """What decides the outcome of a rule on given rows."""
    numbers = [parameter.by_corpus for parameter in rule.parameters]
    identity = {name: value for name, value in rule.identity().items() if name not in ("name", "enabled")}
    return json.dumps([identity, numbers], sort_keys=True)


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _any(masks: Iterable[Mask], count: int) -> Mask:
    found = np.zeros(count, bool)
    for mask in masks:
        found |= mask
    return found

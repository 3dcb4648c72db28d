"""A threshold that votes or labels suggest, and the precision curve behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from filters.calibrate import Calibration, Goal, curve, to_goal, to_share, wilson
from filters.handles import Handle, handle_of
from filters.rules import override
from manifests.errors import RecipeError
from pipeline.tune.session import Changes, Session

POINTS = 120


def calibrated(
    session: Session, name: str, goal: Goal, target: float, labels: Mapping[str, bool]
) -> tuple[Handle, Calibration]:
    """The threshold RULE.PARAMETER for a goal, on the labelled rows among those that the rule judges; `keep`
    needs no labels, and tells what the whole rule keeps of the rows of known value. Raises RecipeError when
    it cannot be reached."""
    rule, handle = handle_of(session.saved, name)
    values = session.trial.axis(rule, handle)
    if goal != "keep":
        at, good = _labelled(session, labels)
        return handle, _moved(handle, to_goal(values[at], good, goal, target, handle.side))
    found = _moved(handle, to_share(values, target, handle.side))
    (changed,) = override((rule,), {rule.name: {handle.parameter: {"value": found.value}}})
    (fails,) = session.trial.fails([changed])
    known = np.isfinite(values)
    return handle, replace(found, kept=wilson(int((known & ~fails).sum()), int(known.sum())))


def _moved(handle: Handle, found: Calibration) -> Calibration:
    """Calibration names the last value that is to stay; a strict bound has to lie beyond it."""
    low, high = (None if end is None else handle.met_from(end) for end in (found.low, found.high))
    return replace(found, value=handle.met_from(found.value), low=low, high=high)


def precision(
    session: Session, changes: Changes, name: str, labels: Mapping[str, bool], *, target: float = 0.9
) -> dict[str, Any]:
    """The share of good rows among the labelled ones that each threshold keeps, with its 95 % interval, and
    the threshold for a target, or why there is none."""
    rule, handle = handle_of(session.rules(changes), name)
    at, good = _labelled(session, labels)
    values = session.trial.axis(rule, handle)[at]
    known = np.isfinite(values)
    points = curve(values[known], good[known], handle.side)
    step = max(1, math.ceil(len(points) / POINTS))
    told: dict[str, Any] = {
        "votes": len(good),
        "good": int(good.sum()),
        "curve": [_point(values[known], good[known], handle, p) for p in points[::step]],
    }
    try:
        found = asdict(_moved(handle, to_goal(values, good, "precision", target, handle.side)))
    except RecipeError as error:
        return {**told, "suggestion": None, "reason": str(error)}
    return {**told, "suggestion": found, "reason": None}


def _point(values: Any, good: Any, handle: Handle, point: tuple[float, float, float]) -> dict[str, float]:
    value, _, recall = point
    kept = values >= value if handle.side == "min" else values <= value
    share = wilson(int((kept & good).sum()), int(kept.sum()))
    return {
        "value": handle.met_from(value),
        "precision": share.value,
        "low": share.low,
        "high": share.high,
        "recall": recall,
    }


def _labelled(session: Session, labels: Mapping[str, bool]) -> tuple[Any, Any]:
    """Where labelled rows stand among those judged, and which are good."""
    found = {session.universe.places.find(id_): good for id_, good in labels.items()}
    mine = {place: good for place, good in found.items() if place is not None}
    return np.array(list(mine), np.int64), np.array(list(mine.values()), bool)

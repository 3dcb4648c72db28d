"""A threshold that votes or labels suggest, and the precision curve behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from filters.calibrate import Calibration, Goal, curve, to_goal, to_share, wilson
from filters.handles import Handle, handle_of
from manifests.errors import RecipeError
from pipeline.tune.session import Changes, Session

POINTS = 120


def calibrated(
    session: Session, name: str, goal: Goal, target: float, labels: Mapping[str, bool]
) -> tuple[Handle, Calibration]:
    """The threshold RULE.PARAMETER for a goal, on the labelled rows among those judged; `keep` needs no
    labels. Raises RecipeError when it cannot be reached."""
    _, handle = handle_of(session.saved, name)
    values = session.trial.axis(handle)
    if goal == "keep":
        return handle, to_share(values, target, handle.side)
    at, good = _labelled(session, labels)
    found = to_goal(values[at], good, goal, target, handle.side)
    return handle, found


def precision(
    session: Session, changes: Changes, name: str, labels: Mapping[str, bool], *, target: float = 0.9
) -> dict[str, Any]:
    """The share of good rows among the labelled ones that each threshold keeps, with its 95 % interval, and
    the threshold for a target, or why there is none."""
    _, handle = handle_of(session.rules(changes), name)
    at, good = _labelled(session, labels)
    values = session.trial.axis(handle)[at]
    known = np.isfinite(values)
    points = curve(values[known], good[known], handle.side)
    step = max(1, math.ceil(len(points) / POINTS))
    told: dict[str, Any] = {
        "votes": len(good),
        "good": int(good.sum()),
        "curve": [_point(values[known], good[known], handle, p) for p in points[::step]],
    }
    try:
        found = asdict(to_goal(values, good, "precision", target, handle.side))
    except RecipeError as error:
        return {**told, "suggestion": None, "reason": str(error)}
    return {**told, "suggestion": found, "reason": None}


def _point(values: Any, good: Any, handle: Handle, point: tuple[float, float, float]) -> dict[str, float]:
    value, _, recall = point
    kept = values >= value if handle.side == "min" else values <= value
    share = wilson(int((kept & good).sum()), int(kept.sum()))
    return {"value": value, "precision": share.value, "low": share.low, "high": share.high, "recall": recall}


def _labelled(session: Session, labels: Mapping[str, bool]) -> tuple[Any, Any]:
    """Where labelled rows stand among those judged, and which are good."""
    places = session.universe.places
    mine = {id_: good for id_, good in labels.items() if id_ in places}
    at = np.array([places[id_] for id_ in mine], np.int64)
    return at, np.array(list(mine.values()), bool)

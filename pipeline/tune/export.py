"""The tuning page as one file that needs no server: the answers it was made with, pictures included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from filters.handles import handles
from filters.rules import Rule
from pipeline.tune import page, pairs
from pipeline.tune.clips import failures
from pipeline.tune.session import Changes, Session
from pipeline.web.pictures import data_uri
from stages.frames import spread

# What a file of a few megabytes can hold: pictures of so many clips, so many of each.
MOST_CLIPS, FRAMES_EACH, CLIPS_A_SIDE = 160, 4, 6
SWEPT = 41


def exported(session: Session, start: Mapping[str, Any], changes: Changes, *, name: str | None = None) -> str:
    """The page as HTML for these changes, opened at the threshold or measure `name`; `start` is what the live
    page begins with. It moves one threshold at a time, along 41 of its values."""
    bounds = {handle.name: rule for rule in session.saved for handle in handles(rule)}
    names = list(bounds)
    histograms = {name: session.histogram(changes, name) for name in names}
    histograms |= {c.name: session.histogram(changes, c.name) for c in session.universe.measures}
    boundaries = {name: session.boundary(changes, name, n=CLIPS_A_SIDE) for name in names}
    answers = {
        "start": {**start, "steps": [session.step], "target": None, "against": None},
        "what_if": session.what_if(changes),
        "overlap": session.overlap(changes),
        "flips": session.flips(changes, n=CLIPS_A_SIDE),
        "pairs": pairs.levels(session.out, session.clips),
        "failures": failures(session.out),
    }
    sweeps = {
        name: session.sweep(changes, name, _values(rule, name, histograms[name]))
        for name, rule in bounds.items()
    }
    ids = list(dict.fromkeys(_ids([answers, boundaries])))[:MOST_CLIPS]
    return page.alone(
        {
            "state": {"step": session.step, "changes": changes, "name": name or next(iter(names), None)},
            "changes": changes,
            "answers": answers,
            "histograms": histograms,
            "boundaries": boundaries,
            "sweeps": sweeps,
            "frames": {id_: _pictures(session, id_) for id_ in ids},
        }
    )


def _values(rule: Rule, name: str, histogram: Mapping[str, Any]) -> list[float]:
    """Values at even shares of the known ones, each once; of a threshold that is a share, even shares."""
    if any(p.share is not None for p in rule.parameters if f"{rule.name}.{p.name}" == name):
        return [float(share) for share in np.linspace(0, 1, SWEPT)[1:]]
    marks = histogram["quantiles"]
    return [float(v) for v in np.unique(np.quantile(marks, np.linspace(0, 1, SWEPT)))] if marks else []


def _ids(value: Any) -> Iterator[str]:
    """The id of every card within."""
    if isinstance(value, dict):
        if "source_uri" in value and value.get("frames"):
            yield value["id"]
        for part in value.values():
            yield from _ids(part)
    elif isinstance(value, list):
        for part in value:
            yield from _ids(part)


def _pictures(session: Session, id_: str) -> list[str]:
    frames = session.clips.frames(id_)
    return [data_uri(frames[place]) for place in spread(len(frames), FRAMES_EACH)]

"""Judging, sweeping and the tuning page over a million stored rows, by the shipped recipe's kind of rules.

`python -m benchmarks.rules [--rows 1000000] [--repeats 3]` commits a step `score` of drawn numbers, as a run
leaves it, and prints the medians of: judging ten rules, a sweep of 50 values, and every question of the page
over HTTP, each with other thresholds than before; exit code 1 when judging takes 2 s, the sweep 5 s, or the
median question 0.15 s. Beside them stands one bare DuckDB count over the same columns, as what this machine
can do now.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from starlette.testclient import TestClient

from filters.judge import judge
from manifests import columns, manifest, verdicts
from manifests.sql import query
from pipeline.tune.app import app
from pipeline.tune.terminal import desk

BUCKETS, STEP = 16, "score"
MEASURES = (
    "duration_s",
    "black_share",
    "detail",
    "freeze_share",
    "blur",
    "clip_score",
    "luma_mean",
    "motion",
)
RULES = {
    "not_dim": ("luma_mean >= $min", "min", 0.03),
    "not_still": ("motion >= $min", "min", 0.02),
    "not_long": ("duration_s <= $max", "max", 55.0),
    "not_wild": ("motion <= $max", "max", 0.99),
    "fits": ("clip_score >= $min", "min", 0.05),
}
JUDGE_S, SWEEP_S, QUESTION_S, SWEPT = 2.0, 5.0, 0.15, 50
TOKEN = "bench"


def committed(out: Path, rows: int) -> None:
    """A step `score` with drawn measures: a fifth of them decide at the shipped thresholds."""
    draw = np.random.default_rng(1)
    names: dict[str, str] = {}
    for bucket in range(BUCKETS):
        many = rows // BUCKETS
        ids = [f"{bucket:01x}{n:031x}" for n in range(many)]
        values = {name: pa.array(draw.random(many), mask=draw.random(many) < 0.02) for name in MEASURES}
        values["duration_s"] = pa.array(np.round(draw.gamma(2.0, 6.0, many), 2))
        table = pa.table(
            {
                "id": ids,
                "asset_id": ids,
                "source_uri": [f"videos/{n // 10}.mp4" for n in range(many)],
                "corpus": draw.choice(["web", "films", "talks", "sports"], many),
                "kind": ["video"] * many,
                "width_px": draw.choice([640, 1280, 1920], many),
                "height_px": draw.choice([360, 720, 1080], many),
                "frame_count": pa.array((values["duration_s"].to_numpy() * 25).astype(np.int64)),
                "location": pa.array([{"path": "gone", "offset": None, "size": 0}] * many, columns.LOCATION),
                **values,
            }
        )
        names[f"{bucket:01x}"] = manifest.put(out / STEP, f"rows-{bucket:01x}", table)
    record = {
        "inputs": "drawn",
        "rows": names,
        "tables": {"verdicts": manifest.put(out / STEP, "verdicts", verdicts.SCHEMA.empty_table())},
        "counts": {"rows": rows, "live": rows, "rejected": {}, "duplicates": {}, "failed": {}},
    }
    manifest.commit(out, STEP, record, [])


def recipe(path: Path) -> None:
    """Ten rules: five that ship, five of this bench's own."""
    off = ("aligned", "readable", "not_repetitive")
    lines = [f"[filter.{name}]\nenabled = false\n" for name in off]
    for name, (keep, parameter, value) in RULES.items():
        after = "score" if name == "fits" else "split"
        lines.append(
            f'[filter.{name}]\nafter = "{after}"\nkeep = "{keep}"\n{parameter} = {value}\n'
            f'why = "a bench"\nunscored = "keep"\n'
        )
    path.write_text("\n".join(lines))


def timed(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def questions(client: TestClient, repeat: int) -> dict[str, float]:
    """Seconds of each question of the page, with a threshold that was not asked for before."""
    changes = {"not_blurred": {"max": 0.5 + 0.01 * repeat}}
    named = {"name": "not_blurred.max"}
    bodies: dict[str, dict[str, Any]] = {
        "what_if": {},
        "histogram": named,
        "boundary": named,
        "overlap": {},
        "flips": {},
    }

    def asked(name: str, body: dict[str, Any]) -> None:
        sent = {"step": "filter", "changes": changes, **body}
        answer = client.post(f"/api/{name}", json=sent, headers={"X-Token": TOKEN})
        assert answer.status_code == 200, answer.text

    return {name: timed(lambda n=name, b=body: asked(n, b)) for name, body in bodies.items()}  # type: ignore[misc]


def measure(folder: Path, rows: int, repeats: int) -> dict[str, float]:
    """Medians in seconds, by what was done."""
    out, path = folder / "out", folder / "bench.toml"
    committed(out, rows)
    recipe(path)
    made = desk(out, str(path), (), None)
    session = made.session("filter")
    rules = [rule for rule in session.saved if rule.enabled]
    assert len(rules) == 10, "the bars are those of ten rules"
    names = sorted({name for rule in rules for name in rule.columns} | {"id"})
    table = session.universe.read(names)
    bare = "select count(*) from rows where blur <= 0.69 and detail >= 0.01 and black_share <= 0.9"
    found: dict[str, list[float]] = {}
    client = TestClient(app(made, TOKEN), base_url="http://127.0.0.1")
    found["page: start"] = [
        timed(lambda: client.post("/api/start", json={}, headers={"X-Token": TOKEN})),
    ]
    questions(client, repeats)
    for repeat in range(repeats):
        values = list(np.linspace(0.2, 0.9, SWEPT) + repeat * 1e-4)
        timings = {
            "bare count in DuckDB": timed(lambda: query(bare, {"rows": table})),
            f"judge, {len(rules)} rules": timed(lambda: judge(table, rules, step="filter")),
            f"sweep, {SWEPT} values": timed(lambda v=values: session.sweep({}, "not_blurred.max", v)),  # type: ignore[misc]
            **{f"page: {name}": seconds for name, seconds in questions(client, repeat).items()},
        }
        for name, seconds in timings.items():
            found.setdefault(name, []).append(seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.rows, options.repeats)
    bare = found["bare count in DuckDB"]
    for name, seconds in found.items():
        print(f"{name:<24}{seconds:>9.3f} s{seconds / bare:>9.1f} times the bare count")
    asked = [s for name, s in found.items() if name.startswith("page: ") and name != "page: start"]
    median = statistics.median(asked)
    print(f"{'page: median question':<24}{median:>9.3f} s, the bar is {QUESTION_S} s")
    judged = next(s for name, s in found.items() if name.startswith("judge"))
    swept = next(s for name, s in found.items() if name.startswith("sweep"))
    met = judged < JUDGE_S and swept < SWEEP_S and median < QUESTION_S
    print("all bars met" if met else f"a bar is missed: judge {JUDGE_S} s, sweep {SWEEP_S} s")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()

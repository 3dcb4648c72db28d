"""The bench of split in one run: composes its corpus, measures everybody, prints tables, writes split.json.

Exit code 1 when a bar is missed; with --quick and --accuracy the prices are not judged.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.split import corpus, tables
from benchmarks.split.bars import Bar, accuracy_bars, cost_bars, jpeg_bar
from benchmarks.split.costs import cost, python
from benchmarks.split.measured import Measured, measure
from benchmarks.split.ours import EFFORTS

QUICK_S, ACCURACY_S = 8.0, 60.0


def main(words: Sequence[str]) -> int:
    chosen = _parser().parse_args(words)
    accuracy = bool(chosen.accuracy)
    videos = corpus.made(chosen.work, _recipes(chosen))
    _say(f"corpus: {len(videos)} videos, {sum(video.seconds for video in videos) / 60:.1f} minutes")
    found: list[Measured] = []
    for video in videos:
        repeats = 1 if chosen.quick else chosen.repeats
        found.append(measure(video, chosen.work, repeats=repeats, efforts=chosen.efforts, accuracy=accuracy))
        _say(f"measured {video.name}")
    report: dict[str, Any] = {"videos": [one.as_dict() for one in found]}
    bars = accuracy_bars(found) if "exact" in chosen.efforts else []
    if not accuracy:
        _say("\nCPU seconds ÷ bare decode\n" + tables.prices(found, chosen.efforts))
        report["stills"] = _stills(chosen.work)
        bars += [*cost_bars(found), jpeg_bar(report["stills"])]
    _say("\nBoundaries by video\n" + tables.accuracy(found, chosen.efforts))
    _say("\nBoundaries by finder\n" + tables.finders(found) + "\n")
    return _judged(bars, report, chosen)


def _judged(bars: Sequence[Bar], report: dict[str, Any], chosen: argparse.Namespace) -> int:
    """Print the bars, write everything down; 1 when one is missed."""
    for bar in bars:
        _say(str(bar))
    missed = [bar.name for bar in bars if not bar.passed]
    report["bars"] = [vars(bar) | {"passed": bar.passed} for bar in bars]
    path = chosen.work / "split.json"
    path.write_text(json.dumps(report, indent=1))
    _say(f"\n{len(bars) - len(missed)} of {len(bars)} bars passed; all figures in {path}")
    if chosen.quick:
        _say("a quick run proves that the bench works; its videos are too short for its figures to count")
        return 0
    return 1 if missed else 0


def _stills(work: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=work) as folder:
        seconds: dict[str, float] = json.loads(cost(python("benchmarks.split.stills", folder)).output)
    return seconds


def _recipes(chosen: argparse.Namespace) -> list[corpus.Recipe]:
    if chosen.accuracy:
        return corpus.small(chosen.accuracy, chosen.seconds or ACCURACY_S)
    seconds = chosen.seconds or (QUICK_S if chosen.quick else corpus.SECONDS)
    return corpus.planned(seconds, chosen.only, quick=chosen.quick)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.split", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("out/bench-split"), help="where the corpus is kept")
    parser.add_argument("--seconds", type=float, help=f"length of each video ({corpus.SECONDS:g})")
    parser.add_argument("--only", nargs="+", choices=corpus.CODECS, default=corpus.CODECS, metavar="CODEC")
    parser.add_argument("--efforts", nargs="+", choices=EFFORTS, default=EFFORTS, metavar="EFFORT")
    parser.add_argument("--repeats", type=int, default=2, help="times each run is made; the cheapest counts")
    parser.add_argument("--quick", action="store_true", help="one short 360p video a coding")
    parser.add_argument(
        "--accuracy", nargs="+", type=int, metavar="SEED", help="boundaries of 360p H.264 only"
    )
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Kill the driver of a real Ray run at ten moments, each commit among them, and compare the shards with an
undisturbed run.

`python benchmarks/kills.py CORPUS WORK` prints a table; exit code 1 when a byte differs. Runs with one worker
and with two, and on the corpus under another name, are compared as well.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from manifests.files import sha256
from pipeline.steps import SHAPES
from pipeline.verify import verify

# Dies instead of giving <step>/record.json its name: the very moment of a commit.
DYING = """
import os, signal, sys
from pathlib import Path
real, dies_at = Path.replace, sys.argv[1]
def replace(self, target):
    if str(target).endswith(dies_at):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
if dies_at:
    Path.replace = replace
sys.argv = ["reelmix", *sys.argv[2:]]
from pipeline.cli import main
main()
"""
MOMENTS_S = (6.0, 10.0, 14.0, 18.0, 24.0)


def start(corpus: Path, out: Path, dies_at: str = "", workers: int = 2) -> subprocess.Popen[bytes]:
    words = ["run", "default", "--in", str(corpus), "--out", str(out), "--set", f"run.workers={workers}"]
    return subprocess.Popen(
        [sys.executable, "-c", DYING, dies_at, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file of every packed dataset."""
    found = sorted(
        path
        for name in ("video-clips", "images")
        for path in (out / "pack" / name).rglob("*")
        if path.is_file()
    )
    return {str(path.relative_to(out)): sha256(path) for path in found}


def killed_in_time(corpus: Path, out: Path) -> list[tuple[str, int]]:
    """Kill one run after the other, each later than the one before, then let it end."""
    deaths: list[tuple[str, int]] = []
    for moment_s in MOMENTS_S:
        process = start(corpus, out)
        try:
            process.wait(moment_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        deaths.append((f"after {moment_s:.0f} s", process.wait()))
    return [*deaths, ("left alone", start(corpus, out).wait())]


def killed_at_commits(corpus: Path, out: Path) -> list[tuple[str, int]]:
    """Kill at the commit of each step in turn, then let it end."""
    deaths = [(f"commit of {step}", start(corpus, out, f"{step}/record.json").wait()) for step in SHAPES]
    return [*deaths, ("left alone", start(corpus, out).wait())]


def main(corpus: Path, work: Path) -> int:
    begun = time.monotonic()
    renamed = Path(shutil.copytree(corpus, work / "renamed folder"))
    runs = {"two workers": (corpus, 2), "one worker": (corpus, 1), "renamed folder": (renamed, 2)}
    for name, (source, workers) in runs.items():
        start(source, work / name, workers=workers).wait()
    kills = {"killed in time": killed_in_time, "killed at commits": killed_at_commits}
    for name, kill in kills.items():
        for moment, code in kill(corpus, work / name):
            print(f"  {moment:<18} exit code {code}")
    expected, wrong = digests(work / "two workers"), 0
    for name in (*runs, *kills):
        same = digests(work / name) == expected and expected != {}
        findings = verify(work / name)
        wrong += not same or bool(findings)
        verdict = "equal" if same else "DIFFERENT"
        print(f"{name:<18} {len(digests(work / name))} files, {verdict}, {len(findings)} findings")
    print(f"{time.monotonic() - begun:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

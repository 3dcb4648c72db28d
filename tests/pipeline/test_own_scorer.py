"""The README's "Bring your own scorer", as it stands there, in a run of its recipe."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from manifests.views import step_view
from pipeline.tables import README
from pipeline.trace import trace
from tests.pipeline.local import run_here
from tests.stages.conftest import draw


def section(language: str) -> str:
    """The one block of that language under the heading."""
    text = README.read_text().partition("## Bring your own scorer in 15 lines\n")[2].partition("\n## ")[0]
    (found,) = re.findall(f"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_example_scores_and_filters_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variance of the Laplacian of the sharpest stored frame, by hand; a flat video is none."""
    (tmp_path / "scorers.py").write_text(section("python"))
    (tmp_path / "mine.toml").write_text(section("toml"))
    media = tmp_path / "media"
    media.mkdir()
    draw(media / "flat.mp4", frames=12, size=(128, 96))
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    cv2.imwrite(str(media / "noise.png"), noise)
    monkeypatch.chdir("/")
    settings = ["filter.not_flat.enabled=false", "filter.not_blurred.enabled=false"]
    steps = ["ingest", "split", "score", "filter"]
    run_here(media, tmp_path / "out", name=str(tmp_path / "mine.toml"), settings=settings, only=steps)
    found = step_view(tmp_path / "out", "filter", ("frames",)).to_pylist()
    rows = {row["source_uri"]: row for row in found}
    assert {"flat.mp4", "noise.png"} == set(rows)
    for row in rows.values():
        jpegs = [np.frombuffer(frame["jpeg"], np.uint8) for frame in row["frames"]]
        grays = [cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE) for jpeg in jpegs]
        expected = max(cv2.Laplacian(gray, cv2.CV_64F).var() for gray in grays)
        assert expected == row["own_sharpest"]
    (traced,) = trace(tmp_path / "out", "noise.png")["rows"]
    score = next(step for step in traced["steps"] if step["step"] == "score")
    assert {"own_sharpest": rows["noise.png"]["own_sharpest"]} == score["wrote"]["CallScorer.sharpest"]
    assert ("sharp", None) == (rows["flat.mp4"]["rejected_by"], rows["noise.png"]["rejected_by"])


def test_it_is_as_short_as_its_heading_says() -> None:
    """Fifteen lines, the imports among them."""
    assert 15 >= len([line for line in section("python").splitlines() if line])


def test_wrong_columns_end_a_run_in_one_sentence(tmp_path: Path) -> None:
    """In Ray, as a user meets it: what the function returned and what it declares, and nothing of Ray's."""
    (tmp_path / "scorers.py").write_text(
        "def sharpest(rows):\n    return rows.append_column('x', rows['id'])\n"
    )
    (tmp_path / "mine.toml").write_text(section("toml"))
    (tmp_path / "media").mkdir()
    cv2.imwrite(str(tmp_path / "media" / "grey.png"), np.full((96, 128, 3), 90, np.uint8))
    given = ["media", "out", str(tmp_path / "mine.toml")]
    run_here(tmp_path / given[0], tmp_path / given[1], name=given[2], only=["ingest", "split"])
    command = [sys.executable, "-m", "pipeline.cli", "run", "mine.toml", "--out", "out", "--only", "score"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert done.stderr.splitlines()[-1].startswith("reelmix: CallScorer.sharpest returned columns [")
    assert not re.search("ERROR|Ray|Traceback", done.stderr)

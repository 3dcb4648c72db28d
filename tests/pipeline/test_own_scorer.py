"""The README's "Bring your own scorer", as it stands there, in a run of its recipe."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from manifests.views import step_view
from pipeline.tables import README
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
    assert ("sharp", None) == (rows["flat.mp4"]["rejected_by"], rows["noise.png"]["rejected_by"])


def test_it_is_as_short_as_its_heading_says() -> None:
    """Fifteen lines, the imports among them."""
    assert 15 >= len([line for line in section("python").splitlines() if line])

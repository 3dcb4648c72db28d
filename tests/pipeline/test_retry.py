"""Failures that are tried again when a person says so, and only those."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from manifests.errors import ManifestError
from pipeline.retry import retry
from pipeline.verify import verify
from tests.pipeline.local import run_here

STEPS = ("ingest", "split")


def failed(out: Path, corpus: Path, *settings: str) -> tuple[float, dict[str, int]]:
    """The decodes of a run of two steps, and what failed in the last of them."""
    from manifests.manifest import Manifest

    log = run_here(corpus, out, only=STEPS, settings=settings)
    return log.steps["split"]["decodes"], Manifest.open(out, "split").record["counts"]["failed"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two pictures and a broken one."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, size in (("small.png", (160, 120)), ("large.png", (640, 480))):
        Image.effect_noise(size, 40).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 40)
    return folder


def test_failures_are_forgotten_by_reason(corpus: Path, tmp_path: Path) -> None:
    """After `retry` a run with other limits does the rows of that reason again and no others."""
    out = tmp_path / "out"
    _, first = failed(out, corpus, "run.deadline_s=0.001")
    assert {"deadline": 3} == first
    assert (0, first) == failed(out, corpus)
    with pytest.raises(ManifestError, match="failed with 'dead line'; did you mean 'deadline'"):
        retry(out, ["dead line"])
    assert {"ingest": {"deadline": 3}} == retry(out, ["deadline"])
    decodes, second = failed(out, corpus)
    assert (2, 1, set()) == (decodes, sum(second.values()), {"deadline"} & set(second))
    assert [] == verify(out)
    assert {"ingest": second} == retry(out)


def test_nothing_failed(tmp_path: Path) -> None:
    """Without failures there is nothing to forget."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    Image.effect_noise((160, 120), 40).save(folder / "a.png")
    failed(tmp_path / "out", folder)
    assert {} == retry(tmp_path / "out")

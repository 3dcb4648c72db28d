"""A small demo corpus, and one finished run over it, for the tests of the pipeline."""

from pathlib import Path

import pytest

from pipeline.demo.corpus import draw_corpus
from tests.pipeline.local import run_here


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The media of a small demo corpus; its truth.json lies beside it."""
    folder = tmp_path_factory.mktemp("demo")
    draw_corpus(folder, seed=5, scale=0.1)
    return folder / "corpus"


@pytest.fixture(scope="session")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of a finished run; tests that change it take a copy."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run_here(corpus, out)
    return out

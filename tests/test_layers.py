"""The house: imports go one way, Ray and heavy libraries stand where they belong, containers are opened in
one place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("manifests", "filters", "stages", "pipeline")
FILES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
HEAVY = {
    "torch",
    "open_clip",
    "faiss",
    "vllm",
    "av",
    "cv2",
    "scenedetect",
    "transformers",
    "imageio_ffmpeg",
    "ffmpeg",
}
# These run inside the decode child or are imported by a stage's open(); no verb reaches them at import.
OPENED_LATE = {
    "stages/media.py",
    "stages/split",
    "stages/dedup",
    "stages/pack",
    "stages/ingest",
    "pipeline/demo",
}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether it is imported when the file is) of every import statement."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from ((name, node in tree.body) for name in names)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way(path: Path) -> None:
    """manifests <- filters <- stages <- pipeline: no file imports from a layer above its own."""
    own = LAYERS.index(path.relative_to(ROOT).parts[0])
    above = {m for m, _ in imports(path) if m.split(".")[0] in LAYERS[own + 1 :]}
    assert set() == above


def test_ray_stands_in_two_files() -> None:
    """`import ray` stands in pipeline/run.py and pipeline/llm.py only."""
    found = {str(p.relative_to(ROOT)) for p in FILES if any(m.split(".")[0] == "ray" for m, _ in imports(p))}
    assert found <= {"pipeline/run.py", "pipeline/llm.py"}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_heavy_libraries_are_imported_where_they_are_opened(path: Path) -> None:
    """A verb that needs no model and no decoder pays for none."""
    name = str(path.relative_to(ROOT))
    early = {m.split(".")[0] for m, top in imports(path) if top} & HEAVY
    assert set() == early or any(name.startswith(late) for late in OPENED_LATE)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_media_is_opened_in_one_file(path: Path) -> None:
    """Containers and images from outside are opened in stages/media.py and nowhere else; writing is free."""
    name = str(path.relative_to(ROOT))
    opened = re.findall(
        r"\bav\.open\((?!\s*\w+, \"w\")|\bImage\.open\(|cv2\.VideoCapture\(|cv2\.imread\(", path.read_text()
    )
    assert [] == opened or name in {"stages/media.py"} or name.startswith("pipeline/demo/")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_pickle_and_no_broad_except(path: Path) -> None:
    """No pickle anywhere; `except Exception` stands in the worker's quarantine only."""
    text = path.read_text()
    assert not re.search(r"^\s*(import|from) (pickle|cloudpickle|shelve|dill)\b", text, re.MULTILINE)
    assert not re.search(r"except(\s+(Base)?Exception)?\s*:", text) or path.name == "worker.py"

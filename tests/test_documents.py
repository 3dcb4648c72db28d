"""The documents are true: tables from code are fresh, targets exist, locks carry no address."""

import dataclasses
import re
import subprocess
import tomllib
from typing import Any

import pytest

from pipeline.recipe import RECIPES, Resources
from pipeline.steps import SHAPES
from pipeline.tables import README, filled
from stages.base import Stage

ROOT = README.parent


def test_tables_of_the_readme_are_fresh() -> None:
    """`python -m pipeline.tables` would change nothing."""
    assert filled(README.read_text()) == README.read_text()


def test_readme_names_targets_that_exist() -> None:
    """Every `make TARGET` of the README stands in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    steps = re.search(r"^STEPS := (.*)$", makefile, re.MULTILINE)
    known = {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE), *(steps[1].split() if steps else [])}
    named = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", README.read_text(), re.MULTILINE)
    assert set() == {one or other for one, other in named} - known


def test_help_lists_every_target() -> None:
    """`make help` prints itself from the comments."""
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert all(f"make {name} " in shown for name in ("setup", "run", "test", "check", "inspect", "verify"))


@pytest.mark.parametrize("name", ["cpu", "gpu", "clients"])
def test_locks_have_hashes_and_no_addresses(name: str) -> None:
    """A lock pins every package with hashes and names no registry."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert "--hash=sha256:" in text
    assert not re.search(r"https?://|--index|--find-links|--extra", text)
    assert not re.search(r"^[a-z].*==.*[^\\]$", text, re.MULTILINE)


def _stated(kinds: tuple[type[Stage], ...]) -> dict[str, Any]:
    """Settings with a default, as TOML holds them; stages made by tables of their own are only comments."""
    own = [kind for kind in kinds if not kind.section and not kind.home]
    fields = {field.name: field.default for kind in own for field in dataclasses.fields(kind)}
    plain = {name: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for name, v in fields.items()}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in plain.items() if v not in (None, "")}


def test_the_embedded_recipe_states_every_setting() -> None:
    """default.toml gives each setting the default of the code; those without a default are comments."""
    stated = tomllib.loads((RECIPES / "default.toml").read_text())
    for step, kinds in SHAPES.items():
        assert _stated(kinds) == stated.get(step, {})
    assert {name: field.default for name, field in Resources.model_fields.items()} == stated["run"]

"""The documents are true: tables from code are fresh, targets exist, locks carry no address."""

import dataclasses
import re
import subprocess
import tomllib

import pytest

from pipeline.recipe import RECIPES, Resources
from pipeline.steps import SHAPES
from pipeline.tables import README, filled

ROOT = README.parent


def test_tables_of_the_readme_are_fresh() -> None:
    """`python -m pipeline.tables` would change nothing."""
    assert filled(README.read_text()) == README.read_text()


def test_readme_names_targets_that_exist() -> None:
    """Every `make TARGET` of the README stands in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    steps = re.search(r"^STEPS := (.*)$", makefile, re.MULTILINE)
    known = {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE), *(steps[1].split() if steps else [])}
    named = re.findall(r"`make ([a-z]+)|^make ([a-z]+)", README.read_text(), re.MULTILINE)
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


def test_the_embedded_recipe_states_every_setting() -> None:
    """default.toml gives each setting the default of the code; those without a default are comments."""
    stated = tomllib.loads((RECIPES / "default.toml").read_text())
    for step, kinds in SHAPES.items():
        fields = {field.name: field.default for kind in kinds for field in dataclasses.fields(kind)}
        known = {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items() if v is not None}
        assert known == stated.get(step, {})
    assert {name: field.default for name, field in Resources.model_fields.items()} == stated["run"]

"""The documents are true: tables from code are fresh, targets exist, locks carry no address."""

import re
import subprocess

import pytest

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

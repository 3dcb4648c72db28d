"""The command answers at once."""

import resource
import subprocess
import sys


def test_help_costs_little() -> None:
    """`reelmix --help` loads no engine, no decoder, no model."""
    heavy = ["ray", "torch", "cv2", "av", "duckdb", "pyarrow", "faiss"]
    code = f"""
import sys
from typer.testing import CliRunner
from pipeline.cli import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
print([m for m in {heavy} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime >= 0

"""What Ray says of a worker's end is told as the worker would have."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import ray

from manifests.errors import ManifestError
from pipeline.run import _told


class Failing:
    """A dataset whose workers end as this text says."""

    def __init__(self, text: str) -> None:
        self.text = text

    def iter_batches(self, **_: Any) -> Iterator[pa.Table]:
        raise ray.exceptions.RayError(self.text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "task()\nTraceback\nmanifests.errors.ManifestError: x cannot be read; mend it\n\nUDF failed",
            "^x cannot be read; mend it$",
        ),
        ("OSError: [Errno 28] No space left on device: 'x'", "^a worker stopped: .*No space left"),
    ],
)
def test_a_worker_is_quoted(text: str, says: str) -> None:
    """A sentence of ours passes as it is, trouble of the machine is named."""
    with pytest.raises(ManifestError, match=says):
        list(_told(Failing(text)))  # type: ignore[arg-type]


def test_a_bug_keeps_its_traceback() -> None:
    """Anything else is raised as Ray has it."""
    with pytest.raises(ray.exceptions.RayError, match="ZeroDivisionError"):
        list(_told(Failing("ZeroDivisionError: by nought")))  # type: ignore[arg-type]

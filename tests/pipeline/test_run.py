"""What Ray says of a worker's end is told as the worker would have; what workers report is counted."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
import ray
from ray.util import metrics

from manifests.errors import ManifestError
from pipeline.run import _counted, _counters, _told
from pipeline.worker import report


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


class Counted:
    """A counter of Ray's that remembers instead of exporting."""

    totals: ClassVar[Counter[tuple[str, ...]]] = Counter()

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.tag_keys = name, tag_keys

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert value > 0 and set(self.tag_keys) == set(tags)
        self.totals[self.name, *(tags[key] for key in self.tag_keys)] += value  # type: ignore[assignment]


def test_reports_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By step, as the orders lie, and stage; rows also by whether they lived; reports pass unchanged."""
    monkeypatch.setattr(metrics, "Counter", Counted)
    _counters.cache_clear()
    given = [report("SplitShots", rows=5, failed=2, decodes=3.0, media_s=7.5), report("Embed", model_calls=1)]
    order = Path("orders/of/a/customer/out/orders/split/all-1.parquet")
    assert given == list(_counted(iter(given * 2), [order]))[:2]
    _counters.cache_clear()
    expected = {
        ("reelmix_rows_total", "split", "SplitShots", "live"): 6,
        ("reelmix_rows_total", "split", "SplitShots", "failed"): 4,
        ("reelmix_failed_total", "split", "SplitShots"): 4,
        ("reelmix_decodes_total", "split", "SplitShots"): 6.0,
        ("reelmix_media_seconds_total", "split", "SplitShots"): 15.0,
        ("reelmix_model_calls_total", "split", "Embed"): 2,
    }
    assert expected == dict(Counted.totals)

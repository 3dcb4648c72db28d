"""What all tests share: no deadlines for Hypothesis, and one Ray session on the worker of the group `ray`."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

# These machines are noisy: no test depends on time.
settings.register_profile("reelmix", deadline=None)
settings.load_profile("reelmix")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray as a run starts it, with two logical CPUs."""
    import ray

    from pipeline.run import Cluster

    Cluster(2).connect()
    yield
    ray.shutdown()

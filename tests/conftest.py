"""One Ray session for the suite; tests that use it stand in the group `ray` and so on one worker."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray as a run starts it, with two logical CPUs."""
    import ray

    from pipeline.run import Cluster

    Cluster(2).connect()
    yield
    ray.shutdown()

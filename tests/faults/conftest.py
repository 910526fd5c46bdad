"""Servers of the fault tests: one broker for all of them, a Redis for each, and the deployment on both."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.redis_server import RedisServer
from tests.support.servers import Broker

FULL = os.environ.get("FULL") == "1"
"""Durations as the matrix says, not scaled to what CI bears."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis that the test may kill, fill, freeze and restore."""
    server = RedisServer.start_new()
    yield server
    server.close()


@pytest.fixture
def deploy(tmp_path: Path, kafka: Broker, redis: RedisServer) -> Iterator[Callable[..., Deployment]]:
    """Makes deployments on the session's broker and the test's Redis; keyword arguments are settings."""
    made: list[Deployment] = []

    def make(**settings: str) -> Deployment:
        servers = {"kafka": kafka.bootstrap, "redis": redis.url}
        deployment = Deployment(tmp_path, **(servers | settings)).begin()
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.close()

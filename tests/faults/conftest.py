"""Servers of the fault tests: one broker for all of them, a Redis for each, and the deployment on both."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.kafka_cluster import KafkaCluster
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.redis_server import RedisServer
from tests.support.servers import Broker
from tests.support.timeouts import allow

FULL = os.environ.get("FULL") == "1"
"""Durations as the matrix says, not scaled to what CI bears."""

TEST_SECONDS = 300
"""Of a test that says no other: several of its waits of a minute each may be long on a slow machine."""

_told = pytest.StashKey[list[str]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    allow(item, TEST_SECONDS)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a measured figure, which is shown at the end of the run."""
    return request.config.stash.setdefault(_told, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_told, []):
        terminalreporter.write_line(f"measured: {line}")


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


@pytest.fixture(scope="session")
def _proxied_kafka() -> Iterator[ProxiedKafka]:
    broker = ProxiedKafka.start_new()
    yield broker
    broker.close()


@pytest.fixture
def broker(_proxied_kafka: ProxiedKafka) -> Iterator[ProxiedKafka]:
    """A broker that the test may kill, freeze and cut off."""
    yield _proxied_kafka
    _proxied_kafka.heal()


@pytest.fixture(scope="session")
def _three_brokers() -> Iterator[KafkaCluster]:
    cluster = KafkaCluster.start_new()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(_three_brokers: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three brokers, any of which the test may kill and freeze; give `topics__replication="3"` to the deployment."""
    yield _three_brokers
    _three_brokers.heal()

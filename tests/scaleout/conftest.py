"""Clusters of servers for the tests that grow Tidemark past one machine."""

from collections.abc import Iterator

import pytest

from tests.support.redis_cluster import RedisCluster


@pytest.fixture(scope="session")
def _redis_cluster() -> Iterator[RedisCluster]:
    with RedisCluster.start_new() as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(_redis_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """Three masters with a replica each, empty; any node may be killed, frozen and failed over."""
    _redis_cluster.empty()
    yield _redis_cluster
    _redis_cluster.heal()

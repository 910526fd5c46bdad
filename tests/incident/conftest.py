"""Servers of the incident day: a broker and a Redis that may be killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.incident.day import Day
from tests.support.kafka_server import KafkaServer
from tests.support.redis_server import RedisServer


@pytest.fixture
def broker() -> Iterator[KafkaServer]:
    with KafkaServer.start_new() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer.start_new() as server:
        yield server


@pytest.fixture
def day(tmp_path: Path, broker: KafkaServer, redis: RedisServer) -> Iterator[Day]:
    with Day(tmp_path, broker.bootstrap, redis.url) as begun:
        yield begun

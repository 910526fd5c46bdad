"""The consumer under Faust, where Faust itself would end the worker."""

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from aggregator.app import build_app
from aggregator.owner import Owner
from services.settings import Settings

PARTITION = TopicPartition("frames", 0)


async def unheard(*_: object) -> None:
    """Take what a consumer would tell its app."""


@pytest.fixture
async def consumer() -> AsyncIterator[Any]:
    """Return one that has a partition, and of it no position: as while a broker is asked where the log begins."""
    app = build_app(Settings(), cast(Owner, None))
    made: Any = app.transport.create_consumer(unheard, on_partitions_revoked=unheard, on_partitions_assigned=unheard)
    client: Any = AIOKafkaConsumer()
    subscription = client._subscription
    subscription.assign_from_user([PARTITION])
    # It has fetched before, and just now.
    subscription.subscription.assignment.state_value(PARTITION).timestamp = time.monotonic() * 1000
    made._thread._consumer = client
    made._thread.time_started = time.monotonic()
    with patch.object(client, "_fetcher", SimpleNamespace(_subscriptions=subscription)):
        yield made
    await client.stop()
    made._thread.thread_loop.close()


async def test_a_position_that_is_set_back_does_not_end_the_worker(consumer: Any) -> None:
    assert len(consumer.assignment()) == 1
    await consumer.verify_all_partitions_active()

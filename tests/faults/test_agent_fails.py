"""What the agent cannot take ends the worker with its sentence; it does not go on behind it."""

import asyncio
from collections.abc import Callable

import pytest

from services.kafka import make_producer
from services.lifecycle import Exit
from services.settings import Settings
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]


def test_a_record_that_is_no_frame_ends_the_aggregator(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    aggregator = deployment.worker("aggregator", restarts=False)
    aggregator.start()
    aggregator.await_ready()
    asyncio.run(append(deployment.settings, b"rubbish"))
    ended = aggregator.await_exit()
    assert ended.code == Exit.REFUSED
    assert "not a frame" in ended.last_line
    assert max(deployment.applied()) == -1


async def append(settings: Settings, value: bytes) -> None:
    """Put a record at the end of partition 0 of the frames."""
    producer = make_producer(settings.kafka)
    await producer.start()
    await producer.send_and_wait(settings.topics.frames, value=value, partition=0)
    await producer.stop()

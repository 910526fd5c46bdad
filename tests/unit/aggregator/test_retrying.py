"""A store that is away is called again until it answers, and called away as long as anything waits for it."""

import asyncio

import pytest

from aggregator.retrying import Retrying
from services.counters import StoreRefused, StoreUnavailable
from services.health import HealthServer
from services.telemetry import Telemetry


@pytest.fixture
def health() -> HealthServer:
    return HealthServer(Telemetry("aggregator"))


def is_ready(health: HealthServer) -> bool:
    status, *_ = health.page("/readyz")
    return int(status) == 200


async def test_one_call_that_goes_on_does_not_hide_another_that_waits(health: HealthServer) -> None:
    retrying = Retrying(Telemetry("aggregator"), health)
    moved, tried = asyncio.Event(), asyncio.Event()

    async def of_a_slot_that_moves() -> str:
        if not moved.is_set():
            tried.set()
            raise StoreUnavailable("its slot is being moved")
        return "there"

    async def of_another() -> str:
        return "here"

    waiting = asyncio.create_task(retrying(of_a_slot_that_moves))
    await tried.wait()
    assert await retrying(of_another) == "here"
    assert not is_ready(health)
    moved.set()
    assert await waiting == "there"
    assert is_ready(health)


async def test_a_call_that_was_given_up_or_refused_is_waited_for_no_more(health: HealthServer) -> None:
    retrying = Retrying(Telemetry("aggregator"), health)

    tried = asyncio.Event()

    async def away() -> str:
        tried.set()
        raise StoreUnavailable("away")

    async def refused() -> str:
        raise StoreRefused("another type")

    async def answers() -> str:
        return "here"

    waiting = asyncio.create_task(retrying(away))
    await tried.wait()
    assert not is_ready(health)
    waiting.cancel()
    await asyncio.wait((waiting,))
    with pytest.raises(StoreRefused):
        await retrying(refused)
    assert await retrying(answers) == "here"
    assert is_ready(health)

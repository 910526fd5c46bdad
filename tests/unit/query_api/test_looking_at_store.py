"""Whether the API is ready: one partition after the other is looked at, and a refused one until it is mended."""

import asyncio
from http import HTTPStatus

import pytest

from query_api import serving
from query_api.serving import STORE, keep_looking_at_store, look_at_store
from services.counters import PartitionState, StoreRefused
from services.health import HealthServer
from services.identifiers import PartitionId
from services.memory_counters import MemoryCounterStore
from services.telemetry import Telemetry

PARTITIONS = 4
WRONG = PartitionId(2)


class PartlyRefused(MemoryCounterStore):
    """A store in which one partition cannot be read by this release, until it is mended."""

    wrong: PartitionId | None = WRONG

    async def state(self, partition: PartitionId) -> PartitionState | None:
        if partition == self.wrong:
            raise StoreRefused("key layout 2: install a newer release")
        return await super().state(partition)


@pytest.fixture
def health() -> HealthServer:
    server = HealthServer(Telemetry("api"))
    server.not_ready(STORE, "not asked yet")
    return server


async def test_a_start_looks_at_every_partition(health: HealthServer) -> None:
    with pytest.raises(StoreRefused, match="key layout 2"):
        await look_at_store(PartlyRefused(PARTITIONS), PARTITIONS, health, range(PARTITIONS))
    await look_at_store(MemoryCounterStore(PARTITIONS), PARTITIONS, health, range(PARTITIONS))


async def test_one_refused_partition_makes_it_not_ready_until_that_is_mended(
    health: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "LOOK_INTERVAL_S", 0.0)
    store = PartlyRefused(PARTITIONS)
    looking = asyncio.create_task(keep_looking_at_store(store, PARTITIONS, health))
    try:
        for _ in range(10 * PARTITIONS):
            await asyncio.sleep(0)
        for _ in range(2 * PARTITIONS):  # the looks at the others in between make it ready for no moment
            await asyncio.sleep(0)
            assert b"key layout 2: install a newer release" in health.page("/readyz")[2]
        store.wrong = None
        for _ in range(10 * PARTITIONS):
            await asyncio.sleep(0)
        assert health.page("/readyz")[0] == HTTPStatus.OK
    finally:
        looking.cancel()

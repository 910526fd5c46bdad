from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import Any

import httpx
import pytest
import structlog

from query_api.app import create_app
from services.memory_counters import MemoryCounterStore
from services.settings import Settings
from services.telemetry import Telemetry
from services.windows import HOUR_MS
from tests.support.api_in_process import NOW_HOUR, PARTITIONS, SETTINGS, Api, emptied_app, shared_app
from tests.support.counted import Counted
from tests.support.directory_written import DirectoryWritten

MakeApi = Callable[..., Api]


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """The log lines of the test."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
async def make_api() -> AsyncIterator[MakeApi]:
    clients: list[httpx.AsyncClient] = []

    def make(store: MemoryCounterStore | None = None, settings: Settings = SETTINGS, **parts: Any) -> Api:
        held = store or MemoryCounterStore(PARTITIONS)
        telemetry = Telemetry("api")
        app = create_app(held, settings, telemetry, clock=lambda: NOW_HOUR * HOUR_MS, **parts)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api")
        clients.append(client)
        return Api(held, telemetry, client)

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    store, app = emptied_app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
        yield Api(store, shared_app()[1], client)


@pytest.fixture
def counted() -> Counted:
    return Counted(partitions=PARTITIONS)


@pytest.fixture
def written() -> DirectoryWritten:
    """A directory without anything in it yet, read up to the API's now."""
    return DirectoryWritten(partitions=PARTITIONS, read_up_to_ms=NOW_HOUR * HOUR_MS)

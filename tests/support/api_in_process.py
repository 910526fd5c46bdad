"""The query API in the test's own process, over a store in memory."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI

from query_api.app import create_app
from services.clock import now_ms
from services.identifiers import OrganizationId, UserId
from services.memory_counters import MemoryCounterStore
from services.settings import ApiSettings, EventSettings, Settings, TopicSettings
from services.telemetry import Telemetry
from services.tokens import Claims, Role, issue_token, token_key
from services.windows import HOUR_MS

PARTITIONS = 4
NOW_HOUR = 497_000
"""2026-09-12T08:00:00Z"""

NOW_MS = NOW_HOUR * HOUR_MS

SETTINGS = Settings(
    topics=TopicSettings(frames_partitions=PARTITIONS),
    events=EventSettings(max_age=None, keep_hours=None, keep_days=None),
    # A machine that is busy answers late, which is asked in tests of its own.
    api=ApiSettings(request_timeout=60),
)


def bearer(organization: str = "acme", role: Role = Role.ADMIN, user: str = "ada") -> dict[str, str]:
    claims = Claims(subject=UserId(user), organization=OrganizationId(organization), role=role)
    token = issue_token(claims, token_key(SETTINGS.api), issued_s=now_ms() // 1000, lifetime_s=60)
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Api:
    """The app in this process, over a store in memory."""

    store: MemoryCounterStore
    telemetry: Telemetry
    client: httpx.AsyncClient

    async def get(
        self, path: str, parameters: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Ask with an administrator's token unless other headers are given."""
        return await self.client.get(path, params=parameters, headers=bearer() if headers is None else headers)

    async def blocks(self, path: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        response = await self.get(path, parameters)
        assert response.status_code == 200, response.text
        blocks: list[dict[str, Any]] = response.json()["usage"]["data"]
        return blocks


@asynccontextmanager
async def api_over(store: MemoryCounterStore, settings: Settings) -> AsyncIterator[Api]:
    """Yield an app of its own over a store: one that outlives its store remembers it."""
    telemetry = Telemetry("api")
    app = create_app(store, settings, telemetry, clock=lambda: NOW_MS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
        yield Api(store, telemetry, client)


@cache
def shared_app() -> tuple[MemoryCounterStore, Telemetry, FastAPI]:
    """The app of most tests: to build one takes longer than to ask it."""
    store, telemetry = MemoryCounterStore(PARTITIONS), Telemetry("api")
    return store, telemetry, create_app(store, SETTINGS, telemetry, clock=lambda: NOW_HOUR * HOUR_MS)


def emptied_app() -> tuple[MemoryCounterStore, FastAPI]:
    """Return the shared app over a store that holds nothing."""
    store, _, app = shared_app()
    store.partitions[:] = MemoryCounterStore(PARTITIONS).partitions
    return store, app

"""Puts the API together; nothing is read here but the shipped tiers."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import GZipMiddleware

from query_api.access import Access
from query_api.auth import Callers, callers
from query_api.directory import DirectoryReader
from query_api.errors import install_error_handlers
from query_api.facts import DirectoryFacts
from query_api.head_bounds import HeadBounds
from query_api.limiting import rate_check
from query_api.lookups import Lookups
from query_api.observing import Observing
from query_api.openapi import openapi_document
from query_api.reading import UsageReader
from query_api.repeated_names import no_repeated_names
from query_api.routes.account_utilizations import account_utilization_routes
from query_api.routes.license import license_routes
from query_api.routes.organization import organization_routes
from query_api.routes.permissions import permission_routes
from query_api.routes.quota import quota_routes
from query_api.routes.team import team_routes
from query_api.routes.usage import usage_routes
from query_api.routes.user import user_routes
from query_api.slots import SlotReader
from query_api.tiers import Tiers, load_tiers
from query_api.time_budget import TimeBudget
from query_api.verifying import TokenVerifier, token_verifier
from services.api_keys import ApiKeyStore
from services.clock import now_ms
from services.counters import CounterStore
from services.memory_api_keys import MemoryApiKeyStore
from services.redis_rates import RateStorage
from services.settings import Settings
from services.telemetry import Telemetry

_GZIP_BYTES_MIN: Final = 1_024
"""Below it, an answer of one block, it fits into one packet anyway."""

_GZIP_LEVEL: Final = 4
"""A year of days (193 kB) becomes 22 kB in 1.8 ms; at the library's level 9, 16 kB in 12 ms."""


def create_app(
    store: CounterStore,
    settings: Settings,
    telemetry: Telemetry,
    *,
    clock: Callable[[], int] = now_ms,
    tiers: Tiers | None = None,
    rate_storage: RateStorage | None = None,
    verifier: TokenVerifier | None = None,
    api_keys: ApiKeyStore | None = None,
) -> FastAPI:
    """Return the ASGI app that answers from a store.

    Args:
        clock: gives milliseconds since the epoch.
        tiers: of the quota calls; those that are shipped if None.
        rate_storage: where requests are counted if `api.rate_limit` is set; in this process if None.
        verifier: checks tokens; with the keys that the settings name if None.
        api_keys: none if None.

    Raises:
        WrongSettings: without a verifier, when `api.jwt_key_file` cannot be used.
    """
    slots = SlotReader(store, settings.topics.frames_partitions, telemetry)
    reader = UsageReader(slots, topics=settings.topics, events=settings.events, now_ms=clock)
    directory = DirectoryReader(slots, settings.topics.directory)
    app = FastAPI(openapi_url="/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False)
    tiers = tiers or load_tiers(None)
    app.openapi = partial(openapi_document, app, tuple(tiers.by_name))  # type: ignore[method-assign]
    rates = settings.api.rate_limit
    checks = [*([] if rates is None else [rate_check(rates, rate_storage)]), no_repeated_names]
    caller = callers(verifier or token_verifier(settings.api), api_keys or MemoryApiKeyStore(), clock, checks)
    access = Access(DirectoryFacts(directory))
    app.include_router(usage_routes(reader, caller.usage, access))
    for routes in _directory_routes(reader, directory, tiers, caller, access):
        app.include_router(routes)
    install_error_handlers(app)
    # From the inside out.
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_BYTES_MIN, compresslevel=_GZIP_LEVEL)
    app.add_middleware(TimeBudget, seconds=settings.api.request_timeout, telemetry=telemetry)
    app.add_middleware(HeadBounds)
    app.add_middleware(Observing, telemetry=telemetry)
    return app


def _directory_routes(
    usage: UsageReader, directory: DirectoryReader, tiers: Tiers, caller: Callers, access: Access
) -> Iterator[APIRouter]:
    """Yield the routes; after those of usage, whose literal paths must come before the templates (notes A15)."""
    lookups = Lookups(directory)
    yield organization_routes(lookups, caller.usage, access)
    yield license_routes(lookups, caller.usage, access)
    yield account_utilization_routes(lookups, usage, caller.usage, access)
    yield permission_routes(lookups, caller.usage, access)
    yield team_routes(lookups, caller.usage, access)
    yield user_routes(lookups, caller.usage, access)
    yield quota_routes(directory, tiers, caller.quota, access)

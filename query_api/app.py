"""Puts the API together; no I/O happens here."""

from collections.abc import Callable
from functools import partial

from fastapi import FastAPI

from query_api.auth import caller_of
from query_api.errors import install_error_handlers
from query_api.observing import Observing
from query_api.openapi import openapi_document
from query_api.reading import UsageReader
from query_api.routes.usage import usage_routes
from query_api.slots import SlotReader
from services.clock import now_ms
from services.counters import CounterStore
from services.settings import Settings
from services.telemetry import Telemetry
from services.tokens import token_key


def create_app(
    store: CounterStore, settings: Settings, telemetry: Telemetry, *, clock: Callable[[], int] = now_ms
) -> FastAPI:
    """Return the ASGI app that answers from a store; `clock` gives milliseconds since the epoch."""
    slots = SlotReader(store, settings.topics.frames_partitions, telemetry)
    reader = UsageReader(slots, topics=settings.topics, events=settings.events, now_ms=clock)
    app = FastAPI(openapi_url="/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.openapi = partial(openapi_document, app)  # type: ignore[method-assign]
    app.include_router(usage_routes(reader, caller_of(token_key(settings.api))))
    install_error_handlers(app)
    app.add_middleware(Observing, telemetry=telemetry)
    return app

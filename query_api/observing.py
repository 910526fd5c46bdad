"""The outermost layer of the app: request id, metrics by route template, and the last resort for an exception."""

import re
from http import HTTPStatus
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api.errors import error_response, internal_error
from services.clock import monotonic_s
from services.telemetry import Telemetry

REQUEST_ID_HEADER: Final = "X-Request-ID"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


class Observing:
    """ASGI middleware. The request id is the caller's when it is one, else a random one; it is in every answer."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None

        async def send_with_id(event: Message) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
                headers = MutableHeaders(scope=event)
                headers[REQUEST_ID_HEADER] = request_id
                headers.setdefault("Cache-Control", "no-store")
            await send(event)

        started_s = monotonic_s()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                structlog.get_logger().exception("request_failed", route=route_of(scope))
                if status is not None:  # the answer has begun and cannot be taken back: let the server cut it off
                    raise
                await error_response(internal_error(), scope)(scope, receive, send_with_id)
        self._count(scope, status or HTTPStatus.INTERNAL_SERVER_ERROR, monotonic_s() - started_s)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        self._telemetry.count("tidemark_api_requests_total", route=route, status=int(status))
        self._telemetry.observe("tidemark_api_seconds", seconds, route=route)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def route_of(scope: Scope) -> str:
    """Return the route's template, `none` when no route took the request: a raw path could be anything."""
    return str(getattr(scope.get("route"), "path", "none"))

"""The operators' routes of the API, on its second port, and the gate before them.

A new route is a row in `ops_handlers`: a path, and a function of the query's parameters (`services.ops_port`).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from query_api.jwks import KeysUnavailable
from query_api.verifying import TokenVerifier
from services.event_rules import WrongTime
from services.lag_report import freshness_rows
from services.lag_states import WINDOW_S
from services.lag_watch import LagWatch
from services.ledger_reading import ledger_answer
from services.ops_port import Admit, OpsHandler, OpsRefused, only
from services.settings import Settings
from services.tokens import BadToken, NotAnOperator
from services.trace_answer import trace_answer
from services.windows import rfc3339

_IDENTITY: Final = ("organization", "source", "id")


def ops_handlers(watch: LagWatch, settings: Settings) -> Mapping[str, OpsHandler]:
    """Return every route by its path."""
    return {
        "/ops/lag": _lag_handler(watch),
        "/ops/ledger": _ledger_handler(settings),
        "/ops/trace": _trace_handler(settings),
    }


def by_ops_token(verifier: TokenVerifier) -> Admit:
    """Return the gate: a valid token of scope `ops` and no other passes."""

    async def admit(token: str) -> None:
        try:
            await verifier.operator(token)
        except BadToken as error:
            raise OpsRefused(HTTPStatus.UNAUTHORIZED, str(error)) from None
        except NotAnOperator as error:
            raise OpsRefused(HTTPStatus.FORBIDDEN, str(error)) from None
        except KeysUnavailable:
            sentence = "the keys of tokens cannot be read at the moment; try again"
            raise OpsRefused(HTTPStatus.SERVICE_UNAVAILABLE, sentence) from None

    return admit


def _lag_handler(watch: LagWatch) -> OpsHandler:
    async def lag(parameters: Mapping[str, str]) -> Any:
        only(parameters)
        look = watch.last
        if look is None:
            raise OpsRefused(HTTPStatus.SERVICE_UNAVAILABLE, "nothing was looked at yet; try again in some seconds")
        return {
            "looked_at": rfc3339(look.at_ms),
            "window_seconds": WINDOW_S,
            "kafka": look.away.kafka or "ok",
            "redis": look.away.redis or "ok",
            "lag": [asdict(row) for row in watch.rows()],
            "freshness": [asdict(row) for row in freshness_rows(look)],
        }

    return lag


def _ledger_handler(settings: Settings) -> OpsHandler:
    reading = asyncio.Lock()

    async def ledger(parameters: Mapping[str, str]) -> Any:
        only(parameters)
        # One after the other: each reads all that is kept.
        async with reading:
            return await ledger_answer(settings)

    return ledger


def _trace_handler(settings: Settings) -> OpsHandler:
    reading = asyncio.Lock()

    async def trace(parameters: Mapping[str, str]) -> Any:
        only(parameters, *_IDENTITY, "since")
        for name in _IDENTITY:
            if not parameters.get(name):
                raise OpsRefused(HTTPStatus.BAD_REQUEST, f"give {name}: an event is known by {', '.join(_IDENTITY)}")
        if reading.locked():
            raise OpsRefused(HTTPStatus.SERVICE_UNAVAILABLE, "another trace is being read; try again in some seconds")
        async with reading:
            try:
                organization, source, event_id = (parameters[name] for name in _IDENTITY)
                return await trace_answer(settings, organization, source, event_id, parameters.get("since"))
            except WrongTime as error:
                raise OpsRefused(HTTPStatus.BAD_REQUEST, f"since: {error}") from None

    return trace

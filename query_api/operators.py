"""The operators' routes of the API, on its second port, and the gate before them.

A new route is a row in `ops_handlers`: a path, and a function of the query's parameters (`services.ops_port`).
"""

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from query_api.jwks import KeysUnavailable
from query_api.verifying import TokenVerifier
from services.lag_report import freshness_rows
from services.lag_states import WINDOW_S
from services.lag_watch import LagWatch
from services.ops_port import Admit, OpsHandler, OpsRefused, only
from services.tokens import BadToken, NotAnOperator
from services.windows import rfc3339


def ops_handlers(watch: LagWatch) -> Mapping[str, OpsHandler]:
    """Return every route by its path."""
    return {
        "/ops/lag": _lag_handler(watch),
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

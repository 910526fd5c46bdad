"""The operators' routes of a process, on the port of its health: JSON, behind a token of their own.

The health server answers in threads, so that a blocked event loop is seen; a route's handler runs on the event loop,
where the clients live that it asks. A handler is given the query's parameters and returns what goes out as JSON.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import structlog

from services.counters import StoreRefused, StoreUnavailable
from services.health import Page
from services.kafka import KafkaRefused, KafkaUnavailable
from services.lifecycle import Refused

OPS_PREFIX: Final = "/ops/"
ANSWER_LIMIT_S: Final = 20.0
"""For one request, so that who asks a stuck process gets an answer too. Handlers limit themselves below it."""

OpsHandler = Callable[[Mapping[str, str]], Awaitable[object]]
"""Takes the query's parameters by name, and returns a value that msgspec makes JSON of.

It raises `OpsRefused` with the status and sentence of its answer. A server that is away is 503 by itself.
"""

Admit = Callable[[str], Awaitable[None]]
"""Takes a bearer token, and raises `OpsRefused` when it does not open these routes."""


class OpsRefused(Exception):
    """A request is not answered; the text is one sentence for the caller."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class OpsPort:
    """Answers requests from any thread, by handlers on the event loop in which it was made.

    Args:
        handlers: path -> handler, such as "/ops/lag".
        admit: the gate before all of them.
    """

    def __init__(self, handlers: Mapping[str, OpsHandler], admit: Admit, *, limit_s: float = ANSWER_LIMIT_S) -> None:
        self._handlers = handlers
        self._admit = admit
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()

    def page(self, target: str, authorization: Sequence[str]) -> Page:
        """Return the answer to a GET.

        Args:
            target: path and query.
            authorization: each header of that name.
        """
        answering = asyncio.run_coroutine_threadsafe(self._answer(target, authorization), self._loop)
        try:
            return answering.result(self._limit_s)
        except TimeoutError:
            answering.cancel()
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"no answer within {self._limit_s:g} s; try again")

    async def _answer(self, target: str, authorization: Sequence[str]) -> Page:
        path, _, query = target.partition("?")
        try:
            await self._admit(_bearer_token(authorization))
            answer = await self._handler(path)(_parameters(query))
            # In a thread: others wait for the event loop, and a long answer takes a while to write.
            return HTTPStatus.OK, "application/json", await asyncio.to_thread(msgspec.json.encode, answer)
        except OpsRefused as refusal:
            return _error(refusal.status, str(refusal))
        except (KafkaUnavailable, KafkaRefused, StoreUnavailable, StoreRefused, Refused) as error:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:  # noqa: BLE001  (one request's failure is not the end of a process that serves others)
            structlog.get_logger().exception("ops_request_failed", path=path)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "it failed; the log of this process says why")

    def _handler(self, path: str) -> OpsHandler:
        if (handler := self._handlers.get(path)) is None:
            raise OpsRefused(HTTPStatus.NOT_FOUND, f"there are {', '.join(sorted(self._handlers))}")
        return handler


def only(parameters: Mapping[str, str], *names: str) -> None:
    """Refuse parameters that a route does not know.

    Raises:
        OpsRefused: 400.
    """
    if unknown := sorted(parameters.keys() - set(names)):
        known = f"it takes {', '.join(names)}" if names else "it takes none"
        raise OpsRefused(HTTPStatus.BAD_REQUEST, f"there is no parameter {unknown[0]}: {known}")


def _bearer_token(authorization: Sequence[str]) -> str:
    if len(authorization) == 1:
        scheme, _, token = authorization[0].strip().partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    raise OpsRefused(
        HTTPStatus.UNAUTHORIZED,
        "send one header Authorization: Bearer and a token of scope ops, such as `tidemark token --scope ops` makes",
    )


def _parameters(query: str) -> Mapping[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in parameters:
            raise OpsRefused(HTTPStatus.BAD_REQUEST, f"the parameter {name} is given twice: give it once")
        parameters[name] = value
    return parameters


def _error(status: HTTPStatus, sentence: str) -> Page:
    members: dict[str, Any] = {"error": sentence}
    return status, "application/json", msgspec.json.encode(members)

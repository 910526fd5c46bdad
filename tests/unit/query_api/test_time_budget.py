import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api.time_budget import OUT_OF_TIME, TimeBudget
from services.settings import ApiSettings
from services.telemetry import Telemetry
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, SETTINGS, Api
from tests.unit.query_api.conftest import MakeApi

PATH = "/api/v1/organization/usage"
ASKED = {
    "organizationId": "acme",
    "from": rfc3339((NOW_HOUR - 24) * HOUR_MS),
    "to": rfc3339(NOW_HOUR * HOUR_MS),
    "granularity": "daily",
}
SHORT = SETTINGS.model_copy(update={"api": ApiSettings(request_timeout=0.05, redis_timeout=0.04)})

Read = Callable[..., Awaitable[None]]


def reading(api: Api, monkeypatch: pytest.MonkeyPatch, read: Read) -> Api:
    monkeypatch.setattr(api.store, "read", read)
    return api


async def never(*_: object) -> None:
    await asyncio.Event().wait()


async def test_a_store_that_never_answers_is_503_with_retry_after(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]]
) -> None:
    api = reading(make_api(settings=SHORT), monkeypatch, never)
    response = await api.get(PATH, ASKED)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json() == {
        "error": "UNAVAILABLE",
        "message": OUT_OF_TIME,
        "status": 503,
        "requestId": response.headers["X-Request-ID"],
        "details": {},
    }
    assert [(line["event"], line["route"]) for line in logged] == [("request_out_of_time", PATH)]
    page = api.telemetry.exposition()[1].decode()
    assert f'tidemark_api_timeouts_total{{route="{PATH}"}} 1.0' in page
    assert f'tidemark_api_requests_total{{route="{PATH}",status="503"}} 1.0' in page


async def test_what_is_out_of_time_is_cancelled(make_api: MakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = asyncio.Event()

    async def read(*_: object) -> None:
        try:
            await never()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    api = reading(make_api(settings=SHORT), monkeypatch, read)
    assert (await api.get(PATH, ASKED)).status_code == 503
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_the_answer_does_not_wait_for_what_takes_no_notice_of_its_cancellation(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]]
) -> None:
    may_end = asyncio.Event()

    async def read(*_: object) -> None:
        try:
            await never()
        except asyncio.CancelledError:
            await may_end.wait()
            raise RuntimeError("late") from None

    api = reading(make_api(settings=SHORT), monkeypatch, read)
    assert (await api.get(PATH, ASKED)).status_code == 503
    may_end.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)
    assert [line["event"] for line in logged] == ["request_out_of_time", "abandoned_request_failed"]


def asked() -> Scope:
    return {"type": "http", "path": "/", "headers": [], "state": {"request_id": "abc"}}


async def nothing_received() -> Message:
    raise AssertionError


async def within(app: ASGIApp, seconds: float) -> list[Message]:
    """Return what the client gets of an app under a budget."""
    sent: list[Message] = []

    async def send(event: Message) -> None:
        sent.append(event)

    await TimeBudget(app, seconds=seconds, telemetry=Telemetry("api"))(asked(), nothing_received, send)
    return sent


async def test_an_answer_that_has_begun_is_left_to_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"whole"})

    sent = await within(app, 0.01)
    assert [event.get("status", event.get("body")) for event in sent] == [200, b"whole"]


async def test_an_answer_that_comes_too_late_goes_nowhere() -> None:
    tried = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await never()
        except asyncio.CancelledError:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})
            tried.set()

    sent = await within(app, 0.01)
    await asyncio.wait_for(tried.wait(), 5)
    assert [event["status"] for event in sent if event["type"] == "http.response.start"] == [503]
    assert b"late" not in b"".join(event.get("body", b"") for event in sent)


async def test_a_server_that_stops_takes_the_request_with_it() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await never()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    serving = asyncio.create_task(within(app, 60))
    await begun.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_bug_in_time_is_the_callers_to_see() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        await within(app, 60)

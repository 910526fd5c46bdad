"""The demo asks a busy API again, and says what an API that refuses has answered."""

import urllib.request
from collections.abc import Callable, Iterator

import pytest
from tenacity import stop_after_attempt

from services.demo import NoAnswer, ask
from tests.support.answering_server import AnsweringServer

Api = Callable[..., urllib.request.Request]


@pytest.fixture
def api() -> Iterator[Api]:
    """Start a server, and return a request to it that it answers with these statuses in turn."""
    with AnsweringServer(b'{"asOf": null}') as server:

        def giving(*statuses: int) -> urllib.request.Request:
            server.statuses = list(statuses)
            return urllib.request.Request(server.url)

        yield giving


def test_a_busy_api_is_asked_again(api: Api) -> None:
    assert ask(api(503, 503, 200)) == {"asOf": None}


def test_a_refusal_is_told_at_once(api: Api) -> None:
    with pytest.raises(NoAnswer, match="the query API answered 403"):
        ask(api(403, 200))


def test_an_api_that_stays_busy_is_told_with_what_it_answered(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask.retry, "stop", stop_after_attempt(2))
    with pytest.raises(NoAnswer, match="the query API answered 503"):
        ask(api(503, 503, 200))

"""The demo asks a busy API again, and says what an API that refuses has answered."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tenacity import stop_after_attempt

from services.demo import NoAnswer, ask

Api = Callable[..., urllib.request.Request]


@pytest.fixture
def api() -> Iterator[Api]:
    """Start a server that gives these statuses in turn, and return a request to it."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0))
            self.end_headers()
            self.wfile.write(b'{"asOf": null}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:

        def giving(*wanted: int) -> urllib.request.Request:
            statuses[:] = wanted
            return urllib.request.Request(f"http://127.0.0.1:{server.server_port}")

        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield giving
        server.shutdown()


def test_a_busy_api_is_asked_again(api: Api) -> None:
    assert ask(api(503, 503, 200)) == {"asOf": None}


def test_a_refusal_is_told_at_once(api: Api) -> None:
    with pytest.raises(NoAnswer, match="the query API answered 403"):
        ask(api(403, 200))


def test_an_api_that_stays_busy_is_told_with_what_it_answered(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask.retry, "stop", stop_after_attempt(2))
    with pytest.raises(NoAnswer, match="the query API answered 503"):
        ask(api(503, 503, 200))

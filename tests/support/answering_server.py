"""A small HTTP server in the test's own process that answers every GET with what the test wants, and counts."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.support.ports import LOOPBACK


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing of a client that leaves in the middle: tests do so on purpose."""


class AnsweringServer:
    """What it answers may change between requests; `statuses` are given first, in turn.

    Answers wait for `go`; with `drip`, bytes come meanwhile.
    """

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self.status = 200
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.requests = 0
        self.drip = False
        self.go = threading.Event()
        self.go.set()
        self._server = _Server((LOOPBACK, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/jwks.json"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; the next connection is refused."""
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                while not outer.go.wait(0.2 if outer.drip else 30):
                    self.wfile.write(b"H")
                self.send_response(outer.statuses.pop(0) if outer.statuses else outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler

"""`/healthz`, `/readyz` and `/metrics` of one process, from a thread of its own, so that a blocked event loop is seen.

Healthy is what its watchdog does not find stuck (`services.watchdog`); a dependency that is away makes a process not
ready, never unhealthy (restarting it would not bring the dependency back).
"""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Final

import structlog

from services.lifecycle import Refused
from services.stuck import Look, Work
from services.telemetry import Telemetry

BEAT_INTERVAL_S: Final = 1.0
LOOK_FOR_STOP_S: Final = 10.0
"""An idle process is not to wake up for nothing; a stop knocks at the door."""

KNOCK_INTERVAL_S: Final = 0.05
SILENT_AFTER_S: Final = 5.0
"""A dependency that has not answered for so long is away: above what Kafka takes for an ordinary change of leaders."""

DEPENDENCIES: Final = frozenset({"kafka", "redis"})
"""Parts that are other programs: while one is away, work may stand still."""

Works = Callable[[], Mapping[str, Work]]

Page = tuple[HTTPStatus, str, bytes]
"""Status, content type and body."""

MountedPage = Callable[[str, Sequence[str]], Page]
"""Takes path and query, and each Authorization header; called from several threads at once."""


class HealthServer:
    """Serves a process's health; its methods may be called from any thread.

    Args:
        port: 0 takes a free one; `address` says which.
        address_file: gets `host:port` while the server runs.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        host: str = "127.0.0.1",
        port: int = 0,
        address_file: Path | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._bind = (host, port)
        self._address_file = address_file
        self._turns = 0
        self._works_of: Works = dict
        self._works: Mapping[str, Work] = {}
        self._outages = 0
        self._stuck: str | None = None
        self._parts: dict[str, str | None] = {}
        self._mounted: dict[str, MountedPage] = {}
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """`host:port` of the running server."""
        if self._server is None:
            raise RuntimeError("the health server is not running")
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        """Listen, and write the address file.

        Raises:
            Refused: the address cannot be had, or the file not be written.
        """
        server = self._server = self._listen()
        if self._address_file is not None:
            self._tell_address(self._address_file)
        self._thread = threading.Thread(
            target=server.serve_forever, args=(LOOK_FOR_STOP_S,), name="health", daemon=True
        )
        self._thread.start()

    def _listen(self) -> "_Server":
        host, port = self._bind
        try:
            return _Server(self._bind, _handler(self))
        except OSError as error:
            raise Refused(
                f"health and metrics cannot be served on {host}:{port} ({error.strerror}): free the port, or set this"
                " role's host and port (of the API health_host and health_port) to an address of this machine"
            ) from error

    def _tell_address(self, file: Path) -> None:
        try:
            _write_whole(file, self.address + "\n")
        except OSError as error:
            if self._server is not None:
                self._server.server_close()
            raise Refused(
                f"the address of health and metrics cannot be written to {file} ({error.strerror}): set this role's"
                " address_file to a place that can be written, or leave it out"
            ) from error

    def stop(self) -> None:
        """Stop listening and take the address file away; a second call does nothing."""
        if self._server is None or self._thread is None:
            return
        stopping = threading.Thread(target=self._server.shutdown, name="health-stop", daemon=True)
        stopping.start()
        while stopping.is_alive():
            # What it waits for is a request: without one it would look for the stop once in a while.
            _knock(self._server)
            stopping.join(KNOCK_INTERVAL_S)
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None
        if self._address_file is not None:
            self._address_file.unlink(missing_ok=True)

    def beat(self) -> None:
        """Say that the event loop turns, and how its work stands; called by the loop itself."""
        self._works = self._works_of()
        self._turns += 1

    @contextmanager
    def working(self, works_of: Works) -> Iterator[None]:
        """Ask for how the work stands at each beat during the block."""
        self._works_of = works_of
        try:
            yield
        finally:
            self._works_of = dict
            self._works = {}

    def look(self) -> Look:
        """Return what the watchdog judges by."""
        with self._lock:
            away = any(self._parts.get(part) is not None for part in DEPENDENCIES)
            return Look(turns=self._turns, works=self._works, outages=self._outages if away else None)

    def stuck(self, cause: str | None) -> None:
        """Say what the watchdog found, None for nothing."""
        self._stuck = cause

    def not_ready(self, part: str, why: str) -> None:
        """Name a part that the process needs and does not have; `why` is one sentence without secrets."""
        with self._lock:
            self._parts[part] = why
            self._outages += part in DEPENDENCIES

    def ready(self, part: str) -> None:
        """Say that a part is there."""
        with self._lock:
            self._parts[part] = None

    @contextmanager
    def awaiting(self, part: str, why: str) -> Iterator[None]:
        """Call a part missing when the block takes longer than `SILENT_AFTER_S`, and there when it ended well."""
        late = asyncio.get_running_loop().call_later(SILENT_AFTER_S, self._is_silent, part, why)
        try:
            yield
        finally:
            late.cancel()
        self.ready(part)

    def _is_silent(self, part: str, why: str) -> None:
        self.not_ready(part, why)
        structlog.get_logger().warning("not_ready", part=part, why=why)

    def mount(self, prefix: str, page: MountedPage) -> None:
        """Leave the paths that begin with a prefix to somebody else."""
        self._mounted[prefix] = page

    def page(self, path: str, authorization: Sequence[str] = ()) -> Page:
        """Return what a GET of the path answers."""
        for prefix, page in self._mounted.items():
            if path.startswith(prefix):
                return page(path, authorization)
        match path.partition("?")[0]:
            case "/healthz":
                return self._healthz()
            case "/readyz":
                return self._readyz()
            case "/metrics":
                content_type, body = self._telemetry.exposition()
                return HTTPStatus.OK, content_type, body
            case _:
                return _json(HTTPStatus.NOT_FOUND, {"error": "there are /healthz, /readyz and /metrics"})

    def _healthz(self) -> Page:
        if self._stuck is not None:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"stuck": self._stuck})
        return _json(HTTPStatus.OK, {"status": "healthy"})

    def _readyz(self) -> Page:
        with self._lock:
            missing = {part: why for part, why in self._parts.items() if why is not None}
        if missing:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, missing)
        return _json(HTTPStatus.OK, {"status": "ready"})


async def keep_beating(health: HealthServer) -> None:
    """Beat every second until cancelled; run it as a task of the event loop that is watched."""
    while True:
        health.beat()
        await asyncio.sleep(BEAT_INTERVAL_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, which the base class does on 0.0.0.0."""
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a prober that hangs up early is no event."""


def _knock(server: ThreadingHTTPServer) -> None:
    host, port = server.server_address[:2]
    with suppress(OSError), socket.socket(server.address_family, socket.SOCK_STREAM) as door:
        door.settimeout(1.0)
        door.connect((host, port))  # of 0.0.0.0 too, which here means this machine


def _handler(health: HealthServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds for a client to send its request, so that a silent one holds no thread

        def do_GET(self) -> None:
            status, content_type, body = health.page(self.path, self.headers.get_all("Authorization", ()))
            self.send_response(status)
            if status == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Bearer realm="tidemark-ops"')
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
            """Say nothing: probes come every few seconds."""

    return Handler


def _json(status: HTTPStatus, members: dict[str, str]) -> Page:
    return status, "application/json", json.dumps(members).encode()


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)

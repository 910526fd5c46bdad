"""What the server answers to what no HTTP client would send: always an error's body, never what happened inside."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest

from tests.support.api_process import PATIENT, ApiProcess
from tests.support.ports import LOOPBACK

pytestmark = pytest.mark.integration

USAGE = "/api/v1/organization/usage"
HOST = b"Host: x\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """A query API whose Redis is away: nothing here may get that far."""
    process = ApiProcess(f"redis://{LOOPBACK}:1/0", tmp_path_factory.mktemp("api"), **PATIENT)
    try:
        process.wait()
        yield process
    finally:
        log = process.stop()
        assert "Traceback" not in log
        assert '"level": "error"' not in log


def ask(api: ApiProcess, *parts: bytes) -> Raw:
    with socket.create_connection((LOOPBACK, api.port), timeout=10) as connection:
        with suppress(ConnectionError):  # it may be answered, and hung up on, before all is sent
            for part in parts:
                connection.sendall(part)
        with HTTPResponse(connection, method="HEAD" if parts[0].startswith(b"HEAD") else "GET") as response:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            body = response.read()
        closed = headers.get("connection") == "close" and hung_up(connection)
        return Raw(status=response.status, headers=headers, body=body, closed=closed)


def hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:  # the server had not read all that was sent
        return True


def check_error(answer: Raw) -> None:
    body = json.loads(answer.body)
    assert list(body) == ["error", "message", "status", "requestId", "details"]
    assert (body["status"], body["requestId"]) == (answer.status, answer.headers["x-request-id"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


NO_REQUESTS = {
    "words": b"hello there\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP 0.9": b"GET /\r\n\r\n",
    "NUL in the path": b"GET /\x00 HTTP/1.1\r\n" + HOST,
    "NUL in a header": b"GET / HTTP/1.1\r\nX: a\x00b\r\n" + HOST,
    "bytes beyond ASCII in the path": b"GET /\xff HTTP/1.1\r\n" + HOST,
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nX\r\n" + HOST,
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + HOST,
    "an unknown transfer coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: brotli\r\n" + HOST,
    "a length that is none": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n" + HOST,
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_what_is_no_request_is_400_and_the_end_of_the_connection(api: ApiProcess, name: str) -> None:
    answer = ask(api, NO_REQUESTS[name])
    assert (answer.status, answer.closed) == (400, True)
    check_error(answer)


def test_a_body_in_broken_chunks_is_400(api: ApiProcess) -> None:
    answer = ask(api, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"zz\r\n")
    assert answer.status == 400
    check_error(answer)


def test_a_body_that_breaks_after_the_answer_ends_the_connection(api: ApiProcess) -> None:
    with socket.create_connection((LOOPBACK, api.port), timeout=10) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST)
        with HTTPResponse(connection) as response:
            response.begin()
            assert (response.status, len(response.read()) > 0) == (404, True)
        connection.sendall(b"zz\r\n")
        assert hung_up(connection)


@pytest.mark.parametrize("kilobytes", [20, 100])
def test_a_long_target_is_refused_however_it_arrives(api: ApiProcess, kilobytes: int) -> None:
    answer = ask(api, b"GET /?" + b"a" * kilobytes * 1_000, b" HTTP/1.1\r\n" + HOST)
    assert answer.status == 400
    check_error(answer)


@pytest.mark.parametrize("kilobytes", [20, 100])
def test_long_headers_are_refused_however_they_arrive(api: ApiProcess, kilobytes: int) -> None:
    answer = ask(api, b"GET / HTTP/1.1\r\nX: ", b"a" * kilobytes * 1_000, b"\r\n" + HOST)
    assert answer.status == 400
    check_error(answer)


@pytest.mark.parametrize(
    "target",
    [b"/%00", b"/%ff%fe", b"/%zz", b"/%", b"/..%2f..%2fetc", b"//", b"*", b"http://x/api", USAGE.encode() + b"%00"],
)
def test_a_path_that_means_nothing_is_404(api: ApiProcess, target: bytes) -> None:
    answer = ask(api, b"GET " + target + b" HTTP/1.1\r\n" + HOST)
    assert answer.status == 404
    check_error(answer)


@pytest.mark.parametrize("query", [b"?%", b"?%zz=%ff", b"?\x7e=%00", b"?" + b"&" * 5_000, b"?organizationId=%00%ff"])
def test_a_query_that_means_nothing_is_an_answer_in_words(api: ApiProcess, query: bytes) -> None:
    answer = ask(api, b"GET " + USAGE.encode() + query + b" HTTP/1.1\r\n" + HOST)
    assert answer.status == 401
    check_error(answer)


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE", b"POST", b"DELETE", b"BREW", b"get"])
def test_another_method_is_405_with_what_is_allowed(api: ApiProcess, method: bytes) -> None:
    answer = ask(api, method + b" " + USAGE.encode() + b" HTTP/1.1\r\n" + HOST)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    check_error(answer)


def test_head_is_405_without_a_body(api: ApiProcess) -> None:
    answer = ask(api, b"HEAD " + USAGE.encode() + b" HTTP/1.1\r\n" + HOST)
    assert (answer.status, answer.headers["allow"], answer.body) == (405, "GET", b"")


@pytest.mark.parametrize("given", [b"\xff\xfe", b"a b", b"<script>", b"x" * 65, b""])
def test_what_is_no_request_id_is_not_sent_back(api: ApiProcess, given: bytes) -> None:
    answer = ask(api, b"GET / HTTP/1.1\r\nX-Request-ID: " + given + b"\r\n" + HOST)
    check_error(answer)
    assert answer.headers["x-request-id"].encode() != given


def test_a_request_to_upgrade_is_answered_as_any_other(api: ApiProcess) -> None:
    answer = ask(api, b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + HOST)
    assert answer.status == 404
    check_error(answer)


def test_a_request_behind_another_on_the_connection_is_judged_by_itself(api: ApiProcess) -> None:
    with socket.create_connection((LOOPBACK, api.port), timeout=10) as connection:
        connection.sendall(b"GET /nothing HTTP/1.1\r\n" + HOST + b"words\r\n\r\n")
        with connection.makefile("rb") as stream:
            answers = stream.read()
    assert answers.count(b"HTTP/1.1 404 ") == 1
    assert answers.count(b"HTTP/1.1 400 ") == 1

"""Reads a JWKS over HTTP, outside the event loop, within bounds of time and size."""

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final

from services.clock import monotonic_s
from services.token_keys import KEY_BYTES_MAX, NotKeys, VerificationKey, parse_jwks

CALL_TIMEOUT_S: Final = 3.0
"""Of connecting, and of each wait for bytes."""

BODY_TIMEOUT_S: Final = 5.0

TOTAL_TIMEOUT_S: Final = 10.0
"""Above both: for what the standard library does not bound, names and headers that come byte by byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingRead:
    """The address gave no keys; `why` is for the log."""

    why: str


Fetched = tuple[VerificationKey, ...] | NothingRead


class KeyFetcher:
    """Reads the keys at an address in a thread, one call at a time.

    The thread is not waited for at the end of the process, as one of `asyncio.to_thread` would be: a host that sends
    its headers byte by byte must not hold a stop up, and at most one thread may hang on such a host.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._last: Future[Fetched] | None = None

    async def fetch(self) -> Fetched:
        """Return the usable keys at the address within `TOTAL_TIMEOUT_S`."""
        if self._last is not None and not self._last.done():
            return NothingRead(why="the address has not ended its last answer")
        self._last = future = Future[Fetched]()
        threading.Thread(target=self._work, args=(future,), name="jwks", daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), TOTAL_TIMEOUT_S)
        except TimeoutError:
            return NothingRead(why="the address does not end its answer")

    def _work(self, future: Future[Fetched]) -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(read_keys(self._url))
        except BaseException as error:
            future.set_exception(error)
            raise


def read_keys(url: str) -> Fetched:
    """Return the usable keys at an address; blocks."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 -- the setting is http(s)
    try:
        with _opener.open(request, timeout=CALL_TIMEOUT_S) as answer:
            return parse_jwks(_body(answer.read1))
    except urllib.error.HTTPError as error:
        error.close()
        return NothingRead(why=f"the address answered {error.code}")
    except NotKeys as error:
        return NothingRead(why=f"what the address answered {error}")
    except (OSError, HTTPException, ValueError) as error:
        return NothingRead(why=f"the address does not answer: {error}")


def _body(read: Callable[[int], bytes]) -> bytes:
    """Return the body, or one byte more than it may have."""
    deadline_s = monotonic_s() + BODY_TIMEOUT_S
    body = b""
    while part := read(KEY_BYTES_MAX + 1 - len(body)):
        body += part
        if monotonic_s() > deadline_s:
            raise TimeoutError("too slow")
    return body


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Where the keys are is a setting, not the host's to say: a redirect could lead from https to http."""

    def redirect_request(self, *_: object) -> None:
        return None


_opener: Final = urllib.request.build_opener(_NoRedirects)

"""Refuses a request whose line or headers are too long, before anything reads them.

The server itself only bounds a head that comes in pieces: one that comes in a single read may have 256 kB. Both are
400, which every operation lists; 414 and 431 would say the same and be in no contract.
"""

from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from query_api.errors import ApiError, error_response

TARGET_BYTES_MAX: Final = 8_192
"""Path and query: some twenty times the longest that any operation needs."""

HEAD_BYTES_MAX: Final = 16_384
"""With the headers; as much as the server takes in pieces. A token has at most half of it."""


class HeadBounds:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = _too_long(scope) if scope["type"] == "http" else None
        await (self._app if error is None else error_response(error, scope))(scope, receive, send)


def _too_long(scope: Scope) -> ApiError | None:
    target = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if target > TARGET_BYTES_MAX:
        return ApiError(HTTPStatus.BAD_REQUEST, f"path and query have more than {TARGET_BYTES_MAX} bytes")
    if target + sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES_MAX:
        return ApiError(HTTPStatus.BAD_REQUEST, f"path, query and headers have more than {HEAD_BYTES_MAX} bytes")
    return None

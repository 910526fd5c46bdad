"""Every error answer has one body: {error, message, status, requestId, details} (contract notes A29)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from query_api.ranges import BadRange
from query_api.reading import UnknownScope
from query_api.schemas.errors import Error
from services.counters import StoreRefused, StoreUnavailable

RETRY_AFTER_S: Final = 1

_CODES: Final = {
    HTTPStatus.BAD_REQUEST: "INVALID_PARAMETER",
    HTTPStatus.UNAUTHORIZED: "UNAUTHORIZED",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
}


class ApiError(Exception):
    """An error that an operation answers with."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details or {}
        self.headers = headers or {}


def error_response(error: ApiError, request_id: str) -> JSONResponse:
    """Return the answer to an error."""
    body = Error(
        error=_CODES.get(error.status, error.status.name),
        message=error.message,
        status=error.status,
        requestId=request_id,
        details=dict(error.details),
    )
    return JSONResponse(body.model_dump(), status_code=error.status, headers=dict(error.headers))


def not_found() -> ApiError:
    """Return the one answer for what is absent and for what the caller may not know of."""
    return ApiError(HTTPStatus.NOT_FOUND, "there is no such organization, team or user")


def internal_error() -> ApiError:
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "this should not happen; the log has more under the requestId")


def install_error_handlers(app: FastAPI) -> None:
    """Give every error that the app can raise its answer; what is left is caught by `query_api.observing`."""

    def handle(kind: type[Exception]) -> None:
        async def handler(request: Request, error: Exception) -> JSONResponse:
            return error_response(_as_api_error(error), request.state.request_id)

        app.add_exception_handler(kind, handler)

    for kind in (
        ApiError,
        HTTPException,
        RequestValidationError,
        BadRange,
        UnknownScope,
        StoreUnavailable,
        StoreRefused,
    ):
        handle(kind)


def _as_api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case HTTPException():
            return _of_framework(error)
        case RequestValidationError():
            return _of_parameters({str(row["loc"][-1]): str(row["msg"]) for row in error.errors()})
        case BadRange():
            return _of_parameters({error.parameter: error.sentence}, **error.details)
        case UnknownScope():
            return not_found()
        case StoreUnavailable():
            structlog.get_logger().warning("store_unavailable", why=str(error))
            return ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the counters cannot be read at the moment; try again",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case StoreRefused():
            structlog.get_logger().error("store_refused", why=str(error))
            return internal_error()
        case _:
            raise error


def _of_parameters(problems: Mapping[str, str], **details: str | int) -> ApiError:
    sentence = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    return ApiError(HTTPStatus.BAD_REQUEST, sentence, details={"parameters": dict(problems), **details})


def _of_framework(error: HTTPException) -> ApiError:
    status = HTTPStatus(error.status_code)
    sentences = {
        HTTPStatus.NOT_FOUND: "there is no such operation",
        HTTPStatus.METHOD_NOT_ALLOWED: "this operation does not take that method",
    }
    return ApiError(status, sentences.get(status, status.phrase), headers=error.headers)

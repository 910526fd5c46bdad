"""Every error answer has the body of its family, whatever layer gives it.

Under `/organizations/` (the quota family) that is the envelope without a result (contract notes Q4), everywhere else
{error, message, status, requestId, details} (notes A29).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Scope

from query_api.ranges import BadRange
from query_api.reading import UnknownScope
from query_api.schemas.envelope import APIResponseBase, APIResponseError
from query_api.schemas.errors import Error
from services.counters import StoreRefused, StoreUnavailable

QUOTA_PATHS: Final = "/organizations/"
"""What the path of every call of the quota family begins with."""

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


def error_body(error: ApiError, *, path: str, request_id: str) -> BaseModel:
    """Return the body of the family that a path belongs to."""
    if path.startswith(QUOTA_PATHS):
        return APIResponseBase(errors=(APIResponseError(httpcode=error.status, message=error.message),))
    return Error(
        error=_CODES.get(error.status, error.status.name),
        message=error.message,
        status=error.status,
        requestId=request_id,
        details=dict(error.details),
    )


def error_response(error: ApiError, scope: Scope) -> JSONResponse:
    """Return the answer to an error; `query_api.observing` has put the request id into the scope."""
    body = error_body(error, path=scope["path"], request_id=scope["state"]["request_id"])
    return JSONResponse(body.model_dump(), status_code=error.status, headers=dict(error.headers))


def not_found() -> ApiError:
    """Return the one answer for what is absent and for what the caller may not know of."""
    return ApiError(HTTPStatus.NOT_FOUND, "there is no such organization, team or user")


def unavailable(sentence: str) -> ApiError:
    """Return the answer while something that is needed is away; it ends by itself."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, sentence, headers={"Retry-After": str(RETRY_AFTER_S)})


def internal_error() -> ApiError:
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "this should not happen; the log has more under the requestId")


def install_error_handlers(app: FastAPI) -> None:
    """Give every error that the app can raise its answer; what is left is caught by `query_api.observing`."""

    def handle(kind: type[Exception]) -> None:
        async def handler(request: Request, error: Exception) -> JSONResponse:
            return error_response(_as_api_error(error), request.scope)

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
            return of_parameters({str(row["loc"][-1]): str(row["msg"]) for row in error.errors()})
        case BadRange():
            return of_parameters({error.parameter: error.sentence}, **error.details)
        case UnknownScope():
            return not_found()
        case StoreUnavailable():
            structlog.get_logger().warning("store_unavailable", why=str(error))
            return unavailable("the counters cannot be read at the moment; try again")
        case StoreRefused():
            structlog.get_logger().error("store_refused", why=str(error))
            return internal_error()
        case _:
            raise error


def of_parameters(problems: Mapping[str, str], **details: str | int) -> ApiError:
    """Return the 400 that blames parameters, each with its sentence."""
    sentence = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    return ApiError(HTTPStatus.BAD_REQUEST, sentence, details={"parameters": dict(problems), **details})


def _of_framework(error: HTTPException) -> ApiError:
    status = HTTPStatus(error.status_code)
    sentences = {
        HTTPStatus.NOT_FOUND: "there is no such operation",
        HTTPStatus.METHOD_NOT_ALLOWED: "this operation does not take that method",
    }
    return ApiError(status, sentences.get(status, status.phrase), headers=error.headers)

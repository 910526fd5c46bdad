"""What the served OpenAPI document says beyond the routes: the error answers, their headers, no 422."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from query_api.additions import additions_member, additions_section
from query_api.as_of_header import AS_OF_HEADER
from query_api.schemas.errors import Error
from query_api.schemas.quota import CurrentTier, PricingTierConstraints
from services.release import running_version

DESCRIPTION: Final = (
    "Usage counted once per event. Every answer says with asOf how fresh it is. Ranges are half-open, in UTC, and"
    " widened outward to whole hours where hours are kept, else to whole days: a block's from and to say what was"
    " summed. A user is active in a product when the sum of its leading count (completions; interactions of chat and"
    " agent; acceptedCount of instruct) is 1 or more; active is active in any product. Distinct users are exact and"
    " must not be added up over blocks."
)

_SENTENCES: Final = {
    400: "A parameter is missing or malformed, the range is too long, or it begins before what is kept.",
    401: "The token (or, where it is taken, the API key) is missing or not valid.",
    403: "The caller's role does not reach that far, or the caller belongs to another organization.",
    404: "No such organization, team or user.",
    429: "Too many requests of this token or organization (only where rate limits are set).",
    500: "Unforeseen failure.",
    503: "The counters cannot be read at the moment, or not in time.",
}

_ALWAYS: Final = (HTTPStatus.TOO_MANY_REQUESTS,)
"""What every operation may answer besides its own errors."""

_RETRY_AFTER: Final[dict[str, Any]] = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}

_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "The challenge.", "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}

_NUMBERS_HEADERS: Final[dict[str, Any]] = {
    AS_OF_HEADER: {
        "description": "The body's asOf, in a 304 what it would be now; left out while it is unknown.",
        "schema": {"type": "string", "format": "date-time"},
    },
    "ETag": {
        "description": "Weak tag of the numbers: of the body without asOf.",
        "schema": {"type": "string", "pattern": '^W/"[0-9a-f]{32}"$'},
    },
}

IF_NONE_MATCH: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The ETag of numbers at hand, or several: 304 says that they are still the same.",
            "schema": {"type": "string"},
        }
    ]
}
"""The `openapi_extra` of an operation that answers with an ETag."""

_WITH_TIER: Final = (PricingTierConstraints.__name__, CurrentTier.__name__)
"""Schemas whose `name` is that of a tier: which there are the tiers file says."""

_REQUEST_ID: Final[dict[str, Any]] = {
    "description": "The request's X-Request-ID when it is 1 to 64 letters, digits and hyphens, else a new one.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
}


def usage_answers(*errors: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a usage call, which may answer with these errors."""
    return {
        200: {"description": "The blocks of the range.", "headers": _NUMBERS_HEADERS},
        304: {"description": "The numbers are those that If-None-Match names.", "headers": _NUMBERS_HEADERS},
    } | error_answers(*errors)


def error_answers(*statuses: int, body: type[BaseModel] = Error) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an operation that may answer with these errors, and with what every one may.

    Args:
        body: of the operation's family.
    """
    return {
        int(status): {"model": body, "description": _SENTENCES[status], "headers": _HEADERS.get(status, {})}
        for status in (*statuses, *_ALWAYS)
    }


def openapi_document(app: FastAPI, tier_names: Iterable[str]) -> dict[str, Any]:
    """Return the document; made once, then kept by the app."""
    if not app.openapi_schema:
        document = get_openapi(
            title="Tidemark usage",
            version=running_version(),
            description=f"{DESCRIPTION}\n\n{additions_section()}",
            routes=app.routes,
        )
        for path in document["paths"].values():
            for operation in path.values():
                _finish(operation["responses"])
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for with_tier in _WITH_TIER:
            schemas[with_tier]["properties"]["name"]["enum"] = list(tier_names)
        app.openapi_schema = document | {"x-additions": additions_member()}
    return app.openapi_schema


def _finish(responses: dict[str, Any]) -> None:
    """Take the framework's 422 away, which is a 400 here, and name the header that every answer has."""
    responses.pop(str(HTTPStatus.UNPROCESSABLE_ENTITY.value), None)
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-ID"] = _REQUEST_ID

"""Says in a header how fresh an answer is."""

from typing import Any, Final

from fastapi import Response

from services.windows import rfc3339

AS_OF_HEADER: Final = "Tidemark-As-Of"

_HEADERS: Final[dict[str, Any]] = {
    AS_OF_HEADER: {
        "description": "Every event that came before this instant is in the answer, or was refused; left out while"
        " that is unknown.",
        "schema": {"type": "string", "format": "date-time"},
    }
}


def dated_answer(description: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an operation that says as of when its answer is."""
    return {200: {"description": description, "headers": _HEADERS}}


def put_as_of(response: Response, as_of_ms: int | None) -> None:
    if as_of_ms is not None:
        response.headers[AS_OF_HEADER] = rfc3339(as_of_ms)

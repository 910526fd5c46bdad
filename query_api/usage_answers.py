"""How a usage answer goes out: with its age, and with a tag by which a client asks whether the numbers changed."""

from http import HTTPStatus
from typing import Final

from fastapi import Request, Response
from pydantic_core import to_json

from query_api.as_of_header import AS_OF_HEADER
from query_api.etags import is_held, weak_etag
from query_api.schemas.usage import UsageEnvelope

_MEDIA_TYPE: Final = "application/json"


def usage_answer(request: Request, body: UsageEnvelope) -> Response:
    """Return 200 with the body, or 304 when the client has these numbers already.

    The tag is that of the body without `asOf`, which moves on every second while the numbers stay. Both answers say
    in a header how fresh the numbers are now.
    """
    numbers = body.model_dump_json(by_alias=True, exclude={"as_of"}).encode()
    etag = weak_etag(numbers)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if body.as_of is not None:
        headers[AS_OF_HEADER] = body.as_of
    if is_held(etag, request.headers.getlist("If-None-Match")):
        # The compressing layer adds Vary where it looks at a body; here there is none.
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers | {"Vary": "Accept-Encoding"})
    # Written once: `asOf` is put behind the members that were tagged.
    content = b'%b,"asOf":%b}' % (numbers[:-1], to_json(body.as_of))
    return Response(content, headers=headers, media_type=_MEDIA_TYPE)

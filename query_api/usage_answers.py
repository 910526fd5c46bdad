"""How a usage answer goes out: with its age, and with a tag by which a client asks whether the numbers changed."""

from http import HTTPStatus
from typing import Final

import msgspec
from fastapi import Request, Response

from query_api.as_of_header import AS_OF_HEADER
from query_api.etags import is_held, weak_etag
from query_api.ranges import AskedRange
from query_api.reading import ScopeUsage
from query_api.usage import Members
from services.windows import rfc3339

_MEDIA_TYPE: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()


def usage_answer(request: Request, asked: AskedRange, usage: ScopeUsage, ids: Members) -> Response:
    """Return 200 with the usage, or 304 when the client has these numbers already.

    The tag is that of the body without `asOf`, which moves on every second while the numbers stay. Both answers say
    in a header how fresh the numbers are now.

    Args:
        ids: of the organization, and the team or user, by the member that repeats it.
    """
    data = msgspec.Raw(usage.blocks)
    numbers = _encoder.encode(
        {
            **ids,
            "from": rfc3339(asked.from_ms),
            "to": rfc3339(asked.to_ms),
            "usage": {"granularity": asked.granularity, "data": data},
        }
    )
    as_of = None if usage.as_of_ms is None else rfc3339(usage.as_of_ms)
    etag = weak_etag(numbers)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if as_of is not None:
        headers[AS_OF_HEADER] = as_of
    if is_held(etag, request.headers.getlist("If-None-Match")):
        # The compressing layer adds Vary where it looks at a body; here there is none.
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers | {"Vary": "Accept-Encoding"})
    # Written once: `asOf` is put behind the members that were tagged.
    content = b'%b,"asOf":%b}' % (numbers[:-1], _encoder.encode(as_of))
    return Response(content, headers=headers, media_type=_MEDIA_TYPE)

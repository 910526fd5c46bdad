"""What the server answers to bytes that are no HTTP request: the same body as every other error.

Such a request has no path and reaches no app, so it is answered by the protocol itself, which then hangs up.
"""

from http import HTTPStatus
from uuid import uuid4

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from query_api.errors import ApiError, error_body
from query_api.observing import REQUEST_ID_HEADER


class Protocol(H11Protocol):
    """uvicorn's, but for the body of its own answer."""

    def send_400_response(self, msg: str) -> None:
        """Answer with uvicorn's sentence, and hang up."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # the answer has begun: it cannot be taken back
            self.transport.close()
            return
        request_id = uuid4().hex
        error = ApiError(HTTPStatus.BAD_REQUEST, msg)
        body = error_body(error, path="", request_id=request_id).model_dump_json().encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            REQUEST_ID_HEADER: request_id,
            "Connection": "close",
        }
        for event in (
            h11.Response(status_code=error.status, headers=list(headers.items()), reason=error.status.phrase),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

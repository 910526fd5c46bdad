"""The bare route: a FastAPI app that answers with recorded bytes, on the product's own server and loop.

`python -m tests.bench.api.bare ANSWERS PORT`; the file is a JSON list of `Recorded`.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
from fastapi import FastAPI, Response

from query_api.serving import listen, serve
from services.lifecycle import Exit, run, stop_on_signals
from tests.support.ports import LOOPBACK

_OF_THE_SERVER: Final = frozenset({"date", "content-length", "connection", "transfer-encoding"})


class Recorded(msgspec.Struct, frozen=True):
    """An answer of the API, and at which path of the bare app it is given."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes


def bare_app(answers: list[Recorded]) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for answer in answers:
        app.add_api_route(answer.path, _route(answer), response_model=None)
    return app


def _route(answer: Recorded) -> Callable[[], Awaitable[Response]]:
    headers = {name: value for name, value in answer.headers if name.lower() not in _OF_THE_SERVER}

    async def bare() -> Response:
        return Response(answer.body, headers=headers)

    return bare


async def _serve(answers: list[Recorded], port: int) -> int:
    stop = await stop_on_signals()
    with listen(LOOPBACK, port) as bound:
        await serve(bare_app(answers), bound, stop)
    return Exit.ORDERED_STOP


def main() -> int:
    file, port = sys.argv[1:]
    answers = msgspec.json.decode(Path(file).read_bytes(), type=list[Recorded])
    return run(lambda: _serve(answers, int(port)))


if __name__ == "__main__":
    sys.exit(main())

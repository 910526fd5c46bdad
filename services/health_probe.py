"""Asks a process's health server, as a load balancer would.

`python -m services.health_probe HOST:PORT [/healthz]` is the image's health check: far quicker than `tidemark`, which
loads the clients of Kafka and Redis, and it comes every few seconds.
"""

import asyncio
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

TIMEOUT_S: Final = 2.0
NO_ANSWER: Final = "its health server does not answer"
USAGE: Final = "usage: python -m services.health_probe HOST:PORT [/healthz or /readyz]"


async def readiness(address: str) -> str | None:
    """Return None when the process at `host:port` is ready, else why not, in few words."""
    status, body = await _answer(address, "/readyz")
    return None if status == HTTPStatus.OK else body


def main(arguments: Sequence[str]) -> int:
    """Print what a page answers; return 0 when all is well, 1 when not, 2 when it was asked wrongly."""
    match list(arguments):
        case [address] | [address, _] if address.rpartition(":")[2].isdecimal():
            path = arguments[1] if len(arguments) > 1 else "/healthz"
        case _:
            sys.stderr.write(USAGE + "\n")
            return 2
    status, body = asyncio.run(_answer(address, path))
    sys.stdout.write(body + "\n")
    return 0 if status == HTTPStatus.OK else 1


async def _answer(address: str, path: str) -> tuple[int | None, str]:
    """Return status and body; without an answer None and why."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _get(address, path)
    except (OSError, TimeoutError, ValueError):
        return None, NO_ANSWER


async def _get(address: str, path: str) -> tuple[int, str]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode(errors="replace").partition("\r\n\r\n")
        return int(head.split(" ", 2)[1]), body.strip()
    except IndexError as error:
        raise ValueError("no HTTP answer") from error
    finally:
        writer.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

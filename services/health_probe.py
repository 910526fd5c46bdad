"""Asks a process's health server, as a load balancer would."""

import asyncio
from http import HTTPStatus
from typing import Final

TIMEOUT_S: Final = 2.0


async def readiness(address: str) -> str | None:
    """Return None when the process at `host:port` is ready, else why not, in few words."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status, body = await _get(address, "/readyz")
    except (OSError, TimeoutError, ValueError):
        return "its health server does not answer"
    return None if status == HTTPStatus.OK else body


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

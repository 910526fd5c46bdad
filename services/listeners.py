"""Whether a server that hangs up speaks TLS where plain text was sent, or plain text where TLS was: asked once more."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_ANSWER_S: Final = 2.0
_ANSWER_BYTES: Final = 16


class WrongListener(OSError):
    """A server speaks another protocol there than the settings say; the text says which, and what to do."""


async def speaks_tls(host: str, port: int) -> bool:
    """Return whether it answers the beginning of TLS; nobody is trusted, and nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            await _hang_up(writer)
            return True
    return False


async def speaks_plain(host: str, port: int, request: bytes, is_answer: Callable[[bytes], bool]) -> bool:
    """Return whether it answers a request that is not encrypted.

    Args:
        is_answer: is given the answer's first bytes.
    """
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                return is_answer(await reader.read(_ANSWER_BYTES))
            finally:
                await _hang_up(writer)
    return False


async def said_after_tls(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLError | None:
    """Return why a server hangs up on us after the beginning of TLS; None where it does not, or says nothing.

    Nothing is sent behind that beginning: the server would hang up on what comes, and its word be lost with it.
    """
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                await reader.read(_ANSWER_BYTES)
            finally:
                await _hang_up(writer)
    except ssl.SSLError as error:
        return error
    except (OSError, TimeoutError):
        pass
    return None


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close without the ceremony of TLS, for which the other side may take its time."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()

"""Whether a server answers in its own protocol, asked over a bare socket: no client library, no retries of its own."""

import socket
import struct

_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
_PROBE_SECONDS = 2.0


def redis_answers(host: str, port: int) -> bool:
    """PONG only: a server that still loads its file says LOADING, one with a password NOAUTH."""
    return _ask(host, port, b"PING\r\n").startswith(b"+PONG")


def kafka_answers(host: str, port: int) -> bool:
    """Whether the broker answers an ApiVersions request (version 0) with the same correlation id."""
    return _ask(host, port, _API_VERSIONS)[4:8] == struct.pack(">i", 1)


def _ask(host: str, port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=_PROBE_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(64)
    except OSError:
        return b""

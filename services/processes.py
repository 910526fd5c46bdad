"""Child processes that cannot outlive this one, and whose last words are kept."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_CHUNK: Final = 65_536
_TAIL_MAX: Final = 20_000
"""Bytes of output kept: a traceback in one log line is some thousands."""

Write = Callable[[bytes], None]


class Child:
    """One run of one program, in its own process group, killed by the kernel when this process dies.

    Start it from the main thread: on Linux its life hangs on the thread that started it.
    """

    def __init__(self, process: asyncio.subprocess.Process, write: Write) -> None:
        self._process = process
        self._tail = b""
        self._pump = asyncio.ensure_future(self._read_output(write))

    @classmethod
    async def start(cls, arguments: Sequence[str], environment: Mapping[str, str], write: Write) -> "Child":
        """Start a program; `write` gets its standard output and error as they come.

        Raises:
            OSError: the program cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            *arguments,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,  # Ctrl-C reaches the parent only, which stops its children in order
            preexec_fn=_die_with(os.getpid()),
        )
        return cls(process, write)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def last_line(self) -> str:
        """The last line that is not empty, as far as it was kept."""
        lines = self._tail.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def wait(self) -> int:
        """Return the exit code, minus the signal's number when killed; all output was written then."""
        code = await self._process.wait()
        # A grandchild may hold the pipe open: the output of the dead is not waited for longer.
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._pump), 1.0)
        return code

    async def stop(self, patience_s: float) -> None:
        """Ask with SIGTERM, and kill its whole group when it has not ended `patience_s` later."""
        if self.running:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_s)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.wait()
        self._pump.cancel()

    async def _read_output(self, write: Write) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(_CHUNK):
            self._tail = (self._tail + chunk)[-_TAIL_MAX:]
            write(chunk)


def _die_with(parent: int) -> Callable[[], None] | None:
    """Return what a child runs before its program, so that it is killed when its parent dies; None off Linux."""
    if sys.platform != "linux":
        return None
    # Loaded here and not in the child: between fork and exec as little as possible may happen.
    prctl = ctypes.CDLL(None).prctl

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask_the_kernel

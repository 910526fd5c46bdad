"""One role as a process of its own, as a deployment would run it."""

import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import httpx

from tests.support.child_process import ChildProcess
from tests.support.pipeline import await_condition, clean_environment

READY_SECONDS = 60


class RoleProcess:
    """`tidemark run ROLE` with a health address of its own."""

    def __init__(self, role: str, number: int, directory: Path, variables: Mapping[str, str]) -> None:
        self.name = f"{role}-{number}"
        self._address = directory / f"{self.name}.address"
        environment = dict(variables) | {f"TIDEMARK_{role.upper()}__ADDRESS_FILE": str(self._address)}
        self._child = ChildProcess(
            self.name,
            [sys.executable, "-m", "services.cli.main", "run", role, "--development"],
            directory=directory,
            log=directory / f"{self.name}.log",
            environment=clean_environment(environment),
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_until_ready(self) -> None:
        self._child.wait_until(self._is_ready, seconds=READY_SECONDS)

    def _is_ready(self) -> bool:
        if not self._address.exists():
            return False
        try:
            return httpx.get(f"http://{self._address.read_text().strip()}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def started_at(self) -> float:
        """Wait for the log's `started` line, written before the first poll; return its UNIX time."""
        found: list[float] = []

        def look() -> bool:
            assert self._child.running, self._child.tail()
            for line in self._child.written().splitlines():
                if '"started"' in line:
                    found.append(datetime.fromisoformat(json.loads(line)["time"]).timestamp())
                    return True
            return False

        await_condition(look, f"{self.name} starts", seconds=READY_SECONDS, every=0.005)
        return found[0]

    def check_running(self) -> None:
        assert self._child.running, self._child.tail()

    def sums(self) -> dict[str, float]:
        """Return the metrics that end in `_sum` or `_count`, by name: where the role's time went."""
        page = httpx.get(f"http://{self._address.read_text().strip()}/metrics", timeout=10).text
        rows = re.findall(r"^(tidemark_\w+_(?:sum|count)) (\S+)$", page, re.MULTILINE)
        return {name: float(value) for name, value in rows}

    def stop(self) -> None:
        self._child.stop()

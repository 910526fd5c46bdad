"""One process of a role under a rig: started, killed, frozen, and started again when it ends, as a supervisor would."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.supervisor import role_command
from tests.support.pipeline import ROOT, await_condition, clean_environment

RESTART_PAUSE_SECONDS = 0.3
STOP_SECONDS = 25
HTTP_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How one run ended; `code` is minus the signal's number when it was killed. `last_line` is its last words."""

    pid: int
    code: int
    last_line: str
    seconds: float


class Worker:
    """A role's process. What it writes is appended to `log`; every run's pid and end are recorded.

    Args:
        role: `ingest`, `aggregator` or `api`.
        variables: `TIDEMARK_*` of every run.
        restarts: whether what ends is started again.
        options: of `tidemark run`, in every run.
    """

    def __init__(
        self,
        role: str,
        number: int,
        directory: Path,
        variables: Mapping[str, str],
        *,
        restarts: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        self.role = role
        self.name = f"{role}-{number}"
        self.log = directory / f"{self.name}.log"
        self.restarts = restarts
        self._options = list(options)
        self.exits: list[Exit] = []
        self.pids: list[int] = []
        self._address_file = directory / f"{self.name}.address"
        self._variables = {**variables, f"TIDEMARK_{role}__ADDRESS_FILE".upper(): str(self._address_file)}
        self._process: subprocess.Popen[bytes] | None = None
        self._begun_s = 0.0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self, **settings: str) -> None:
        """Start a run; keyword arguments (`group__name`) are settings of this run only, such as a crash point."""
        with self._lock:
            self._run(settings)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name=self.name, daemon=True)
            self._keeper.start()

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL the run; another one follows where it restarts."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """End it in order (SIGTERM) for good and return the exit code."""
        self.restarts = False
        self._signal(signal.SIGTERM)
        try:
            return self._wait(seconds)
        finally:
            self.close()

    def close(self) -> None:
        """Kill what runs, for good."""
        self.restarts = False
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join()
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def await_exit(self, number: int = 1, seconds: float = 60) -> Exit:
        """Return how the run ended that ended as so many-th, from 1."""
        await_condition(lambda: len(self.exits) >= number, f"{self.name} ends {number} times", seconds=seconds)
        return self.exits[number - 1]

    def await_ready(self, seconds: float = 60) -> None:
        await_condition(self.is_ready, f"{self.name} is ready; its log:\n{self.tail()}", seconds=seconds)

    def is_ready(self) -> bool:
        return self._status("readyz") == 200

    def is_alive(self) -> bool:
        """Whether it answers that it lives (/healthz)."""
        return self._status("healthz") == 200

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the sum of a metric's series that have these labels; None when it cannot be asked or has none."""
        with suppress(httpx.HTTPError, OSError):
            page = httpx.get(f"http://{self.address()}/metrics", timeout=HTTP_SECONDS).text
            values = [
                sample.value
                for family in text_string_to_metric_families(page)
                for sample in family.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            ]
            return sum(values) if values else None
        return None

    def waits_for(self) -> str:
        """What /readyz says is missing; empty when nothing is, or it cannot be asked."""
        with suppress(httpx.HTTPError, OSError):
            answer = httpx.get(f"http://{self.address()}/readyz", timeout=HTTP_SECONDS)
            return "" if answer.status_code == 200 else answer.text
        return ""

    def written(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.written().splitlines()[-lines:])

    def _status(self, page: str) -> int | None:
        with suppress(httpx.HTTPError, OSError):
            return httpx.get(f"http://{self.address()}/{page}", timeout=HTTP_SECONDS).status_code
        return None

    def address(self) -> str:
        return self._address_file.read_text().strip()

    def _run(self, settings: Mapping[str, str]) -> None:
        named = {f"TIDEMARK_{name.upper()}": value for name, value in settings.items()}
        self._address_file.unlink(missing_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*role_command(self.role), *self._options],
                cwd=ROOT,
                env=clean_environment(self._variables | named),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._begun_s = time.monotonic()
        self.pids.append(self._process.pid)

    def _keep(self) -> None:
        while not self._closed.wait(0.02):
            with self._lock:
                self._look_after()

    def _look_after(self) -> None:
        process = self._process
        if process is None or process.poll() is None:
            return
        if not self.exits or self.exits[-1].pid != process.pid:
            last = next((line for line in reversed(self.written().splitlines()) if line.strip()), "")
            seconds = time.monotonic() - self._begun_s
            self.exits.append(Exit(pid=process.pid, code=process.returncode, last_line=last, seconds=seconds))
        if self.restarts and not self._closed.wait(RESTART_PAUSE_SECONDS) and self.restarts:
            self._run({})

    def _wait(self, seconds: float) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

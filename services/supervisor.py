"""Keeps the roles' processes running: starts them, asks for their readiness, starts again what dies."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from services.clock import monotonic_s
from services.health_probe import readiness
from services.processes import Child, Write

STABLE_S: Final = 30.0
"""A run that lasted so long was a good one: the next pause is the shortest again."""

PAUSE_MAX_S: Final = 30.0
STOP_PATIENCE_S: Final = 25.0
"""Above the 20 s that a role gives its own ordered stop."""

HURRIED_PATIENCE_S: Final = 1.0

_ENDINGS: Final = {2: "has wrong settings", 3: "refused to go on", 4: "was stuck and ended itself"}
_PROBE_INTERVAL_S: Final = 0.1
_LAST_WORDS_MAX: Final = 400

Say = Callable[[str], None]
Told = TypeVar("Told")


def pause_s(failures: int) -> float:
    """Return the pause before the next start after so many short runs in a row: 1, 2, 4, … 30 seconds."""
    # Bounded before the power: a role that is refused all night fails more than a thousand times.
    return min(PAUSE_MAX_S, 2.0 ** min(max(failures, 1) - 1, 10))


def how_it_ended(code: int, last_line: str) -> str:
    """Return in few words how a role's process ended; `code` is minus the signal's number when killed."""
    if code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"
    ending = _ENDINGS.get(code, "ended" if code == 0 else f"failed with code {code}")
    return f"{ending}: {last_words(last_line)}" if last_line and code else ending


def last_words(line: str) -> str:
    """Return a process's last line for a person: of a log line its event and how its traceback ends."""
    try:
        members = json.loads(line)
        words = [str(members["event"]), str(members.get("exception", "")).strip().rpartition("\n")[2]]
    except (ValueError, KeyError, TypeError):
        return line[:_LAST_WORDS_MAX]
    return ": ".join(word for word in words if word)[:_LAST_WORDS_MAX]


def role_command(role: str) -> list[str]:
    # -P: a directory called `services` where the command is called must not be taken for ours.
    return [sys.executable, "-P", "-m", "services.cli.main", "run", role, "--development"]


class RoleProcess:
    """One process of a role, over as many runs as it takes.

    Attributes:
        ready: its /readyz answered 200 in this run.
        missing: why it is not ready.
        health: `host:port` of its health server, once known.
    """

    def __init__(
        self,
        role: str,
        number: int,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        write: Write,
        say: Say,
    ) -> None:
        """Describe it; nothing is started before `keep_running`.

        Args:
            number: from 0, among the role's processes.
            command: see `role_command`.
            directory: for the file in which it says where its health server is.
            write: gets its output.
            say: gets a line whenever it ended.
        """
        self.role = role
        self.number = number
        self.ready = False
        self.missing = "it starts"
        self.health: str | None = None
        self._address_file = directory / f"{role}-{number}.address"
        variable = f"TIDEMARK_{role}__ADDRESS_FILE".upper()
        self._command = command
        self._environment = {**environment, variable: str(self._address_file)}
        self._write = write
        self._say = say
        self._child: Child | None = None
        self._runs = 0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    async def keep_running(self, changed: Callable[[], None]) -> None:
        """Run until cancelled; `changed` is called whenever pid, health or ready did."""
        failures = 0
        while True:
            started_s = monotonic_s()
            ending = await self._run_once(changed)
            failures = 1 if monotonic_s() - started_s > STABLE_S else failures + 1
            pause = pause_s(failures)
            self._say(f"{self.role} {ending}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)

    async def stop(self, patience_s: float) -> None:
        if self._child is not None:
            await self._child.stop(patience_s)

    async def _run_once(self, changed: Callable[[], None]) -> str:
        self._address_file.unlink(missing_ok=True)
        self._runs += 1
        self._child = child = await Child.start(self._command, self._environment, self._write)
        changed()
        watch = asyncio.ensure_future(self._watch_readiness(changed))
        try:
            code = await child.wait()
        finally:
            watch.cancel()
        self.ready, self.health, self.missing = False, None, "it is being started again"
        changed()
        return f"(pid {child.pid}) {how_it_ended(code, child.last_line)}"

    async def _watch_readiness(self, changed: Callable[[], None]) -> None:
        """Ask until the process is ready once; from then on its readiness is its prober's business."""
        while not self.ready:
            with suppress(OSError):
                self.health = self._address_file.read_text(encoding="utf-8").strip() or None
            if self.health is not None:
                missing = await readiness(self.health)
                self.ready, self.missing = missing is None, missing or ""
            if not self.ready:
                await asyncio.sleep(_PROBE_INTERVAL_S)
        if self._runs > 1:
            self._say(f"{self.role} (pid {self.pid}) is ready again")
        changed()


class Supervisor:
    """All processes of all roles. Use it as an async context manager: leaving stops them."""

    def __init__(self, processes: Sequence[RoleProcess]) -> None:
        self.processes = processes
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._patience_s = STOP_PATIENCE_S

    async def __aenter__(self) -> "Supervisor":
        self._tasks = [asyncio.create_task(each.keep_running(self._changed.set)) for each in self.processes]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*[each.stop(self._patience_s) for each in self.processes])

    @property
    def all_ready(self) -> bool:
        return all(each.ready for each in self.processes)

    def hurry(self) -> None:
        """Give the roles no time for an ordered stop: there is nothing left that one could save."""
        self._patience_s = HURRIED_PATIENCE_S

    async def change(self) -> None:
        """Return at the next change of a pid, a health address or a readiness; raise what a task died of."""
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait([waiting, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        for task in self._tasks:
            if task.done():
                task.result()
        self._changed.clear()

    def missing(self) -> dict[str, str]:
        """Return why each process that is not ready is not."""
        return {f"{each.role} {each.number}": each.missing for each in self.processes if not each.ready}

    def pids(self) -> dict[str, list[int]]:
        return self._by_role(lambda each: each.pid)

    def health(self) -> dict[str, list[str]]:
        return self._by_role(lambda each: each.health)

    def _by_role(self, tell: Callable[[RoleProcess], Told | None]) -> dict[str, list[Told]]:
        told: dict[str, list[Told]] = {}
        for each in self.processes:
            of_role = told.setdefault(each.role, [])
            if (value := tell(each)) is not None:
                of_role.append(value)
        return told

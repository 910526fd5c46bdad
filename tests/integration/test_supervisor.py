"""The supervisor over programs that stand in for roles: what it says, starts again, and leaves behind (nothing)."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.processes import Child
from services.supervisor import RoleProcess, Supervisor
from tests.support.pipeline import is_alive

pytestmark = pytest.mark.integration

SECONDS = 20

READY_ROLE = """
import os, signal
from pathlib import Path
from services.health import HealthServer
from services.telemetry import Telemetry
health = HealthServer(Telemetry("ingest"), address_file=Path(os.environ["TIDEMARK_INGEST__ADDRESS_FILE"]))
health.start()
signal.sigwait({signal.SIGTERM})
health.stop()
"""


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not met():  # noqa: ASYNC110 -- other processes are waited for
            await asyncio.sleep(0.02)


@asynccontextmanager
async def supervised(program: str, directory: Path, said: list[str]) -> AsyncIterator[tuple[Supervisor, RoleProcess]]:
    role = RoleProcess(
        "ingest",
        0,
        command=[sys.executable, "-c", program],
        environment={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        directory=directory,
        write=lambda _: None,
        say=said.append,
    )
    async with Supervisor([role]) as supervisor:
        yield supervisor, role


async def test_a_killed_role_is_started_again_and_is_ready_at_its_new_address(tmp_path: Path) -> None:
    said: list[str] = []
    async with supervised(READY_ROLE, tmp_path, said) as (supervisor, role):
        await until(lambda: supervisor.all_ready)
        first, address = role.pid, role.health
        assert first is not None
        os.kill(first, 9)
        await until(lambda: role.pid not in (None, first) and supervisor.all_ready)
        assert role.health != address
        assert supervisor.pids()["ingest"] == [role.pid]
        second = role.pid
    assert second is not None
    assert not is_alive(second)
    assert said[0] == f"ingest (pid {first}) was killed by SIGKILL; starting it again in 1 s"
    assert said[1] == f"ingest (pid {second}) is ready again"


async def test_a_refusing_role_is_reported_with_its_last_line_and_pauses_grow(tmp_path: Path) -> None:
    said: list[str] = []
    refusing = "import sys; print('much talk'); print('topic usage.frames is missing', file=sys.stderr); sys.exit(3)"
    async with supervised(refusing, tmp_path, said) as (supervisor, _):
        await until(lambda: len(said) == 2)
        assert not supervisor.all_ready
    endings = [line.partition(") ")[2] for line in said]
    assert endings == [
        "refused to go on: topic usage.frames is missing; starting it again in 1 s",
        "refused to go on: topic usage.frames is missing; starting it again in 2 s",
    ]


async def test_a_role_that_is_not_ready_says_why(tmp_path: Path) -> None:
    waiting = READY_ROLE.replace("health.start()", "health.not_ready('redis', 'it is away'); health.start()")
    async with supervised(waiting, tmp_path, []) as (supervisor, role):
        await until(lambda: "it is away" in role.missing)
        assert "redis" in supervisor.missing()["ingest 0"]
        assert supervisor.health()["ingest"] == [role.health]


async def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children() -> None:
    stubborn = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); signal.pause()"
    )
    written: list[bytes] = []
    child = await Child.start([sys.executable, "-c", stubborn], os.environ, written.append)
    await until(lambda: b"\n" in b"".join(written))
    grandchild = int(b"".join(written))
    await child.stop(0.2)
    assert not child.running
    await until(lambda: not is_alive(grandchild))

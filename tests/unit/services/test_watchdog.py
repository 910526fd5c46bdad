"""The watchdog's thread: what it asks before it ends a process, and what it writes when it does."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from services import watchdog as watchdog_module
from services.health import HealthServer
from services.lifecycle import Exit
from services.standpoints import tasks_of, waited_for_processor_s
from services.stuck import Judge, Limits, Work
from services.telemetry import Telemetry
from services.watchdog import Watchdog

LIMITS = Limits(loop_s=3, work_s=4, believed_s=4)

STUCK = """
import asyncio, sys, time
from services import watchdog
from services.health import HealthServer, keep_beating
from services.settings import WatchdogSettings
from services.telemetry import Telemetry, configure_logs
async def main():
    health = HealthServer(Telemetry("api"))
    asyncio.create_task(keep_beating(health), name="beating")
    # Below what the settings allow, so that the test need not wait for it.
    settings = WatchdogSettings.model_construct(loop_limit=1.7, work_limit=None, ends_process=True)
    with watchdog.under_watch(settings, health):
        await asyncio.sleep(0.01)
        time.sleep(0.3)  # so that it was looked at
        print("blocked", flush=True)
        time.sleep(60)
configure_logs("api")
watchdog.LOOK_INTERVAL_S = 0.1
asyncio.run(main())
"""


class Rig:
    """A watchdog whose looks are made by hand, over a process that works on one thing."""

    def __init__(self, ask: Callable[[], str | None]) -> None:
        self.ended: list[str] = []
        self.health = HealthServer(Telemetry("aggregator"))
        self._dog = Watchdog(self.health, Judge(LIMITS), ask, self.ended.append)
        self.mark = 0

    def look(self, times: int, *, turns: bool = True) -> None:
        for _ in range(times):
            if turns:
                with self.health.working(lambda: {"a poll": Work(waits=True, mark=self.mark)}):
                    self.health.beat()
                    self._dog.look(1.0)
            else:
                self._dog.look(1.0)


def test_work_that_stands_ends_the_process_when_every_dependency_answers() -> None:
    rig = Rig(lambda: None)
    rig.look(4)
    assert rig.ended == []
    assert rig.health.page("/healthz")[0] == 200
    rig.look(3)
    assert rig.ended == ["a poll waits and has not gone on for 4 s, with no dependency away"]
    assert json.loads(rig.health.page("/healthz")[2])["stuck"].startswith("a poll waits")
    rig.mark += 1
    rig.look(1)
    assert rig.health.page("/healthz")[0] == 200


def test_work_that_stands_while_a_dependency_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog_module, "ASK_INTERVAL_S", 0)
    rig = Rig(lambda: "Redis is away")
    rig.look(100)
    assert rig.ended == []


def test_a_dependency_that_is_away_is_no_reason_for_a_loop_that_does_not_turn() -> None:
    rig = Rig(lambda: "Redis is away")
    rig.look(1)
    rig.look(3, turns=False)
    assert rig.ended == ["the event loop has not turned for 3 s"]


async def test_what_a_task_waits_in_is_told_by_its_innermost_coroutine() -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner()

    task = asyncio.create_task(outer(), name="the task")
    await asyncio.sleep(0)
    told: list[str] = []
    thread = threading.Thread(target=lambda loop: told.extend(tasks_of(loop)), args=(asyncio.get_running_loop(),))
    thread.start()
    thread.join()
    task.cancel()
    assert next(line for line in told if line.startswith("the task")).startswith("the task: wait (")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_thread_that_has_no_processor_waits_for_one() -> None:
    [processor, *_] = before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    hog = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(hog) as first, subprocess.Popen(hog) as second:
        began_s, waited_s = time.monotonic(), waited_for_processor_s()
        while time.monotonic() < began_s + 0.5:
            pass
        waited_s = waited_for_processor_s() - waited_s
        passed_s = time.monotonic() - began_s
        first.kill()
        second.kill()
    os.sched_setaffinity(0, before)
    assert 0.1 < waited_s < passed_s


def test_a_blocked_process_ends_with_its_stack_and_one_that_was_frozen_does_not_end_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "blocked\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.8)  # by a clock, more than the limit
        thawed_s = time.monotonic()
        os.kill(process.pid, signal.SIGCONT)
        _, err = process.communicate(timeout=20)
        # About 1.5 s, less what passed between its word and the signal.
        assert time.monotonic() - thawed_s > 0.25
    assert process.returncode == Exit.STUCK
    line, sentence = err.splitlines()[-2:]
    told = json.loads(line)
    assert (told["event"], told["cause"]) == ("stuck", sentence)
    assert sentence.startswith("the event loop has not turned for 2 s")
    assert any("main (<string>" in place for place in told["stack"])
    assert any(task.startswith("beating: sleep") for task in told["tasks"])

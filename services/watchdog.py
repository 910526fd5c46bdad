"""Ends a process that is stuck, so that its supervisor starts it again; never one whose Kafka or Redis is away.

It runs in a thread of its own, for a blocked event loop watches nothing. Code that never gives the interpreter's lock
back stops it too; then /healthz does not answer either.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import structlog

from services.clock import monotonic_s
from services.dependencies import Ask, nothing_to_ask
from services.health import HealthServer
from services.lifecycle import Exit
from services.settings import WatchdogSettings
from services.standpoints import stack_of_main_thread, tasks_of, waited_for_processor_s
from services.stuck import Finding, Judge, Limits, OwnTime

LOOK_INTERVAL_S: Final = 1.0
ASK_INTERVAL_S: Final = 5.0
"""Between questions to the dependencies while work stands still."""

LAST_WORDS_S: Final = 2.0
"""For the log line: whoever reads the log may be what the process is stuck on."""


@contextmanager
def under_watch(
    settings: WatchdogSettings, health: HealthServer, ask: Ask = nothing_to_ask, *, believed_s: float = 0.0
) -> Iterator[None]:
    """Watch the main thread's running event loop during the block.

    Args:
        settings: of all watchdogs.
        health: shows how the process is, and is told when it is stuck.
        ask: which dependency is away.
        believed_s: longest that the process itself waits for a dependency before it says so again, or ends; the
            limit of work where that is longer.
    """
    work_s = settings.work_limit
    limits = Limits(loop_s=settings.loop_limit, work_s=work_s, believed_s=max(believed_s, work_s or 0.0))
    end = partial(end_process, asyncio.get_running_loop()) if settings.ends_process else _leave_it
    watchdog = Watchdog(health, Judge(limits), ask, end)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class Watchdog:
    """Looks at a process once a second.

    Args:
        ask: which dependency is away.
        end: called with the cause, in the watchdog's thread, whenever the process is found stuck anew.
    """

    def __init__(self, health: HealthServer, judge: Judge, ask: Ask, end: Callable[[str], None]) -> None:
        self._health = health
        self._judge = judge
        self._ask = ask
        self._end = end
        self._asked_s = float("-inf")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._was_stuck = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more; not waited for, since it may be asking a server that is away."""
        self._stopped.set()

    def look(self, passed_s: float) -> None:
        """Look once; `passed_s` is what counts of the time since the look before."""
        found = self._judge.judge(self._health.look(), passed_s)
        stuck = found.cause if found is not None and self._is_certain(found) else None
        self._health.stuck(stuck)
        if stuck is not None and not self._was_stuck and not self._stopped.is_set():
            self._end(stuck)
        self._was_stuck = stuck is not None

    def _watch(self) -> None:
        own = OwnTime(LOOK_INTERVAL_S, monotonic_s(), waited_for_processor_s())
        while not self._stopped.wait(LOOK_INTERVAL_S):
            self.look(own.passed_s(monotonic_s(), waited_for_processor_s()))

    def _is_certain(self, found: Finding) -> bool:
        """Return whether a finding holds: not while a dependency turns out to be away."""
        if found.may_wait and monotonic_s() - self._asked_s >= ASK_INTERVAL_S:
            away = self._ask()
            self._asked_s = monotonic_s()
            if away is not None:
                structlog.get_logger().warning("work_waits_for_dependency", error=away)
                self._judge.dependency_was_away()
                return False
        return found.certain


def end_process(loop: asyncio.AbstractEventLoop, cause: str) -> None:
    """Log the cause and where the process stands, and end it at once, without any clean-up."""
    words = threading.Thread(target=_say, args=(loop, cause), daemon=True)
    words.start()
    words.join(LAST_WORDS_S)
    os._exit(Exit.STUCK)


def _say(loop: asyncio.AbstractEventLoop, cause: str) -> None:
    structlog.get_logger().error("stuck", cause=cause, stack=stack_of_main_thread(), tasks=tasks_of(loop))
    sys.stderr.write(f"{cause}\n")
    sys.stderr.flush()


def _leave_it(cause: str) -> None:
    structlog.get_logger().error("stuck", cause=cause)

"""A rebalance storm: every few seconds an aggregator and an ingest worker come or go, in order or by SIGKILL."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from tests.support.deployment import Deployment
from tests.support.worker import Worker

CHANGE_SECONDS = 3
STARTED = '"event": "started"'
ROLES = ("ingest", "aggregator")
END_SECONDS = 30
"""Above the 20 s that a role gives its ordered stop."""


class Storm:
    """Changes who works; the workers of `deployment.start` stay throughout.

    Attributes:
        killed, stopped: workers that were ended by SIGKILL, and asked to end by SIGTERM.
        changed_s: when the last change was made, on the monotonic clock.
    """

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self._deployment = deployment
        self._rng = random.Random(seed)
        self._guests: dict[str, Worker] = {}
        self.killed: list[Worker] = []
        self.stopped: list[Worker] = []
        self.changed_s = 0.0

    def rage(self, seconds: float, is_enough: Callable[[], bool]) -> None:
        """Change something every three seconds for so long, and on until it is enough.

        Where a worker takes long to start, few changes of so many are an end.
        """
        began_s = time.monotonic()
        for change in count():
            if change >= seconds // CHANGE_SECONDS and is_enough():
                break
            for role in ROLES:
                self._change(role)
            self.changed_s = time.monotonic()
            time.sleep(max(0.0, began_s + (change + 1) * CHANGE_SECONDS - time.monotonic()))

    def assert_none_stuck(self) -> None:
        """Check that who was asked to end did so in order, and who is there is ready."""
        for worker in self.stopped:
            ended = worker.await_exit(seconds=END_SECONDS)
            assert ended.code == 0, f"{worker.name}: {ended}\n{worker.tail()}"
        for worker in self._guests.values():
            worker.await_ready()

    def _change(self, role: str) -> None:
        guest = self._guests.pop(role, None)
        if guest is not None and STARTED not in guest.written():
            self._guests[role] = guest  # it has joined nothing yet: the next change may end it
        elif guest is None:
            self._guests[role] = guest = self._deployment.worker(role, restarts=False)
            guest.start()
        elif self._rng.random() < 0.5:
            guest.kill()
            self.killed.append(guest)
        else:
            with suppress(ProcessLookupError):
                os.kill(guest.pid, signal.SIGTERM)
            self.stopped.append(guest)

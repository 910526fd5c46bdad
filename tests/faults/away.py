"""What every row has in common in which Kafka is away: workers that wait, alive but not ready, and none that loops."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from tests.support.pipeline import await_condition
from tests.support.worker import Worker

NOTICED_SECONDS = 30
NOTICING = {"aggregator__frame_check_interval": "1s"}
"""Settings with which an aggregator looks at Kafka more often, so that a test need not wait for it."""

BACK_SECONDS = 60
ASK_EVERY_SECONDS = 0.5
RUN_SECONDS_MIN = 50
"""A run that ends because Kafka is away has waited for it: 60 s at a start, 120 s for an acknowledgement."""


def await_waiting(workers: Sequence[Worker]) -> None:
    """Return once no worker is ready; each must live all the same."""
    for worker in workers:
        await_condition(partial(_is_waiting, worker), f"{worker.name} is not ready", seconds=NOTICED_SECONDS)
    assert_alive(workers)


def _is_waiting(worker: Worker) -> bool:
    return not worker.is_ready()


def assert_alive(workers: Sequence[Worker]) -> None:
    for worker in workers:
        assert worker.is_alive(), f"{worker.name} is not alive:\n{worker.tail()}"


def assert_waiting_for(workers: Sequence[Worker], seconds: float, also: Callable[[], None] = lambda: None) -> None:
    """Let the time of an outage pass; whenever one is asked in it, it lives and is not ready, unless it starts."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for worker in workers:
            assert not worker.is_ready(), f"{worker.name} is ready:\n{worker.tail()}"
            assert worker.is_alive() or worker.exits, f"{worker.name} is not alive:\n{worker.tail()}"
        also()
        time.sleep(ASK_EVERY_SECONDS)


def await_back(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.await_ready(BACK_SECONDS)


def assert_patient(workers: Sequence[Worker], outage_seconds: float = 0) -> None:
    """Check that no worker ended but those that had waited long, and these not more often than the outage allows."""
    for worker in workers:
        allowed = int(outage_seconds // RUN_SECONDS_MIN)
        assert len(worker.exits) <= allowed, f"{worker.name}: {worker.exits}\n{worker.tail()}"
        assert all(run.seconds >= RUN_SECONDS_MIN for run in worker.exits), worker.exits

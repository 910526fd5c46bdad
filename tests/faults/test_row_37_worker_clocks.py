"""Row 37: workers whose clocks are hours off, and step while they work, count as all others do."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from services.clock import now_ms
from services.dead_letter_log import read_dead_letters
from services.settings import Settings
from tests.faults.redis_states import lasting_load
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.oracle import HOUR_MS
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.shifted_clock import ShiftedClock

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

HOUR_S = 3600
EVENTS = 3_000
RATE = 1_500
DAY_OF_HOURS = re.compile(rb"tm:\{.+\}:e1:ha?:.+/(\d+)")
IDENTITIES = re.compile(rb"tm:\{.+\}:e1:x:.+")
TOLERANCE_S = 600
"""The clocks are off by hours; an identity's time has run since it was written, some minutes on a slow machine."""


def test_totals_and_ends_of_windows_are_the_same_under_any_clock(
    deploy: Callable[..., Deployment], redis: RedisServer, tmp_path: Path
) -> None:
    deployment = deploy()
    first, second = ShiftedClock(tmp_path / "first", -7 * HOUR_S), ShiftedClock(tmp_path / "second", 9 * HOUR_S)
    for role in ("ingest", "aggregator"):
        for clock in (first, second):
            deployment.worker(role, environment=clock.environment).start()
    for worker in deployment.workers:
        worker.await_ready()
    with lasting_load(deployment, 37, RATE, events=EVENTS) as publisher:
        await_hours_off(deployment.settings, {-7, 9})
        first.step(30 * HOUR_S)
        second.step(-40 * HOUR_S)
        await_hours_off(deployment.settings, {-7, 9, 30, -40})
        # A whole load after the steps, from the oldest `time` to the newest.
        publisher.await_count(publisher.count + 2 * EVENTS)
        publisher.finish()
    assert_right(deployment, publisher.published)
    assert not [worker.exits for worker in deployment.workers if worker.exits]
    assert_ends(redis, deployment.settings)


def await_hours_off(settings: Settings, wanted: set[int]) -> None:
    """Wait until workers whose clocks are so many hours off have written dead letters, and no others."""
    await_condition(
        lambda: asyncio.run(hours_off(settings)) == wanted, f"dead letters of {wanted}", seconds=60, every=0.2
    )


async def hours_off(settings: Settings) -> set[int]:
    """Return by how many hours the clocks of those that wrote the dead letters were wrong."""
    letters = [letter async for letter in read_dead_letters(settings)]
    return {round((letter.rejected_at_ms - now_ms()) / HOUR_MS) for letter in letters}


def assert_ends(redis: RedisServer, settings: Settings) -> None:
    """Hours must end by their events' time, identities by Redis' own clock."""
    events = settings.events
    assert events.keep_hours is not None
    assert events.max_age is not None
    with Redis.from_url(redis.url) as client:
        now_s, _ = client.time()
        left = {key: client.ttl(key) for key in client.scan_iter(count=5_000)}
    hours = {key: int(found[1]) for key in left if (found := DAY_OF_HOURS.fullmatch(key))}
    ids = [key for key in left if IDENTITIES.fullmatch(key)]
    assert hours
    assert ids
    for key, day in hours.items():
        assert left[key] == pytest.approx((day + 1) * 24 * HOUR_S + events.keep_hours - now_s, abs=TOLERANCE_S), key
    for key in ids:
        assert left[key] == pytest.approx(events.max_age + events.dedup_margin, abs=TOLERANCE_S), key

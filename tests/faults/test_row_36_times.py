"""Row 36: events out of order, late and of the future: each is judged by its record's broker timestamp."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from services.dead_letter_log import read_dead_letters
from services.settings import Settings
from tests.faults.events import chat
from tests.faults.load import Planned
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.oracle import DAY_MS, HOUR_MS
from tests.support.shifted_clock import ShiftedClock

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

MAX_AGE_MS = 35 * DAY_MS
MINUTE_MS = 60_000
CLOCK_S = {"fast": 3 * 3600, "slow": -3 * 3600}
"""How far ingest's clock is off: who judges by it judges otherwise, of the events nearest to the limits."""

GOOD_MS = {
    "now": 0,
    "days late": -20 * DAY_MS,
    "after the late one": -HOUR_MS,
    "hardly young enough": HOUR_MS - MAX_AGE_MS,
    "hours late": -7 * HOUR_MS,
    "a little ahead": 3 * MINUTE_MS,
}
BAD_MS = {"too_old": -MAX_AGE_MS - HOUR_MS, "in_the_future": HOUR_MS}


@pytest.mark.parametrize("clock", CLOCK_S)
def test_a_record_is_judged_by_when_the_broker_took_it(
    clock: str, deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    deployment = deploy()
    planned = [Planned(partition=0, value=chat(name, after_ms=after)) for name, after in (GOOD_MS | BAD_MS).items()]
    with Publisher(deployment.settings, planned) as publisher:
        published = publisher.wait()
    deployment.worker("ingest", environment=ShiftedClock(tmp_path / clock, CLOCK_S[clock]).environment).start()
    deployment.start("aggregator")
    assert_right(deployment, published)
    assert asyncio.run(reasons(deployment.settings)) == BAD_MS.keys()


async def reasons(settings: Settings) -> set[str | None]:
    return {letter.reason async for letter in read_dead_letters(settings)}

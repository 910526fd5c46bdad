"""`tidemark plan` against what events really cost and take: folded into a real Redis here and now.

Processor time, not the clock, and held against the benchmark's own shape in the same minute: a slow machine, or one
that others use too, changes all runs alike. What the formulas must know is what users, days and organizations change.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from services.capacity.calls import Limits
from services.capacity.costs import Role
from services.capacity.measured import predicted
from services.capacity.memory import memory
from services.capacity.traffic import Replay
from tests.bench.unit_costs import Measured, Run, measure, shape_of

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(180)]

WITHIN = 0.25
EVENTS = 100_000
POLL = 20_000

REFERENCE = Run(events=EVENTS)
POINTS = (
    Run(events=EVENTS, shape=shape_of(1_000)),
    Run(events=EVENTS, shape=shape_of(40_000, organizations=400, teams=2_000, days=2)),
    Run(events=EVENTS, shape=shape_of(2_000, organizations=10, teams=100, days=20)),
)
ROLES = (Role.INGEST, Role.AGGREGATOR, Role.REDIS)


@pytest.fixture(scope="module")
def measured() -> Sequence[Measured]:
    """The reference's run, those of the points, and the reference's again: what changed meanwhile is halved."""
    return [asyncio.run(measure(run)) for run in (REFERENCE, *POINTS, REFERENCE)]


def replay_of(run: Run) -> Replay:
    ends = run.workload().end_ms
    first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (ends - run.shape.span_ms + 1, ends))
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    return Replay(events=run.events, shape=run.shape, months=months)


def expected(run: Run) -> float:
    """Return the microseconds of an event in all roles that are run here."""
    # What waits for a partition is what ingest packs in some polls: as much as comes in the time that a worker waits.
    per_second = min(run.polls_together, -(-run.events // POLL)) * POLL / 2
    spent = predicted(replay_of(run), per_second, Limits(call_items=run.max_items), partitions=run.partitions)
    return sum(spent[role] for role in ROLES)


def spent(found: Measured) -> float:
    """Return the same as measured, by what a fixed piece of work took in that minute."""
    return (found.ingest + found.aggregator + found.redis) / found.reference_s


def test_throughput_is_within_a_quarter_of_what_the_plan_says(measured: Sequence[Measured]) -> None:
    first, *points, last = measured
    slowness = (spent(first) + spent(last)) / 2 / expected(REFERENCE)
    ratios = [slowness * expected(point.run) / spent(point) for point in points]
    assert ratios == pytest.approx([1.0] * len(POINTS), abs=WITHIN)


def test_memory_is_within_a_quarter_of_what_the_plan_says(measured: Sequence[Measured]) -> None:
    ratios = []
    for found in measured:
        replay = replay_of(found.run)
        said = memory(replay.demand, replay.kept, found.run.partitions, 1)
        ratios.append(said.used / found.memory.used)
        assert sum(said.keys.values()) == pytest.approx(found.keys, rel=WITHIN)
    assert ratios == pytest.approx([1.0] * len(measured), abs=WITHIN)

"""`tidemark plan` against what events really cost and take: folded into a real Redis here and now.

Processor time, not the clock, and held against the benchmark's own shape in the same minute: a slow machine, or one
that others use too, changes all runs alike. What the formulas must know is what users, days and organizations change.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

import pytest

from services.capacity.calls import Limits, call
from services.capacity.costs import Role
from services.capacity.measured import predicted
from services.capacity.memory import memory
from services.capacity.population import partition_shares
from services.capacity.traffic import Replay
from tests.bench.unit_costs import Measured, Run, measure, shape_of

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(600)]

WITHIN = 0.25
EVENTS = 80_000
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
    """Each point between two runs of the reference."""
    return measure_all(REFERENCE, *(run for point in POINTS for run in (point, REFERENCE)))


def measure_all(*runs: Run) -> list[Measured]:
    return [asyncio.run(measure(run)) for run in runs]


def replay_of(run: Run) -> Replay:
    ends = run.workload().end_ms
    first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (ends - run.shape.span_ms + 1, ends))
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    return Replay(events=run.events, shape=run.shape, months=months)


def expected(run: Run) -> Mapping[Role, float]:
    """Return the microseconds of an event in each role that is run here."""
    # What waits for a partition is what ingest packs in some polls: as much as comes in the time that a worker waits.
    per_second = min(run.polls_together, -(-run.events // POLL)) * POLL / 2
    return predicted(replay_of(run), per_second, Limits(call_items=run.max_items), partitions=run.partitions)


def spent(found: Measured) -> Mapping[Role, float]:
    return {Role.INGEST: found.ingest, Role.AGGREGATOR: found.aggregator, Role.REDIS: found.redis}


def ratio(before: Measured, point: Measured, after: Measured) -> float:
    """Return what the plan says of a point over what it took, by factors that the reference has beside it."""
    reference, said, took = expected(REFERENCE), expected(point.run), spent(point)
    factors = {role: (spent(before)[role] + spent(after)[role]) / 2 / reference[role] for role in ROLES}
    return sum(factors[role] * said[role] for role in ROLES) / sum(took.values())


def steady_ratio(before: Measured, point: Measured, after: Measured) -> float:
    """Return that ratio, or the median of three where it is off: a program that ran beside one run costs it caches."""
    ratios = [ratio(before, point, after)]
    if abs(ratios[0] - 1) > WITHIN:
        ratios += [ratio(*measure_all(REFERENCE, point.run, REFERENCE)) for _ in range(2)]
    return median(ratios)


def test_throughput_is_within_a_quarter_of_what_the_plan_says(measured: Sequence[Measured]) -> None:
    ratios = [steady_ratio(*measured[at : at + 3]) for at in range(0, len(measured) - 1, 2)]
    assert ratios == pytest.approx([1.0] * len(POINTS), abs=WITHIN)


def test_what_an_event_brings_is_as_the_formulas_count_it(measured: Sequence[Measured]) -> None:
    """Where a cost is no machine's but the events' own, it is looked at without one."""
    for found in measured[1::2]:
        replay, run, work = replay_of(found.run), found.run, found.work
        holds = memory(replay.demand, replay.kept, run.partitions, 1)
        shares = partition_shares(replay.demand.organizations, None, run.partitions)
        traffic = replay.traffic(holds, run.events / 2)
        calls = [(float(share), call(traffic, float(share), Limits())) for share in shares if share]
        cells, reads = (sum(share * getattr(each, name) for share, each in calls) for name in ("cells", "reads"))
        assert cells == pytest.approx(work.cells / work.events, rel=WITHIN)
        assert reads == pytest.approx(work.reads / work.events, rel=WITHIN)


def test_memory_is_within_a_quarter_of_what_the_plan_says(measured: Sequence[Measured]) -> None:
    ratios = []
    for found in measured[1::2]:
        replay = replay_of(found.run)
        said = memory(replay.demand, replay.kept, found.run.partitions, 1)
        ratios.append(said.used / found.memory.used)
        assert sum(said.keys.values()) == pytest.approx(found.keys, rel=WITHIN)
    assert ratios == pytest.approx([1.0] * len(POINTS), abs=WITHIN)

"""The plan: partitions, workers, Redis, Kafka's disks, network, and what ends first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

import numpy as np

from services.capacity import traffic
from services.capacity.calls import Limits, Traffic, call
from services.capacity.costs import Factors, Role
from services.capacity.demand import Demand
from services.capacity.disks import Disks, Kafka, Retention, disks
from services.capacity.memory import Kept, Memory, memory
from services.capacity.population import partition_shares
from services.capacity.rates import Cost, Owners
from services.capacity.redis_needs import RedisNeeds, redis_needs
from services.capacity.redis_sizes import Numbers
from services.capacity.sizing import PARTITIONS_MAX, busiest, fewest, fullest, partitions_for

API_REQUESTS: Final = 1_624.0
"""Usage requests/s of one API process, daily over 30 days (`make bench-api`, README)."""

FRAMES_PARTITIONS_MIN: Final = 16
EVENTS_PARTITIONS_MIN: Final = 4
"""Defaults of the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is decided about a deployment, beside what is asked of it.

    Attributes:
        keeps: retention of the topics.
        limits: settings of ingest and aggregator.
        factors: how much slower than the measured machine each role is.
        events_partitions, frames_partitions: where they are there already; None to choose them.
        utilization: of a core that a worker, and of a thread that a Redis, may have at the peak.
        growth: by which the events may grow without another P.
        node_bytes: of memory that one Redis may have.
        replication: of the topics.
        outage_s: of which it is told how long catching up takes.
        requests_per_second: of the query API at the peak.
    """

    keeps: Retention
    limits: Limits
    factors: Factors
    events_partitions: int | None = None
    frames_partitions: int | None = None
    utilization: float = 0.6
    growth: float = 2.0
    node_bytes: float = 64 * 2.0**30
    replication: int = 3
    outage_s: float = 3_600.0
    requests_per_second: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Where growing ends: `per_second` events, by what, and what helps."""

    what: str
    per_second: float
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a demand needs.

    Attributes:
        microseconds: of an event, by role, at the peak.
        largest_partition: share of all events that one partition of usage.frames has.
        largest_source: the same of usage.events.
        ingest_workers, aggregators: needed at the peak; None where no number of them is enough.
        catch_up_s: after the outage; None where it never ends.
        capacity: events/s of the workers planned, all of them busy.
        ends: the first is what ends first.
    """

    demand: Demand
    choices: Choices
    microseconds: Mapping[Role, float]
    events_partitions: int
    frames_partitions: int
    largest_partition: float
    largest_source: float
    ingest_workers: int | None
    aggregators: int | None
    memory: Memory
    redis: RedisNeeds
    disks: Disks
    catch_up_s: float | None
    capacity: float
    ends: Sequence[End]

    @property
    def cores(self) -> float:
        """Return what all processes take at the peak."""
        return self.demand.peak_per_second * sum(self.microseconds.values()) / 1e6

    @property
    def api_workers(self) -> int:
        """Return the API processes that the requests need."""
        factor = max(self.choices.factors.values())
        return max(ceil(self.choices.requests_per_second * factor / API_REQUESTS / self.choices.utilization), 1)

    @property
    def holds(self) -> bool:
        """Whether the peak can be counted with these partitions, and its counters be held."""
        enough = (self.ingest_workers, self.aggregators, self.redis.masters)
        return None not in enough and self.ends[0].per_second >= self.demand.peak_per_second

    @property
    def refusal(self) -> str:
        """Return why not, in a sentence."""
        if self.redis.masters_by_memory is None:
            return (
                "the largest partition needs more memory than one Redis may have: raise --node-memory, shorten"
                " retention (identities: --max-age), or give the largest organization a deployment of its own"
            )
        end = self.ends[0]
        return (
            f"{end.what} ends at {end.per_second:,.0f} events/s; the peak is {self.demand.peak_per_second:,.0f}, and no"
            f" worker may be busier than {self.choices.utilization:.0%}: {end.remedy}"
        )


def plan(demand: Demand, kept: Kept, choices: Choices) -> Plan:
    """Return what the demand needs."""
    sources = choices.events_partitions or EVENTS_PARTITIONS_MIN
    frames = choices.frames_partitions or FRAMES_PARTITIONS_MIN
    found = _plan(demand, kept, choices, sources, frames)
    # Partitions, workers and costs depend on each other: what a worker remembers, how much a frame holds.
    for _ in range(10):
        wanted = _partitions(found)
        if wanted == (found.events_partitions, found.frames_partitions):
            break
        found = _plan(demand, kept, choices, *wanted)
    return found


def _partitions(found: Plan) -> tuple[int, int]:
    """Return the partitions of usage.events and usage.frames that such a load, grown, would have."""
    choices = found.choices
    load = found.demand.peak_per_second * choices.growth / 1e6 / choices.utilization
    readers = ceil(load * found.microseconds[Role.INGEST])
    workers = max(ceil(load * found.microseconds[Role.AGGREGATOR]), found.redis.masters or 1)
    sources = max(partitions_for(readers, EVENTS_PARTITIONS_MIN), found.events_partitions)
    frames = max(partitions_for(workers, FRAMES_PARTITIONS_MIN), found.frames_partitions)
    # More of them help where the largest holds more than the largest organization.
    alone = 1.05 * float(found.demand.sizes.share[0])
    if found.ingest_workers is None and found.largest_source > alone:
        sources = max(sources, min(2 * found.events_partitions, PARTITIONS_MAX))
    if None in (found.aggregators, found.redis.masters) and found.largest_partition > alone:
        frames = max(frames, min(2 * found.frames_partitions, PARTITIONS_MAX))
    return choices.events_partitions or sources, choices.frames_partitions or frames


def _plan(demand: Demand, kept: Kept, choices: Choices, sources: int, frames: int) -> Plan:
    """Return the plan with so many partitions."""
    holds = memory(demand, kept, frames, sources)
    shares = partition_shares(demand.organizations, demand.largest_share, frames)
    source_shares = _source_shares(demand, sources)
    cost, aggregators = _settled(traffic.live(demand, kept, holds), shares, choices)
    spent = cost.of(cost.seen, cost.limits.workers)
    load = {role: demand.peak_per_second * each / 1e6 for role, each in spent.items()}
    ingest_workers = fewest(
        sources, lambda workers: load[Role.INGEST] * busiest(source_shares, workers) <= choices.utilization
    )
    busy = call(cost.seen, float(shares[0]), cost.limits)
    needs = redis_needs(
        holds,
        shares,
        load[Role.REDIS],
        demand.peak_per_second * (busy.cells + busy.sets),
        choices.utilization,
        choices.node_bytes,
    )
    owners = Owners(
        ingest=busiest(source_shares, ingest_workers or sources),
        aggregator=busiest(shares, aggregators or frames),
        redis=fullest(shares, needs.masters or frames),
    )
    capacity = cost.behind(demand.events_per_second, owners)
    return Plan(
        demand=demand,
        choices=choices,
        microseconds=spent,
        events_partitions=sources,
        frames_partitions=frames,
        largest_partition=float(shares[0]),
        largest_source=float(source_shares[0]),
        ingest_workers=ingest_workers,
        aggregators=aggregators,
        memory=holds,
        redis=needs,
        disks=disks(
            demand,
            shares,
            busy,
            Kafka(
                replication=choices.replication,
                retention=choices.keeps,
                sources=sources,
                ingest_workers=ingest_workers or sources,
            ),
        ),
        catch_up_s=_catch_up_s(demand, capacity, choices.outage_s),
        capacity=capacity,
        ends=_ends(cost, float(source_shares[0]), needs, choices.node_bytes),
    )


def _settled(seen: Traffic, shares: Numbers, choices: Choices) -> tuple[Cost, int | None]:
    """Return the costs with the fewest aggregators of whom none is too busy; None where no number of them is enough.

    The more there are, the more of the hashes each of them knows, and the less an event costs.
    """

    def cost_with(workers: int) -> Cost:
        return Cost(seen, shares, replace(choices.limits, workers=workers), choices.factors)

    def is_enough(workers: int) -> bool:
        spent = cost_with(workers).of(seen, workers)[Role.AGGREGATOR]
        return seen.per_second * spent / 1e6 * busiest(shares, workers) <= choices.utilization

    found = fewest(len(shares), is_enough)
    return cost_with(found or len(shares)), found


def _source_shares(demand: Demand, partitions: int) -> Numbers:
    if demand.keyed:
        return partition_shares(demand.organizations, demand.largest_share, partitions)
    return np.full(partitions, 1 / partitions)


def _catch_up_s(demand: Demand, capacity: float, outage_s: float) -> float | None:
    spare = capacity - demand.events_per_second
    return demand.events_per_second * outage_s / spare if spare > 0 else None


def _ends(cost: Cost, largest_source: float, needs: RedisNeeds, node_bytes: float) -> Sequence[End]:
    """Return where growing ends whatever the number of workers, the first one first."""
    largest, masters = float(cost.shares[0]), needs.masters
    busy = fullest(cost.shares, masters or len(cost.shares))
    ends = [
        End(
            what="the largest partition of usage.frames on one aggregator's core",
            per_second=cost.end(Role.AGGREGATOR, largest),
            remedy="more partitions help until one organization fills its own; beyond, only a faster core",
        ),
        End(
            what="the largest partition of usage.events on one ingest worker's core",
            per_second=cost.end(Role.INGEST, largest_source),
            remedy="more partitions, or producers that spread an organization's events (--spread)",
        ),
        End(
            what="one Redis, which is one thread" if masters == 1 else "the busiest Redis master",
            per_second=cost.end(Role.REDIS, busy),
            remedy="a Redis Cluster, or more masters in it",
        ),
        End(
            what="memory of one Redis" if masters == 1 else "memory of the fullest Redis master",
            per_second=cost.seen.per_second * node_bytes / needs.fullest.resident,
            remedy="larger nodes, more masters, or shorter retention",
        ),
    ]
    if masters != 1:
        ends.append(
            End(
                what="the largest partition on a Redis master of its own",
                per_second=cost.end(Role.REDIS, largest),
                remedy="a partition is one slot: more partitions, or a faster core",
            )
        )
    return sorted(ends, key=lambda end: end.per_second)

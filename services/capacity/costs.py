"""Microseconds of processor time that an event takes in each role, by what its call comes to. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from services.capacity.calls import Call, Limits, Traffic, call
from services.capacity.redis_sizes import Numbers


class Role(StrEnum):
    INGEST = "ingest"
    AGGREGATOR = "aggregator"
    REDIS = "redis"
    BROKER = "broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCosts:
    """Microseconds of one of each (`services.capacity.calls.Call`)."""

    event: float = 0.0
    string: float = 0.0
    fresh: float = 0.0
    cell: float = 0.0
    read: float = 0.0
    field: float = 0.0
    set: float = 0.0
    call: float = 0.0
    frame: float = 0.0

    def of(self, call: Call) -> float:
        """Return the microseconds of an event in such a call."""
        cells = self.cell * call.cells + self.read * call.reads + self.field * call.fields
        index = self.set * call.sets
        frames = self.string * call.strings + self.fresh * call.fresh + self.frame / call.frame_events
        return self.event + cells + index + frames + self.call / call.events


UNIT_COSTS: Final[Mapping[Role, UnitCosts]] = {
    Role.INGEST: UnitCosts(event=5.66, string=0.50, fresh=16.2, frame=638.0),
    Role.AGGREGATOR: UnitCosts(event=0.92, cell=2.82, read=4.34, field=0.67, set=1.89, call=6_050.0, frame=113.0),
    Role.REDIS: UnitCosts(event=1.17, cell=0.92, read=10.8, field=0.15, set=4.23, call=1_395.0),
    Role.BROKER: UnitCosts(event=1.3),
}
"""By least squares over the runs of `python -m tests.bench.unit_costs` (2026-11-26: each within 20 %), then times 1.22,
1.49 and 1.45, by which the workload of `make bench` cost more on the same day, with the clients of Kafka and with all
processes on two cores (deploy/docs/performance.md: 6.7, 6.6, 4.2 and 1.3)."""

ALONE: Final = 6
"""Partitions that are looked at one by one, the largest."""

Factors = Mapping[Role, float]
"""How much slower than the machine of `UNIT_COSTS` each role is."""

SAME_MACHINE: Final[Factors] = dict.fromkeys(Role, 1.0)


def microseconds(of: Traffic, shares: Numbers, limits: Limits, factors: Factors = SAME_MACHINE) -> dict[Role, float]:
    """Return what an event takes in each role on average, partitions having these shares of the events."""
    calls = [(weight, call(of, share, limits)) for share, weight in _alike(shares)]
    return {
        role: factors[role] * sum(weight * costs.of(each) for weight, each in calls)
        for role, costs in UNIT_COSTS.items()
    }


def _alike(shares: Numbers) -> Iterator[tuple[float, float]]:
    """Yield share and weight of the largest partitions each, and of all others together, which are much alike."""
    yield from ((float(share), float(share)) for share in shares[:ALONE] if share > 0)
    others = shares[ALONE:]
    if len(others) and (weight := float(np.sum(others))) > 0:
        yield weight / len(others), weight

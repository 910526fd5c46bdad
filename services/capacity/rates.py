"""What an event costs at rates that are not the peak's, and the rates at which somebody is busy all the time. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.capacity import traffic
from services.capacity.calls import Limits, Traffic
from services.capacity.costs import Factors, Role, microseconds
from services.capacity.redis_sizes import Numbers

STEADY: Final = 0.9
"""Of the processor time there is, what a pipeline that is behind uses: 1.80 of 2 cores in `make bench`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Shares of all events: of the busiest worker of each role, and of the busiest Redis."""

    ingest: float
    aggregator: float
    redis: float

    def items(self) -> Sequence[tuple[Role, float]]:
        return ((Role.INGEST, self.ingest), (Role.AGGREGATOR, self.aggregator), (Role.REDIS, self.redis))


@dataclass(frozen=True, slots=True)
class Cost:
    """What an event costs at rates that are not the peak's: the more come, the more are folded together."""

    seen: Traffic
    shares: Numbers
    limits: Limits
    factors: Factors

    def of(self, seen: Traffic, workers: float) -> dict[Role, float]:
        return microseconds(seen, self.shares, replace(self.limits, workers=workers), self.factors)

    def end(self, role: Role, share: float) -> float:
        """Return the events/s at which whoever has this share of them is busy all the time."""

        def rate(per_second: float) -> float:
            workers = max(self.limits.workers * per_second / self.seen.per_second, 1.0)
            return _rate(self.of(traffic.grown(self.seen, per_second), workers)[role], share)

        return _fixed_point(rate, self.seen.per_second)

    def behind(self, came_per_second: float, owners: Owners) -> float:
        """Return the events/s that are counted while everybody is busy with what came at some rate."""

        def rate(per_second: float) -> float:
            spent = self.of(traffic.behind(self.seen, came_per_second, per_second), self.limits.workers)
            return min(_rate(spent[role], share) for role, share in owners.items())

        return _fixed_point(rate, came_per_second)


def _rate(spent: float, share: float) -> float:
    return STEADY * 1e6 / (spent * share)


def _fixed_point(function: Callable[[float], float], start: float) -> float:
    """Return where a rate and what it makes possible are the same; both grow together, so that this is approached."""
    at = max(start, 1.0)
    for _ in range(30):
        following = function(at)
        if abs(following - at) < 0.01 * at:
            break
        at = (at * following) ** 0.5
    return at

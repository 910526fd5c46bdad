"""A demand as traffic: live, at its peak, or as a log that is counted from its start like the benchmark's. Pure."""

from dataclasses import dataclass, replace
from math import log1p
from typing import Final

from services.capacity.calls import Traffic
from services.capacity.cells import touched, user_fields
from services.capacity.demand import DAY_S, DAYS_A_MONTH, Demand
from services.capacity.memory import PERIOD_DAYS, Kept, Memory
from services.simulated_population import SHAPES, Profile, Shape

NAMES_KNOWN: Final = 200_000
"""Names that an ingest worker remembers (`ingest.poll.STRINGS_MAX`)."""

BENCH = SHAPES[Profile.BENCH]


def live(demand: Demand, kept: Kept, holds: Memory) -> Traffic:
    """Return what comes in the busiest minutes of a deployment that holds so much."""
    return _traffic(demand, kept, holds, demand.peak_per_second, demand.peak_per_second * 3_600)


def grown(of: Traffic, per_second: float) -> Traffic:
    """Return the same with more or fewer users of the same habits, so that so many events come."""
    times = per_second / of.per_second
    return replace(
        of,
        per_second=per_second,
        per_hour=of.per_hour * times,
        users=of.users * times,
        teams=of.teams * times,
        organizations=of.organizations * times,
        fresh=_fresh(of.users * times),
        known_weight=of.known_weight * times,
        week_ids=of.week_ids * times,
    )


def behind(of: Traffic, per_second: float, counted_per_second: float) -> Traffic:
    """Return what came at one rate while it is counted at another, after an outage."""
    return replace(of, per_hour=per_second * 3_600, per_second=counted_per_second)


def _traffic(demand: Demand, kept: Kept, holds: Memory, per_second: float, per_hour: float) -> Traffic:
    hours, days = user_fields(
        demand.events_a_user_day,
        demand.product_shares,
        demand.active_hours,
        kept.day_days * demand.active_share / kept.months,
    )
    active = demand.users * demand.active_share
    # Half full on average: the hours of today, and the days of this month.
    user_weight = 2 + float(hours.count + days.count) / 2
    begun_a_day = (holds.keys["h"] + holds.keys["ha"]) / kept.hour_days
    begun_a_day += (holds.keys["d"] + holds.keys["da"]) / kept.day_days
    return Traffic(
        per_second=per_second,
        per_hour=per_hour,
        users=active,
        teams=demand.teams,
        organizations=demand.organizations,
        product_shares=demand.product_shares,
        new_hashes=begun_a_day / demand.counted_per_day,
        fresh=_fresh(active),
        known_weight=active * user_weight,
        hash_fields=(user_weight - 2) / 2,
        week_ids=demand.counted_per_day * PERIOD_DAYS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A log of simulated events that is counted from its start, as `make bench` does.

    Attributes:
        calendar_days: that the events touch: one more than they span, unless they begin with a day.
    """

    events: int
    shape: Shape = BENCH
    calendar_days: float | None = None
    months: float = 1.0
    id_length: int = 8

    @property
    def days(self) -> float:
        return self.shape.span_ms / DAY_S / 1000

    @property
    def demand(self) -> Demand:
        """Return the demand of which this is what came in `days`."""
        days = self.calendar_days or self.days
        rate = self.events / days / DAY_S
        mean = self.events / days / self.shape.users
        active = _active(mean)
        return Demand(
            events_per_second=rate,
            peak_per_second=rate,
            users=self.shape.users,
            organizations=len(self.shape.organizations),
            teams=self.shape.teams,
            # A little less than all that come, so that each has an event.
            active_days=active * DAYS_A_MONTH * (1 - self.shape.copy_share) * 0.999,
            active_hours=24,
            product_shares=self.shape.type_shares,
            copy_share=self.shape.copy_share,
            id_length=self.id_length,
            dead_letter_share=0.0,
            directory=False,
        )

    @property
    def kept(self) -> Kept:
        days = self.calendar_days or self.days
        return Kept(hour_days=days, day_days=days, months=self.months, id_days=days, ledger_days=1)

    def traffic(self, holds: Memory, per_second: float) -> Traffic:
        """Return what it is like when it is counted at some rate."""
        seen = _traffic(self.demand, self.kept, holds, per_second, self.events / self.days / 24)
        counted = self.events * (1 - self.shape.copy_share)
        return replace(
            seen,
            users=float(self.shape.users),
            fresh=self.shape.users * float(touched(self.events / self.shape.users)) / self.events,
            known_weight=seen.known_weight * self.shape.users / max(seen.users, 1.0),
            week_ids=counted * min(1.0, PERIOD_DAYS / self.days),
            first_period=True,
        )


def _fresh(users: float) -> float:
    """Return how many names an event brings that ingest does not remember, being as many users as are active.

    It remembers all until they are too many, and then begins anew.
    """
    if users <= NAMES_KNOWN:
        return 0.0
    return NAMES_KNOWN / (-users * log1p(-NAMES_KNOWN / users))


def _active(mean: float) -> float:
    """Return the share of days with an event, of users who have so many a day on average."""
    return float(touched(mean))

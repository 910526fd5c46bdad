"""The canary's events and what must be counted of them, as functions of time: a restart changes nothing. Pure.

Each interval of time since 1970 is a slot, and each slot has one event: its number is the id, its begin the time, every
amount is 1. An event that is published again is the same event, so that a canary which starts publishes all slots of
the last hours, whoever published them before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.metrics_contract import PRODUCTS, Product
from services.windows import HOUR_MS, hour_of, rfc3339

SOURCE: Final = "tidemark-canary"
COPY_EVERY: Final = 5
"""Each so many-th event is published twice, so that one that is counted twice shows."""

CLOCK_SKEW_MS: Final = 2_000
"""By which the clock of another canary may be ahead of this one's."""

Served = Mapping[str, Mapping[str, int]]
"""Product name -> counter name -> value, of one hour, as far as the reader tells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One event of the canary's; `broker_ms` is the latest broker time of its records."""

    number: int
    broker_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the counters say.

    Attributes:
        as_of_ms: every record with an earlier broker time is in them; None when that is unknown.
        hours: of each hour asked for.
    """

    as_of_ms: int | None
    hours: Mapping[int, Served]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the counters compare with what was published.

    Attributes:
        missing: events that should be counted and are not; None while as-of is unknown.
        surplus: events counted beyond all that there can be.
        seen: events counted, by hour.
        newest_ms: time of the newest event seen; None while none is.
    """

    missing: int | None
    surplus: int
    seen: Mapping[int, int]
    newest_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPlan:
    """Which events there are.

    Attributes:
        name: of the organization, without the interval.
        interval_ms: from one event to the next.
        lookback_ms: how far back events are published at a start, and compared; widened to whole hours.
    """

    name: str
    interval_ms: int
    lookback_ms: int

    @property
    def organization(self) -> str:
        """Return the id of the organization. Another interval is another organization: its hours hold other events."""
        return f"{self.name}-{self.interval_ms / 1000:g}s"

    def hours(self, now_ms: int) -> range:
        """Return the hours that are compared, the one that runs last."""
        return range(hour_of(now_ms - self.lookback_ms), hour_of(now_ms) + 1)

    def due(self, now_ms: int) -> range:
        """Return the slots of these hours that have begun."""
        return self._slots(self.hours(now_ms).start * HOUR_MS, now_ms + 1)

    def slots_of(self, hour: int, now_ms: int) -> range:
        """Return the slots of an hour that have begun."""
        return self._slots(hour * HOUR_MS, min((hour + 1) * HOUR_MS, now_ms + 1))

    def time_ms(self, slot: int) -> int:
        return slot * self.interval_ms

    def copies(self, slot: int) -> int:
        """Return how often the event of a slot is published."""
        return 2 if slot % COPY_EVERY == 0 else 1

    def event(self, slot: int) -> bytes:
        """Return the event of a slot as its record's value."""
        product = product_of(slot)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(slot),
            "source": SOURCE,
            "type": product.event_type,
            "time": rfc3339(self.time_ms(slot)),
            "subject": "canary",
            "organizationid": self.organization,
            "data": dict.fromkeys(product.counters, 1),
        }
        return msgspec.json.encode(event)

    def _slots(self, start_ms: int, end_ms: int) -> range:
        """Return the slots that begin in [start, end)."""
        return range(-(-start_ms // self.interval_ms), -(-end_ms // self.interval_ms))


def product_of(slot: int) -> Product:
    """Return what the event of a slot is an event of: all products in turn."""
    return PRODUCTS[slot % len(PRODUCTS)]


def judge(plan: CanaryPlan, published: Mapping[int, Slot], reading: Reading, now_ms: int) -> Verdict:
    """Compare a reading with what was published before it, both ways.

    In an hour that runs, or whose events this canary has yet to publish, it is between what must be there by `as_of`
    and what can be there; in any other hour both are the same.

    Args:
        plan: of the events.
        published: slot -> what Kafka acknowledged.
        reading: made after `published`.
        now_ms: after the reading.
    """
    missing = surplus = 0
    seen: dict[int, int] = {}
    newest_ms = None
    for hour in sorted(reading.hours):
        can = plan.slots_of(hour, now_ms + CLOCK_SKEW_MS)
        must = [each for each in can if _must_be_there(published.get(each), reading.as_of_ms)]
        in_hour = 0
        for product in PRODUCTS:
            values = list(reading.hours[hour].get(product.name, {}).values()) or [0]
            missing += max(0, _count(product, must) - min(values))
            surplus += max(0, max(values) - _count(product, can))
            in_hour += min(values)
        if in_hour:
            # As many as are seen, the last of them: they are applied in the order of their slots, nearly.
            newest_ms = plan.time_ms(can[min(in_hour, len(can)) - 1])
        seen[hour] = in_hour
    unknown = reading.as_of_ms is None
    return Verdict(missing=None if unknown else missing, surplus=surplus, seen=seen, newest_ms=newest_ms)


def _must_be_there(slot: Slot | None, as_of_ms: int | None) -> bool:
    return slot is not None and as_of_ms is not None and slot.broker_ms < as_of_ms


def _count(product: Product, slots: Sequence[int]) -> int:
    return sum(product_of(slot) is product for slot in slots)

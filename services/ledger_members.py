"""The ledger as a JSON object. Pure."""

from collections.abc import Sequence
from typing import Any

from services.ledger import ENTRIES, Ledger, LedgerHour, unexplained
from services.windows import HOUR_MS, rfc3339

_NAMES = {entry: "deadLettered" if entry == "dead_lettered" else entry for entry in ENTRIES}


def ledger_members(ledger: Ledger) -> dict[str, Any]:
    """Return the whole ledger; what is not known is null."""
    return {
        "balanced": ledger.balanced,
        "asOf": {topic: None if moment is None else rfc3339(moment) for topic, moment in ledger.as_of_ms.items()},
        "from": rfc3339(ledger.first_hour * HOUR_MS),
        "to": rfc3339(ledger.next_hour * HOUR_MS),
        "alarms": [hour_members(each) for each in ledger.alarms],
        "totals": [_total(topic, number, closed) for (topic, number), closed in ledger.closed().items()],
        "hours": [hour_members(each) for each in ledger.hours],
    }


def hour_members(hour: LedgerHour) -> dict[str, Any]:
    """Return one hour of a source partition; its remainder is null while it may still change."""
    return {
        "topic": hour.topic,
        "partition": hour.partition,
        "hour": rfc3339(hour.hour * HOUR_MS),
        "state": hour.state.value,
        **{name: getattr(hour, entry) for entry, name in _NAMES.items()},
        "remainder": hour.remainder,
    }


def _total(topic: str, partition: int, closed: Sequence[LedgerHour]) -> dict[str, Any]:
    """Return the sums of a source partition's closed hours; `unexplained` adds remainders up without their sign."""
    return {
        "topic": topic,
        "partition": partition,
        "closedHours": len(closed),
        **{name: sum(getattr(each, entry) for each in closed) for entry, name in _NAMES.items()},
        "unexplained": unexplained(closed),
    }

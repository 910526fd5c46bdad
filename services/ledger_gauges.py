"""The ledger as metrics: what is not explained, and what became of the records of the last 24 closed hours."""

from typing import Final

from services.ledger import ENTRIES, Ledger, LedgerHour, unexplained
from services.telemetry import Telemetry
from services.windows import HOUR_MS

HOURS: Final = 24

Labels = tuple[tuple[str, str | int], ...]


class LedgerGauges:
    """Sets `tidemark_ledger_*` of one process; what is no longer known goes away."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._set: set[tuple[str, Labels]] = set()

    def show(self, ledger: Ledger | None) -> None:
        """Show a ledger of all hours that are kept; None when it could not be read."""
        now = {} if ledger is None else _values(ledger)
        for name, labels in self._set - now.keys():
            self._telemetry.forget(name, **dict(labels))
        for (name, labels), value in now.items():
            self._telemetry.set(name, value, **dict(labels))
        self._set = set(now)


def _values(ledger: Ledger) -> dict[tuple[str, Labels], int]:
    values: dict[tuple[str, Labels], int] = {}
    for (topic, partition), closed in ledger.closed().items():
        of_source: Labels = (("topic", topic), ("partition", partition))
        values["tidemark_ledger_remainder", of_source] = unexplained(closed)
        as_of = ledger.as_of_ms[topic] or 0
        for entry, amount in _lately(closed, as_of // HOUR_MS).items():
            values["tidemark_ledger_records", (*of_source, ("result", entry))] = amount
    return values


def _lately(closed: list[LedgerHour], next_hour: int) -> dict[str, int]:
    late = [each for each in closed if each.hour >= next_hour - HOURS]
    return {entry: sum(getattr(each, entry) for each in late) for entry in ENTRIES}

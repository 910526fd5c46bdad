"""What becomes of a record: admitted or rejected."""

from dataclasses import dataclass
from typing import NamedTuple

from services.dead_letters import Reason
from services.events import ReceivedEvent
from services.settings import EventSettings


class Admitted(NamedTuple):
    """A record that is counted.

    Attributes:
        product: code of the product in `services.metrics_contract`.
        event: the event as decoded; its `time` is text.
        time_ms: its `time` in milliseconds since the epoch, rounded down.
    """

    product: int
    event: ReceivedEvent
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that becomes a dead letter.

    Attributes:
        reason: why.
        field: path of the field at fault, e.g. `data.lines`; None when no single field is.
        detail: one sentence for a person; never a value from the record.
    """

    reason: Reason
    field: str | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRules:
    """What the settings decide about admission.

    Attributes:
        ignore_unknown: whether fields that the contract does not know are passed over.
        max_bytes: longest record.
        max_age_ms: furthest that an event's time may lie behind its record's broker time; None: no limit.
        max_ahead_ms: furthest that it may lie ahead.
    """

    ignore_unknown: bool
    max_bytes: int
    max_age_ms: int | None
    max_ahead_ms: int

    @classmethod
    def of(cls, events: EventSettings) -> "AdmissionRules":
        return cls(
            ignore_unknown=events.unknown_fields == "ignore",
            max_bytes=events.max_bytes,
            max_age_ms=None if events.max_age is None else round(events.max_age * 1000),
            max_ahead_ms=round(events.max_ahead * 1000),
        )

    def age_fault(self, time_ms: int, broker_ms: int) -> Reason | None:
        """Return why a time does not go with its record's broker time, or None."""
        if time_ms > broker_ms + self.max_ahead_ms:
            return Reason.IN_THE_FUTURE
        if self.max_age_ms is not None and time_ms < broker_ms - self.max_age_ms:
            return Reason.TOO_OLD
        return None

"""The answer of `/ops/trace`: a trace within a time that a request may take."""

import asyncio
from typing import Any, Final

from services.event_identity import EventIdentity
from services.event_rules import read_time_ms
from services.kafka import KafkaUnavailable
from services.settings import Settings
from services.trace_members import trace_members
from services.trace_reading import trace_event

LIMIT_S: Final = 6.0
"""What is not read by then is cut off, and the answer says so."""

MARGIN_S: Final = 3.0
"""For connections and look-ups beside the reading; together below what the operators' port waits."""


async def trace_answer(
    settings: Settings, organization: str, source: str, event_id: str, since: str | None = None
) -> dict[str, Any]:
    """Return what became of an event as a JSON object, within 9 seconds.

    Args:
        since: RFC 3339; frames and dead letters written before are not read.

    Raises:
        WrongTime: `since` is none.
        StoreUnavailable, StoreRefused, KafkaUnavailable, KafkaRefused, Refused: as `trace_event` does.
    """
    since_ms = None if since is None else read_time_ms(since)
    event = EventIdentity(organization=organization, source=source, id=event_id)
    try:
        async with asyncio.timeout(LIMIT_S + MARGIN_S):
            trace, reach = await trace_event(settings, event, since_ms=since_ms, limit_s=LIMIT_S)
    except TimeoutError as error:
        raise KafkaUnavailable(f"Kafka or Redis gave no answer within {LIMIT_S + MARGIN_S:g} s") from error
    return trace_members(event, trace, reach)

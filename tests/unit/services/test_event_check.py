from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from services.event_check import ContractViolation, encode_event
from services.events import ChatData, ChatEvent, received_decoder


def chat(data: Any = None, **changes: Any) -> ChatEvent:
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/ide",
        "time": datetime(2026, 8, 22, 8, tzinfo=UTC),
        "subject": "u",
        "organizationid": "o",
        "data": data if data is not None else ChatData(messages=1),
    }
    return ChatEvent(**(attributes | changes))


def test_a_good_event_is_written_as_ingest_reads_it() -> None:
    value = encode_event(chat(teamid="t", time=datetime(2026, 8, 22, 10, tzinfo=timezone(timedelta(hours=2)))))
    received = received_decoder("refuse").decode(value)
    assert (received.teamid, received.time) == ("t", "2026-08-22T10:00:00+02:00")
    assert len(value) == len(msgspec.json.encode(received))


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (chat(specversion="0.3"), "specversion"),
        (chat(id=""), "id"),
        (chat(id="a\nb"), "id"),
        (chat(source="s" * 257), "source"),
        (chat(subject="a/b"), "subject"),
        (chat(subject=7), "subject"),
        (chat(organizationid="usage"), "organizationid"),
        (chat(organizationid="o" * 129), "organizationid"),
        (chat(teamid=""), "teamid"),
        (chat(time=datetime(2026, 8, 22, 8)), "time"),  # noqa: DTZ001
        (chat(ChatData(messages=-2)), "data.messages"),
        (chat(ChatData(messages=2**31)), "data.messages"),
        (chat(ChatData(messages=1.5)), "data.messages"),  # type: ignore[arg-type]
        (chat(ChatData(model="m" * 65)), "data.model"),
        (chat({"hats": 1}), "data"),
        (chat(subject="\ud800"), None),
    ],
)
def test_an_event_that_breaks_the_contract_is_refused_by_field(event: ChatEvent, field: str | None) -> None:
    with pytest.raises(ContractViolation) as caught:
        encode_event(event)
    assert caught.value.remedy
    assert field is None or (caught.value.field or "data").startswith(field)
    assert field is None or field in str(caught.value)

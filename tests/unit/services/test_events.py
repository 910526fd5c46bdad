import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.cli.schema import schema_text
from services.events import (
    EVENT_CLASSES,
    AgentData,
    AgentEvent,
    ChatData,
    ChatEvent,
    data_class,
    json_schema,
    received_decoder,
    text_names,
)
from services.metrics_contract import PRODUCTS, Product

SCHEMA = Path(__file__).parents[3] / "deploy" / "docs" / "usage-event.schema.json"


def chat(**data: Any) -> ChatEvent:
    return ChatEvent(
        specversion="1.0",
        id="e-1",
        source="s",
        time=datetime(2026, 8, 22, 8, tzinfo=UTC),
        subject="u",
        organizationid="o",
        data=ChatData(**data),
    )


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_the_data_of_a_type_begins_with_the_counters_of_its_product(product: Product) -> None:
    fields = data_class(product.code).__struct_fields__
    assert fields == (*product.counters, *text_names(product.code))
    assert EVENT_CLASSES[product.code].__struct_config__.tag == product.event_type


def test_the_texts_stand_in_one_order_and_only_agents_have_a_type() -> None:
    assert [text_names(product.code) for product in PRODUCTS] == [
        ("language", "ide", "model"),
        ("language", "ide", "model"),
        ("language", "ide", "model", "agentType"),
        (),
    ]


def test_what_is_absent_is_not_written_and_an_explicit_zero_is() -> None:
    written = json.loads(msgspec.json.encode(chat(messages=0, model="m")))
    assert written == {
        "type": "usage.chat",
        "specversion": "1.0",
        "id": "e-1",
        "source": "s",
        "time": "2026-08-22T08:00:00Z",
        "subject": "u",
        "organizationid": "o",
        "data": {"messages": 0, "model": "m"},
    }


@pytest.mark.parametrize("unknown_fields", ["refuse", "ignore"])
def test_a_received_event_is_as_it_was_made_but_its_time_is_text(unknown_fields: Any) -> None:
    made = chat(interactions=3)
    received = received_decoder(unknown_fields).decode(msgspec.json.encode(made))
    assert received.product == 1
    assert received.time == "2026-08-22T08:00:00Z"
    assert msgspec.structs.astuple(received.data) == msgspec.structs.astuple(made.data)


def test_only_the_refusing_decoder_minds_unknown_fields_in_envelope_and_data() -> None:
    for old, new in ((b'"data":{', b'"x":1,"data":{'), (b'"data":{', b'"data":{"x":1,')):
        value = msgspec.json.encode(chat(interactions=3)).replace(old, new)
        assert received_decoder("ignore").decode(value).id == "e-1"
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            received_decoder("refuse").decode(value)


def test_events_cannot_be_changed() -> None:
    event = AgentEvent(
        specversion="1.0",
        id="e",
        source="s",
        time=datetime(2026, 8, 22, tzinfo=UTC),
        subject="u",
        organizationid="o",
        data=AgentData(),
    )
    with pytest.raises(AttributeError):
        event.id = "f"  # type: ignore[misc]


def test_the_committed_json_schema_is_current() -> None:
    assert SCHEMA.read_text() == schema_text(), "run: tidemark schema --out deploy/docs/usage-event.schema.json"


def test_the_json_schema_says_what_is_required_and_refuses_the_rest() -> None:
    parts = json_schema()["$defs"]
    chat_event = parts["ChatEvent"]
    assert chat_event["additionalProperties"] is False
    assert "teamid" not in chat_event["required"]
    assert "organizationid" in chat_event["required"]
    assert parts["ChatData"]["properties"]["messages"] == {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    assert parts["ChatData"]["properties"]["model"] == {"type": "string", "maxLength": 64}

"""The usage event: CloudEvents 1.0 with one `data` shape a type. The contract, as msgspec structs.

The public classes are for whoever makes an event: `ChatEvent(id=…, time=datetime.now(UTC), data=ChatData(messages=1))`.
Ingest reads with `received_decoder`, whose classes are made from the public ones and differ in two ways: `time` stays
text (ingest reads it by the strict grammar of RFC 3339, which msgspec does not keep to), and unknown fields may be
ignored.

In `data` the counters come first, in the order of `services.metrics_contract`, then the texts, so that
`msgspec.structs.astuple(event.data)` is (counters…, language, ide, model[, agentType]). An absent counter is -1 and an
absent text is "", which are left out when written; absent envelope attributes are None. An explicit 0 stays a 0.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache, reduce
from operator import or_
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Protocol, cast

import msgspec
from msgspec import Meta, Struct

from services.metrics_contract import AMOUNT_MAX, PRODUCTS

ABSENT: Final = -1
"""Value of a counter that the event does not carry; not 0, so that writing an event gives back what was read."""

SPECVERSION: Final = "1.0"
IDENTITY_CHARACTERS_MAX: Final = 256
ID_CHARACTERS_MAX: Final = 128
TEXT_CHARACTERS_MAX: Final = 64
RESERVED_IDS: Final = frozenset({"usage", "account-utilizations", "agent-usage"})
"""Ids that would collide with path segments of the query API."""

_NO_CONTROL = "[^\\u0000-\\u001f\\u007f-\\u009f]"
_NO_CONTROL_NO_SLASH = "[^/\\u0000-\\u001f\\u007f-\\u009f]"

# The patterns stand in the JSON Schema only: matching them on every event would cost more than the decode.
Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
Identity = Annotated[
    str,
    Meta(min_length=1, max_length=IDENTITY_CHARACTERS_MAX, extra_json_schema={"pattern": f"^{_NO_CONTROL}+$"}),
]
Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=ID_CHARACTERS_MAX,
        extra_json_schema={
            "pattern": f"^{_NO_CONTROL_NO_SLASH}+$",
            "not": {"enum": sorted(RESERVED_IDS)},
        },
    ),
]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with offset")]


class _Data(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What every `data` has in common: nothing but its strictness."""


class CodeCompletionData(_Data, frozen=True, gc=False, kw_only=True):
    completions: Amount = ABSENT
    charsCompleted: Amount = ABSENT
    keystrokes: Amount = ABSENT
    lines: Amount = ABSENT
    suggestions: Amount = ABSENT
    language: Text = ""
    ide: Text = ""
    model: Text = ""


class ChatData(_Data, frozen=True, gc=False, kw_only=True):
    interactions: Amount = ABSENT
    usefulChatInteractions: Amount = ABSENT
    messages: Amount = ABSENT
    lines: Amount = ABSENT
    linesAdded: Amount = ABSENT
    charsCompleted: Amount = ABSENT
    inputTokens: Amount = ABSENT
    outputTokens: Amount = ABSENT
    costMicros: Amount = ABSENT
    language: Text = ""
    ide: Text = ""
    model: Text = ""


class AgentData(_Data, frozen=True, gc=False, kw_only=True):
    interactions: Amount = ABSENT
    messages: Amount = ABSENT
    linesAdded: Amount = ABSENT
    linesAddedAccepted: Amount = ABSENT
    linesRemoved: Amount = ABSENT
    linesRemovedAccepted: Amount = ABSENT
    inputTokens: Amount = ABSENT
    outputTokens: Amount = ABSENT
    costMicros: Amount = ABSENT
    language: Text = ""
    ide: Text = ""
    model: Text = ""
    agentType: Text = ""


class InstructData(_Data, frozen=True, gc=False, kw_only=True):
    acceptedCount: Amount = ABSENT


class _Envelope(
    Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
):
    """The CloudEvents attributes; `type` is the tag of the class."""

    specversion: Literal["1.0"]
    id: Identity
    source: Identity
    time: Moment
    subject: Id
    organizationid: Id
    teamid: Id | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


class CodeCompletionEvent(_Envelope, frozen=True, gc=False, kw_only=True, tag="usage.code_completion"):
    data: CodeCompletionData


class ChatEvent(_Envelope, frozen=True, gc=False, kw_only=True, tag="usage.chat"):
    data: ChatData


class AgentEvent(_Envelope, frozen=True, gc=False, kw_only=True, tag="usage.agent"):
    data: AgentData


class InstructEvent(_Envelope, frozen=True, gc=False, kw_only=True, tag="usage.instruct"):
    data: InstructData


UsageEvent = CodeCompletionEvent | ChatEvent | AgentEvent | InstructEvent
"""What a producer makes; the tag, not a field, holds `type`."""

EVENT_CLASSES: Final = (CodeCompletionEvent, ChatEvent, AgentEvent, InstructEvent)
"""The event class of each product, at the place of its code."""


class ReceivedEvent(Protocol):
    """An event as `received_decoder` gives it: as the public classes, but `time` is text as it came.

    `product` is the code of the product in `services.metrics_contract`.
    """

    @property
    def product(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def time(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def organizationid(self) -> str: ...
    @property
    def teamid(self) -> str | None: ...
    @property
    def data(self) -> Struct: ...


UnknownFields = Literal["refuse", "ignore"]


@cache
def received_decoder(unknown_fields: UnknownFields) -> msgspec.json.Decoder[ReceivedEvent]:
    """Return the decoder of received events.

    It refuses what breaks types, ranges and lengths of the contract. It does not see duplicate keys, characters of
    ids, reserved ids and the form of `time`.
    """
    forbid = unknown_fields == "refuse"
    received = [_received_class(product.code, forbid) for product in PRODUCTS]
    return cast("msgspec.json.Decoder[ReceivedEvent]", msgspec.json.Decoder(reduce(or_, received)))


def data_class(product: int) -> type[Struct]:
    """Return the class of a product's `data`."""
    fields = {field.name: field for field in msgspec.structs.fields(EVENT_CLASSES[product])}
    found: type[Struct] = fields["data"].type
    return found


@cache
def text_names(product: int) -> tuple[str, ...]:
    """Return the names of the texts that a product's `data` ends with, in order."""
    return data_class(product).__struct_fields__[len(PRODUCTS[product].counters) :]


def _received_class(product: int, forbid: bool) -> type[Struct]:
    public = EVENT_CLASSES[product]
    data = struct_like(data_class(product), forbid=forbid)
    return struct_like(public, forbid=forbid, types={"time": str, "data": data}, product=product)


def struct_like(
    public: type[Struct], *, forbid: bool, types: Mapping[str, Any] = MappingProxyType({}), **members: object
) -> type[Struct]:
    """Return a struct class like `public`, with other types for some fields and other class members.

    Args:
        forbid: whether it refuses unknown fields.
    """
    config = public.__struct_config__
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(public):
        kind = types.get(field.name, field.type)
        fields.append((field.name, kind) if field.required else (field.name, kind, field.default))
    return msgspec.defstruct(
        f"Received{public.__name__}",
        fields,
        namespace=dict(members),
        tag_field=config.tag_field,
        tag=config.tag,
        kw_only=True,
        frozen=True,
        gc=False,
        omit_defaults=True,
        forbid_unknown_fields=forbid,
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a usage event in structured form."""
    schema: dict[str, Any] = _without_markers(msgspec.json.schema(UsageEvent))
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidemark usage event",
        "description": "CloudEvents 1.0 in structured JSON, one event a Kafka record.",
    }
    return head | schema


def _without_markers(schema: Any) -> Any:
    """Return a schema without the defaults that stand for "absent": to a reader of the contract they mean nothing."""
    if isinstance(schema, dict):
        return {
            name: _without_markers(part)
            for name, part in schema.items()
            if not (name == "default" and part in (ABSENT, "", None))
        }
    if isinstance(schema, list):
        return [_without_markers(part) for part in schema]
    return schema

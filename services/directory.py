"""The directory events: who and what an organization consists of. The contract, as msgspec structs.

The envelope is the usage event's, without `teamid`; `subject` is the id of the thing, and for an organization the same
as `organizationid`. `data.action` is `upsert`, which carries the whole record, or `delete`. `data.version` is raised by
the publisher with every change of a thing: the higher version holds the present, whatever order they come in.

Times stay text; `services.directory_check` reads them by the strict grammar of RFC 3339. A null is an absent field.
"""

from enum import StrEnum
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from services.events import Id, Identity, UnknownFields, struct_like

VERSION_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

SEATS_MAX: Final = 2**31 - 1
EMAIL_PATTERN: Final = r"[^@\s]+@[^@\s]+"

Version = Annotated[int, Meta(ge=0, le=VERSION_MAX, description="raised with every change of the thing")]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Pem = Annotated[str, Meta(max_length=16_384)]
# The pattern stands in the JSON Schema only: to Python, `$` is before a last line feed too.
Email = Annotated[str, Meta(max_length=320, extra_json_schema={"format": "email", "pattern": rf"^{EMAIL_PATTERN}$"})]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="RFC 3339 with offset")]
UnixSeconds = Annotated[int, Meta(ge=0, le=VERSION_MAX)]
Seats = Annotated[int, Meta(ge=0, le=SEATS_MAX)]
RoleName = Literal["Member", "TeamLead", "Manager", "Admin"]


class Status(StrEnum):
    """What a user is; a deleted one is none of them (contract notes A03)."""

    REGISTERED = "registered"
    DEACTIVATED = "deactivated"
    INVITED = "invited"


class _Data(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="action", tag="upsert"
):
    """What the data of every upsert has in common."""

    version: Version


class OrganizationData(_Data, frozen=True, kw_only=True, tag="upsert"):
    """`parentId`: the organization above; absent for a root. `tier`: of a root, a name of the tiers file."""

    name: Name
    parentId: Id | None = None
    publicKey: Pem | None = None
    samlEnabled: bool | None = None
    smtpConfigured: bool | None = None
    usernamePasswordEnabled: bool | None = None
    domains: Annotated[list[Annotated[str, Meta(min_length=1, max_length=253)]], Meta(max_length=100)] | None = None
    planType: Word | None = None
    tier: Word | None = None


class TeamData(_Data, frozen=True, kw_only=True, tag="upsert"):
    name: Name
    isDefaultTeam: bool | None = None


class UserData(_Data, frozen=True, kw_only=True, tag="upsert"):
    """`leads`: the teams that a TeamLead leads; absent, it is the own team."""

    username: Name
    email: Email
    role: RoleName
    verified: bool
    status: Status
    teamId: Id | None = None
    leads: Annotated[list[Id], Meta(max_length=200)] | None = None
    createdAt: Moment | None = None
    updatedAt: Moment | None = None
    deactivatedAt: Moment | None = None


class GroupData(_Data, frozen=True, kw_only=True, tag="upsert"):
    name: Name


class LicenseData(_Data, frozen=True, kw_only=True, tag="upsert"):
    exp: UnixSeconds
    iat: UnixSeconds
    seats: Seats | None = None
    seatsCap: Seats | None = None
    audience: Annotated[str, Meta(max_length=256)] | None = None
    features: Annotated[list[Word], Meta(max_length=200)] | None = None
    settings: dict[str, Any] | None = None


class DeleteData(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="action", tag="delete"
):
    version: Version


UpsertData = OrganizationData | TeamData | UserData | GroupData | LicenseData


class _Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type"):
    """The CloudEvents attributes; `type` is the tag of the class."""

    specversion: Literal["1.0"]
    id: Identity
    source: Identity
    time: Moment
    subject: Id
    organizationid: Id
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


class OrganizationEvent(_Envelope, frozen=True, kw_only=True, tag="directory.organization"):
    data: OrganizationData | DeleteData


class TeamEvent(_Envelope, frozen=True, kw_only=True, tag="directory.team"):
    data: TeamData | DeleteData


class UserEvent(_Envelope, frozen=True, kw_only=True, tag="directory.user"):
    data: UserData | DeleteData


class GroupEvent(_Envelope, frozen=True, kw_only=True, tag="directory.group"):
    data: GroupData | DeleteData


class LicenseEvent(_Envelope, frozen=True, kw_only=True, tag="directory.license"):
    data: LicenseData | DeleteData


DirectoryEvent = OrganizationEvent | TeamEvent | UserEvent | GroupEvent | LicenseEvent


class Thing(StrEnum):
    """What a directory event is about; the value stands in frames and in Redis fields."""

    ORGANIZATION = "o"
    TEAM = "t"
    USER = "u"
    GROUP = "g"
    LICENSE = "l"


EVENT_CLASSES: Final[dict[Thing, type[DirectoryEvent]]] = {
    Thing.ORGANIZATION: OrganizationEvent,
    Thing.TEAM: TeamEvent,
    Thing.USER: UserEvent,
    Thing.GROUP: GroupEvent,
    Thing.LICENSE: LicenseEvent,
}
DATA_CLASSES: Final[dict[Thing, type[UpsertData]]] = {
    Thing.ORGANIZATION: OrganizationData,
    Thing.TEAM: TeamData,
    Thing.USER: UserData,
    Thing.GROUP: GroupData,
    Thing.LICENSE: LicenseData,
}
EVENT_TYPES: Final = {thing: f"directory.{thing.name.lower()}" for thing in Thing}
THING_OF_TYPE: Final = {event_type: thing for thing, event_type in EVENT_TYPES.items()}


@cache
def directory_decoder(unknown_fields: UnknownFields) -> msgspec.json.Decoder[DirectoryEvent]:
    """Return the decoder of directory events; it sees types, ranges and lengths, not the rules that join fields."""
    if unknown_fields == "refuse":
        return msgspec.json.Decoder(DirectoryEvent)
    delete = struct_like(DeleteData, forbid=False)
    loose = [
        struct_like(event, forbid=False, types={"data": struct_like(DATA_CLASSES[thing], forbid=False) | delete})
        for thing, event in EVENT_CLASSES.items()
    ]
    return msgspec.json.Decoder(reduce(or_, loose))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a directory event in structured form."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidemark directory event",
        "description": "CloudEvents 1.0 in structured JSON, one event a Kafka record.",
    }
    return head | msgspec.json.schema(DirectoryEvent)

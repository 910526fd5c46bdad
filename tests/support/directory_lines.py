"""Which line is a directory event, and what it says: the contract restated from its text, field by field.

Standard library only, and nothing of the product, like `tests.support.oracle`.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

Check = Callable[[Any], None]

_EPOCH, _FIRST, _LAST = (
    datetime.fromisoformat(text) for text in ("1970-01-01", "0001-01-01", "9999-12-31T23:59:59.999")
)
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_RESERVED: Final = {"usage", "account-utilizations", "agent-usage"}
_MOMENTS: Final = ("createdAt", "updatedAt", "deactivatedAt")


@dataclass(frozen=True, slots=True)
class Change:
    """What a good line says; `record` holds the fields that are there, None for a delete."""

    kind: str
    organization: str
    subject: str
    version: int
    time_ms: int
    record: dict[str, Any] | None


def read_change(
    line: bytes,
    broker_ms: int | None = None,
    *,
    ignore_unknown: bool = False,
    max_bytes: int = 65_536,
    max_ahead_ms: int = 300_000,
) -> Change | None:
    """Return what a record says, None when the contract refuses it; without a broker time, however far ahead."""
    try:
        change = _read(line, ignore_unknown, max_bytes)
    except (ValueError, AssertionError, RecursionError):
        return None
    return None if broker_ms is not None and change.time_ms > broker_ms + max_ahead_ms else change


def _read(line: bytes, ignore_unknown: bool, max_bytes: int) -> Change:
    assert len(line) <= max_bytes
    event = json.loads(line.decode(), object_pairs_hook=_no_key_twice, parse_constant=_refuse, parse_float=_finite)
    json.dumps(event, ensure_ascii=False).encode()  # half of a surrogate pair has no UTF-8
    assert _depth(event) <= 16
    _check_object(event, _ENVELOPE, _OF_ENVELOPE, ignore_unknown)
    kind = event["type"].removeprefix("directory.")
    assert event["type"] == f"directory.{kind}"
    required, optional = _KINDS[kind] if kind in _KINDS else _refuse(kind)
    assert kind != "organization" or event["subject"] == event["organizationid"]
    data = event["data"]
    action = data.get("action")
    assert action in ("upsert", "delete")
    if action == "delete":
        required, optional = {}, {}
    _check_object(data, {"action": _any, "version": _whole(2**53 - 1)} | required, optional, ignore_unknown)
    record = {name: data[name] for name in required | optional if data.get(name) is not None}
    assert "exp" not in record or record["exp"] > record["iat"]
    for name in _MOMENTS:
        if name in record:
            record[name] = _text_of(to_ms(record[name]) // 1000)
    return Change(
        kind,
        event["organizationid"],
        event["subject"],
        data["version"],
        to_ms(event["time"]),
        record if action == "upsert" else None,
    )


def to_ms(text: str) -> int:
    """Return an RFC 3339 text with offset as milliseconds since 1970, rounded down."""
    found = _TIME.fullmatch(text)
    assert found is not None
    day, clock, fraction, zone = found.groups()
    ahead = timedelta()
    if zone not in "Zz":
        assert int(zone[1:3]) < 24
        assert int(zone[4:]) < 60
        ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    since = datetime.fromisoformat(f"{day}T{clock}") - _EPOCH - ahead
    assert _FIRST - _EPOCH <= since <= _LAST - _EPOCH
    return since // timedelta(milliseconds=1) + int(((fraction or "") + "000")[:3])


def _text_of(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat() + "Z"


def _check_object(
    members: Any, required: Mapping[str, Check], optional: Mapping[str, Check], ignore_unknown: bool
) -> None:
    """Check an object's members: null is absent, and an unknown one is refused or passed over."""
    assert isinstance(members, dict)
    assert ignore_unknown or members.keys() <= required.keys() | optional.keys()
    for name, check in required.items():
        assert members.get(name) is not None
        check(members[name])
    for name, check in optional.items():
        if members.get(name) is not None:
            check(members[name])


def _any(_: Any) -> None:
    return


def _text(least: int, most: int) -> Check:
    def check(value: Any) -> None:
        assert isinstance(value, str)
        assert least <= len(value) <= most

    return check


def _identity(value: Any) -> None:
    _text(1, 256)(value)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value)


def _id(value: Any) -> None:
    _identity(value)
    assert len(value) <= 128
    assert "/" not in value
    assert value not in _RESERVED


def _one_of(*words: str) -> Check:
    def check(value: Any) -> None:
        assert isinstance(value, str)
        assert value in words

    return check


def _flag(value: Any) -> None:
    assert isinstance(value, bool)


def _whole(most: int) -> Check:
    def check(value: Any) -> None:
        assert type(value) is int
        assert 0 <= value <= most

    return check


def _list_of(item: Check, most: int) -> Check:
    def check(value: Any) -> None:
        assert isinstance(value, list)
        assert len(value) <= most
        for part in value:
            item(part)

    return check


def _moment(value: Any) -> None:
    assert isinstance(value, str)
    to_ms(value)


def _email(value: Any) -> None:
    _text(3, 320)(value)
    before, _, after = value.partition("@")
    assert before
    assert after
    assert "@" not in after
    assert not any(character.isspace() for character in value)


def _settings(value: Any) -> None:
    assert isinstance(value, dict)
    _whole_numbers_of_64_bits(value)


def _whole_numbers_of_64_bits(value: Any) -> None:
    assert not isinstance(value, int) or -(2**63) <= value < 2**64
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _whole_numbers_of_64_bits(part)


_OPTIONAL_TEXT: Final = _text(0, 65_536)
_ENVELOPE: Final[dict[str, Check]] = {
    "specversion": _one_of("1.0"),
    "id": _identity,
    "source": _identity,
    "type": _OPTIONAL_TEXT,
    "time": _moment,
    "subject": _id,
    "organizationid": _id,
    "data": lambda value: _check_object(value, {}, {}, True),
}
_OF_ENVELOPE: Final = dict.fromkeys("datacontenttype dataschema traceparent tracestate".split(), _OPTIONAL_TEXT)
_KINDS: Final[dict[str, tuple[dict[str, Check], dict[str, Check]]]] = {
    "organization": (
        {"name": _text(1, 256)},
        {
            "parentId": _id,
            "publicKey": _text(0, 16_384),
            "samlEnabled": _flag,
            "smtpConfigured": _flag,
            "usernamePasswordEnabled": _flag,
            "domains": _list_of(_text(1, 253), 100),
            "planType": _text(1, 64),
            "tier": _text(1, 64),
        },
    ),
    "team": ({"name": _text(1, 256)}, {"isDefaultTeam": _flag}),
    "user": (
        {
            "username": _text(1, 256),
            "email": _email,
            "role": _one_of("Member", "TeamLead", "Manager", "Admin"),
            "verified": _flag,
            "status": _one_of("registered", "deactivated", "invited"),
        },
        {"teamId": _id, "leads": _list_of(_id, 200)} | dict.fromkeys(_MOMENTS, _moment),
    ),
    "group": ({"name": _text(1, 256)}, {}),
    "license": (
        {"exp": _whole(2**53 - 1), "iat": _whole(2**53 - 1)},
        {
            "seats": _whole(2**31 - 1),
            "seatsCap": _whole(2**31 - 1),
            "audience": _text(0, 256),
            "features": _list_of(_text(1, 64), 200),
            "settings": _settings,
        },
    ),
}


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    assert len(members) == len(pairs)
    return members


def _refuse(what: str) -> Any:
    raise ValueError(what)


def _finite(text: str) -> float:
    assert math.isfinite(float(text))
    return float(text)


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(_depth, parts), default=0)

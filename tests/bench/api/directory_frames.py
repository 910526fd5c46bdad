"""The directory of everybody as decoded frames: a tree of organizations, their teams, users, groups and licences."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from services.directory import EVENT_TYPES, Thing
from services.directory_check import read_directory_event
from services.directory_rows import directory_row
from services.frames import EVENT_COLUMNS, REJECTED_COLUMNS, Frame, no_rows
from services.keyspace import partition_of_unit, unit_of
from services.simulated_population import Member
from services.windows import DAY_MS, rfc3339
from tests.bench.api.usage_frames import Log

ROOTS: Final = 4
"""The first organizations; each other one lies below the one that is ROOTS places before it."""

GROUPS: Final = 20
_TIER: Final = "enterprise"
_ROLES: Final = ("Admin", "Manager", "TeamLead")


def directory_frames(everybody: Sequence[Member], partitions: int, log: Log, begin_ms: int) -> dict[int, Frame]:
    """Return partition -> the one frame with its part of the directory."""
    rows: dict[int, list[Any]] = {}
    for offset, event in enumerate(_events(everybody, begin_ms)):
        change = read_directory_event(json.dumps(event).encode(), "refuse")
        partition = partition_of_unit(unit_of(change.thing, change.organization), partitions)
        row = directory_row(change, source=1, offset=offset, broker_ms=change.time_ms)
        rows.setdefault(partition, []).append(row)
    return {
        partition: Frame(
            header=log.header(partition),
            strings=(),
            events=no_rows(EVENT_COLUMNS),
            rejected=no_rows(REJECTED_COLUMNS),
            directory=of_partition,
        )
        for partition, of_partition in rows.items()
    }


def _events(everybody: Sequence[Member], begin_ms: int) -> Iterator[dict[str, Any]]:
    organizations = list(dict.fromkeys(each.organization for each in everybody))
    for place, organization in enumerate(organizations):
        above = {} if place < ROOTS else {"parentId": organizations[place - ROOTS]}
        data = {"name": organization.title(), "planType": "Enterprise", "tier": _TIER, "samlEnabled": True, **above}
        yield _event(Thing.ORGANIZATION, organization, organization, begin_ms, data)
        licence = {"exp": begin_ms // 1000 + 10**9, "iat": begin_ms // 1000, "seats": 2_000, "seatsCap": 22_000}
        yield _event(Thing.LICENSE, organization, "license", begin_ms, {**licence, "features": ["chat", "agent"]})
        for group in range(GROUPS):
            name = f"group-{group:02d}"
            yield _event(Thing.GROUP, organization, name, begin_ms, {"name": name})
    for organization, team in dict.fromkeys((each.organization, each.team) for each in everybody):
        assert team is not None
        data = {"name": f"Team {team}", "isDefaultTeam": team.endswith("-000")}
        yield _event(Thing.TEAM, organization, team, begin_ms, data)
    for number, member in enumerate(everybody):
        yield from _user_events(number, member, begin_ms)


def _user_events(number: int, member: Member, begin_ms: int) -> Iterator[dict[str, Any]]:
    """Yield a user's joining, and the leaving of every tenth."""
    joined_ms = begin_ms + number % 360 * DAY_MS
    data = {
        "username": f"User {member.user}",
        "email": f"{member.user}@example.com",
        "role": _ROLES[number % 50] if number % 50 < len(_ROLES) else "Member",
        "verified": number % 7 != 0,
        "status": "invited" if number % 11 == 0 else "registered",
        "teamId": member.team,
        "createdAt": rfc3339(joined_ms),
        "updatedAt": rfc3339(joined_ms),
    }
    yield _event(Thing.USER, member.organization, member.user, joined_ms, data)
    if number % 10 == 1:
        left_ms = joined_ms + 30 * DAY_MS
        left = {**data, "status": "deactivated", "updatedAt": rfc3339(left_ms), "deactivatedAt": rfc3339(left_ms)}
        yield _event(Thing.USER, member.organization, member.user, left_ms, left, version=2)


def _event(
    thing: Thing, organization: str, subject: str, time_ms: int, data: dict[str, Any], *, version: int = 1
) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{thing.value}/{subject}/{version}",
        "source": "bench",
        "type": EVENT_TYPES[thing],
        "time": rfc3339(time_ms),
        "subject": subject,
        "organizationid": organization,
        "data": {"action": "upsert", "version": version, **data},
    }

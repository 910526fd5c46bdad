"""Random directory histories: what an identity service publishes, and what goes wrong on the way from it.

Standard library only, like the oracle. A history is lines in the order in which they reach the topic.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from tests.support.directory_lines import Change, read_change
from tests.support.directory_oracle import month_end_ms

TIERS: Final = ("free-trial", "professional", "enterprise", "enterprise-with-nhi", "identity-protection", "unheard of")
ROLES: Final = ("Member", "TeamLead", "Manager", "Admin")
STATES: Final = ("registered", "deactivated", "invited")
BAD_LINES: Final = (b"", b"{}", b"no JSON", b'{"type":"directory.user"}', b'{"specversion":"1.0","specversion":"1.0"}')
KINDS: Final = frozenset(
    "join move deactivate reactivate accept leave return late repeated out_of_order deleted recreated hierarchy_move"
    " tier group_gone team_gone version_said_twice tie_out_of_order month_edge bad".split()
)
"""What `kinds_in` finds; each must come in a history that is worth its name."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Publisher:
    """An identity service with a clock of its own that only goes forward.

    Attributes:
        random: what everything is drawn from.
        organizations, persons, teams, groups: how many ids there are of each; persons and teams are the same ids in
            every organization.
        first_ms, last_ms: between which the clock goes.
    """

    random: Random
    organizations: int = 6
    persons: int = 6
    teams: int = 3
    groups: int = 3
    first_ms: int = month_end_ms(2023, 12)
    last_ms: int = month_end_ms(2026, 8) + 864_000_000
    _versions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _records: dict[tuple[str, str, str], dict[str, Any] | None] = field(default_factory=dict)
    _number: int = 0
    _organization_number: int = 0
    _person_number: int = 0

    def history(self, steps: int) -> list[bytes]:
        """Return the lines of so many changes, disturbed on their way."""
        self._clock_ms = self.first_ms
        actions: list[tuple[int, Callable[[], bytes]]] = [
            (4, self._organization),
            (3, self._team),
            (14, self._user),
            (3, self._group),
            (1, self._license),
            (4, self._deleted),
        ]
        weights = [weight for weight, _ in actions]
        lines = []
        for _ in range(steps):
            # Half of the changes come at the moment of the one before.
            pause_ms = (self.last_ms - self.first_ms) * 2 // max(steps, 1)
            self._clock_ms = min(self.last_ms, self._clock_ms + self.random.choice((0, pause_ms)))
            [(_, action)] = self.random.choices(actions, weights)
            lines.append(action())
        return self._disturbed(lines)

    def _disturbed(self, lines: list[bytes]) -> list[bytes]:
        """Return the lines with some repeated, some late or early by a few places, and some that are none."""
        places: list[tuple[float, bytes]] = []
        for at, line in enumerate(lines):
            places.append((at + self.random.choice((0, 0, 0, 1.5, 7.5)), line))
            if self.random.random() < 0.08:
                places.append((at + self.random.choice((0.25, 3.25, 12.25)), line))
            if self.random.random() < 0.02:
                places.append((at + 0.5, self.random.choice(BAD_LINES)))
        return [line for _, line in sorted(places, key=lambda place: place[0])]

    def _organization(self) -> bytes:
        organization = self._some_organization()
        others = [f"org-{number}" for number in range(self.organizations)]
        lower = others[: self._organization_number] * 3
        above = self.random.choice([None, None, *lower, *self.random.sample([*others, "nowhere"], 2)])
        record: dict[str, Any] = {
            "name": f"Name of {organization}",
            "parentId": above,
            "tier": self.random.choice([None, *TIERS]),
            "planType": self.random.choice([None, "Enterprise"]),
            "publicKey": self.random.choice([None, "", "-----BEGIN"]),
            "smtpConfigured": self.random.choice([None, True]),
            "usernamePasswordEnabled": self.random.choice([None, False]),
            "domains": self.random.choice([None, [], [f"{organization}.example"]]),
            "samlEnabled": self.random.choice([None, True, False]),
        }
        return self._upsert("organization", organization, organization, record)

    def _team(self) -> bytes:
        organization, team = self._some_organization(), self._some_team()
        record = {"name": f"Team {team}", "isDefaultTeam": self.random.choice([None, True, False])}
        return self._upsert("team", organization, team, record)

    def _user(self) -> bytes:
        """A user that joins, or one of its fields that changes."""
        organization = self._some_organization()
        if self.random.random() < 0.5:
            self._person_number = self.random.randrange(self.persons)
        person = f"person-{self._person_number}"
        held = self._records.get(("user", organization, person))
        record: dict[str, Any] = {
            "username": f"{person} of {organization}",
            "email": f"{person}@{organization}.example",
            "role": self.random.choice(ROLES),
            "verified": True,
            "status": self.random.choice(STATES),
            "teamId": self.random.choice([None, self._some_team()]),
            "createdAt": _text(self._clock_ms),
        }
        if held is not None:
            changing = self.random.choice(["status", "status", "teamId", "role"])
            record = held | {changing: record[changing]}
            record |= {"updatedAt": _text(self._clock_ms), "leads": self.random.choice([None, [], [self._some_team()]])}
            record["deactivatedAt"] = _text(self._clock_ms) if record["status"] == "deactivated" else None
        return self._upsert("user", organization, person, record)

    def _group(self) -> bytes:
        organization = self._some_organization()
        return self._upsert("group", organization, f"group-{self.random.randrange(self.groups)}", {"name": "A group"})

    def _license(self) -> bytes:
        organization = self._some_organization()
        record = {
            "iat": self._clock_ms // 1000,
            "exp": self._clock_ms // 1000 + self.random.randrange(1, 10**8),
            "seats": self.random.choice([None, 10, 2_000]),
            "settings": self.random.choice([None, {}, {"chat": {"models": ["a", None, 1.5]}}]),
        }
        return self._upsert("license", organization, f"license-{self.random.randrange(2)}", record)

    def _deleted(self) -> bytes:
        """A thing that goes: mostly one that is there."""
        living = [key for key, record in self._records.items() if record is not None]
        if not living or self.random.random() < 0.1:
            return self._line(("user", self._some_organization(), "person-0"), None)
        return self._line(self.random.choice(living), None)

    def _upsert(self, kind: str, organization: str, subject: str, record: dict[str, Any]) -> bytes:
        return self._line((kind, organization, subject), record)

    def _line(self, key: tuple[str, str, str], record: dict[str, Any] | None) -> bytes:
        """Return the event that raises a thing's version, now and then one that forgets to."""
        kind, organization, subject = key
        self._number += 1
        self._versions[key] += self.random.choice((1, 1, 1, 2, 10)) if self.random.random() > 0.03 else 0
        self._records[key] = record
        data = {"action": "delete" if record is None else "upsert", "version": self._versions[key]} | (record or {})
        if self.random.random() < 0.5:
            data = {name: value for name, value in data.items() if value is not None}
        event = {
            "specversion": "1.0",
            "id": f"change-{self._number}",
            "source": "identity-service",
            "type": f"directory.{kind}",
            "time": _text(self._time_ms()),
            "subject": subject,
            "organizationid": organization,
            "data": data,
        }
        return json.dumps(event).encode()

    def _time_ms(self) -> int:
        """Return the moment of a change: mostly now, else long ago, or at the very edge of a month."""
        match self.random.choice(("now", "now", "now", "long ago", "edge")):
            case "now":
                return self._clock_ms
            case "long ago":
                return self.random.randrange(self.first_ms, self._clock_ms + 1) // 1000 * 1000
            case _:
                now = _EPOCH + timedelta(milliseconds=self._clock_ms)
                begin = datetime(now.year, now.month, 1, tzinfo=UTC)
                return (begin - _EPOCH) // timedelta(milliseconds=1) + self.random.choice((-1, 0))

    def _some_organization(self) -> str:
        """Return an organization: every other time the one before, so that changes meet."""
        if self.random.random() < 0.5:
            self._organization_number = self.random.randrange(self.organizations)
        return f"org-{self._organization_number}"

    def _some_team(self) -> str:
        return f"team-{self.random.randrange(self.teams)}"


def kinds_in(lines: Iterable[bytes]) -> Counter[str]:
    """Return how often each of `KINDS` happens in a history, seen from its lines alone."""
    found: Counter[str] = Counter()
    before: dict[tuple[str, str, str], list[Change]] = {}
    for line in lines:
        change = read_change(line)
        if change is None:
            found["bad"] += 1
            continue
        key = (change.kind, change.organization, change.subject)
        earlier = before.setdefault(key, [])
        found.update(_kinds_of(change, earlier))
        earlier.append(change)
    return found


def _kinds_of(change: Change, earlier: list[Change]) -> set[str]:
    found = set()
    if change in earlier:
        return {"repeated"}
    if any(each.version == change.version for each in earlier):
        found.add("version_said_twice")
    if any(each.time_ms == change.time_ms and each.version > change.version for each in earlier):
        found.add("tie_out_of_order")
    if _is_month_edge(change.time_ms) or _is_month_edge(change.time_ms + 1):
        found.add("month_edge")
    newest = max(earlier, key=lambda each: each.version, default=None)
    if newest is not None and newest.version > change.version:
        return found | {"out_of_order"}
    if any(each.time_ms > change.time_ms for each in earlier):
        found.add("late")
    return found | _steps(change, None if newest is None else newest.record, newest is None)


def _steps(change: Change, held: dict[str, Any] | None, first: bool) -> set[str]:
    """Return what a change that holds the present does to what was there."""
    record = change.record
    if record is None:
        gone = {"team": {"team_gone"}, "group": {"group_gone"}, "user": {"leave"}}
        return {"deleted"} | (gone.get(change.kind, set()) if held is not None else set())
    if held is None:
        if not first:
            return {"recreated"} | ({"return"} if change.kind == "user" else set())
        return {"join"} if change.kind == "user" else set()
    found = set()
    if change.kind == "organization":
        found |= {"hierarchy_move"} if held.get("parentId") != record.get("parentId") else set()
        found |= {"tier"} if held.get("tier") != record.get("tier") else set()
    if change.kind == "user":
        found |= {"move"} if held.get("teamId") != record.get("teamId") else set()
        steps = {
            ("registered", "deactivated"): {"deactivate"},
            ("deactivated", "registered"): {"reactivate"},
            ("invited", "registered"): {"accept"},
        }
        found |= steps.get((held["status"], record["status"]), set())
    return found


def _is_month_edge(time_ms: int) -> bool:
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return (moment.day, moment.hour, moment.minute, moment.second, moment.microsecond) == (1, 0, 0, 0, 0)


def _text(time_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

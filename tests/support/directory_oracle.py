"""What the directory must answer: every change is kept, and each question asked of all of them, by definition.

Standard library only, and nothing of the product, like `tests.support.oracle`. Nothing is summed up beforehand and
nothing forgotten, so there is no order of events that it could depend on, but for two cases: of events that say the
same version, or for a month the same time and version, the one that came first holds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.support.directory_lines import Change, read_change

DEPTH_MAX: Final = 16
KINDS: Final = ("organization", "team", "user", "group", "license")
STATES: Final = ("registered", "deactivated", "invited")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Record = dict[str, Any]


def month_end_ms(year: int, month: int) -> int:
    """Return where a calendar month (1 to 12) ends, in milliseconds since 1970."""
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return (following - _EPOCH) // timedelta(milliseconds=1)


class DirectoryOracle:
    """Takes directory events in any order; `bad` counts the lines that are none."""

    def __init__(self, lines: Iterable[bytes] = (), broker_ms: int | None = None) -> None:
        self.good = self.bad = 0
        self._changes: dict[tuple[str, str, str], list[Change]] = {}
        for line in lines:
            self.add(line, broker_ms)

    def add(self, line: bytes, broker_ms: int | None = None) -> None:
        change = read_change(line, broker_ms)
        if change is None:
            self.bad += 1
            return
        self.good += 1
        self._changes.setdefault((change.kind, change.organization, change.subject), []).append(change)

    def organizations_named(self) -> list[str]:
        """Return every organization that an event names, existing or not."""
        return sorted({organization for _, organization, _ in self._changes})

    def present(self, kind: str, organization: str, subject: str) -> Record | None:
        """Return a thing's record: that of the highest version; None when it was deleted, or never heard of."""
        changes = self._changes.get((kind, organization, subject))
        # `max` takes the first of equals: a version that is repeated changes nothing.
        return None if changes is None else max(changes, key=lambda change: change.version).record

    def named(self, kind: str, organization: str) -> list[str]:
        """Return the ids of an organization's things of a kind, deleted ones too."""
        return sorted({key[2] for key in self._changes if key[:2] == (kind, organization)})

    def living(self, kind: str, organization: str) -> dict[str, Record]:
        """Return the records of an organization's things of a kind that are not deleted, by id."""
        found = {subject: self.present(kind, organization, subject) for subject in self.named(kind, organization)}
        return {subject: record for subject, record in found.items() if record is not None}

    def users(self, organization: str, team_member: bool | None = None, active: bool | None = None) -> list[str]:
        """Return ids of users: those with or without a team, and those registered or deactivated; None: whichever."""
        wanted = {None: STATES, True: ("registered",), False: ("deactivated",)}
        return [
            user
            for user, record in self.living("user", organization).items()
            if team_member in (None, self.team_of(organization, user) is not None)
            and record["status"] in wanted[active]
        ]

    def team_of(self, organization: str, user: str) -> str | None:
        """Return the team that a user's record names, unless the directory has deleted that team."""
        record = self.present("user", organization, user)
        team: str | None = None if record is None else record.get("teamId")
        heard_of = team is not None and ("team", organization, team) in self._changes
        return None if heard_of and team not in self.living("team", organization) else team

    def members(self, organization: str, team: str) -> list[str]:
        return [user for user in self.living("user", organization) if self.team_of(organization, user) == team]

    def team_now(self, organization: str, team: str) -> dict[str, int]:
        """Return how many of a team's users are what."""
        everyone = self.living("user", organization)
        states = [everyone[user]["status"] for user in self.members(organization, team)]
        return {state: states.count(state) for state in STATES}

    def month_end(self, organization: str, year: int, month: int) -> dict[str, int]:
        """Return how many users were what at the end of a month (1 to 12), by the `time` of their changes."""
        end_ms = month_end_ms(year, month)
        counts = dict.fromkeys(STATES, 0)
        for (kind, of, _), changes in self._changes.items():
            before = [change for change in changes if change.time_ms < end_ms]
            if kind != "user" or of != organization or not before:
                continue
            last = max(before, key=lambda change: (change.time_ms, change.version))
            if last.record is not None:
                counts[last.record["status"]] += 1
        return counts

    def parent(self, organization: str) -> str | None:
        """Return the organization above, when both exist."""
        record = self.present("organization", organization, organization)
        above: str | None = None if record is None else record.get("parentId")
        return None if above is None or self.present("organization", above, above) is None else above

    def above(self, organization: str) -> list[str]:
        """Return the line of parents upwards, at most 16 of them; in a cycle the same ones come again."""
        found: list[str] = []
        while len(found) < DEPTH_MAX and (at := self.parent([organization, *found][-1])) is not None:
            found.append(at)
        return found

    def root(self, organization: str) -> str | None:
        """Return the top of the line; None for what does not exist, in a cycle, and more than 16 below the top."""
        if self.present("organization", organization, organization) is None:
            return None
        top = [organization, *self.above(organization)][-1]
        return top if self.parent(top) is None else None

    def descendants(self, organization: str) -> list[str]:
        """Return every other organization that has this one among the 16 above it; the nearest first, then by id."""
        lines = {other: self.above(other) for other in self.organizations_named() if other != organization}
        below = [other for other, line in lines.items() if organization in line]
        return sorted(below, key=lambda other: (lines[other].index(organization), other))

    def quota(self, organization: str) -> dict[str, int] | None:
        """Return what an organization and those below it use; None when it does not exist."""
        if self.present("organization", organization, organization) is None:
            return None
        below = self.descendants(organization)
        subtree = [organization, *below]
        return {
            "num_suborganizations": len(below),
            "num_persons": len({person for each in subtree for person in self.living("user", each)}),
            "num_groups": sum(len(self.living("group", each)) for each in subtree),
        }

    def tier(self, organization: str) -> str | None:
        """Return the tier that the root's record names; its own where there is no root."""
        root = self.root(organization) or organization
        record = self.present("organization", root, root)
        return None if record is None else record.get("tier")

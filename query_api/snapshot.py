"""The directory of one organization as it stood at one revision: users, teams, groups, licences, months. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from services.directory import Status, Thing
from services.directory_records import STATUS_OF_CODE, MonthEntry, StoredRecord, decode_record, decode_stored
from services.identifiers import TeamId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user that is not deleted. Times are RFC 3339 in UTC with whole seconds.

    Attributes:
        team: None without one, or when the directory has deleted it.
        leads: None when the record does not say.
    """

    id: UserId
    username: str
    email: str
    role: str
    verified: bool
    status: Status
    team: TeamId | None
    leads: tuple[TeamId, ...] | None
    created_at: str | None
    updated_at: str | None
    deactivated_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """`is_default`: None when the record does not say."""

    id: TeamId
    name: str
    is_default: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCounts:
    """How many users are what, or were at a month's end."""

    registered: int
    deactivated: int
    invited: int


class _Read(NamedTuple):
    """A stored value, and what it says."""

    value: bytes
    thing: Thing
    subject: str
    stored: StoredRecord


class OrganizationSnapshot:
    """What the records of one organization amount to; made once a revision, asked many times.

    Args:
        fields: the directory fields ("u/USER" -> stored value) of the organization's unit.
        before: an earlier snapshot of it: of a large organization little has changed since, and the rest is taken over.

    Raises:
        msgspec.MsgspecError: a value is no record.
    """

    def __init__(self, fields: Iterable[tuple[bytes, bytes]], before: "OrganizationSnapshot | None" = None) -> None:
        held = {} if before is None else before._read
        self._read: dict[bytes, _Read] = {}
        self._records: dict[Thing, dict[str, StoredRecord]] = {thing: {} for thing in Thing}
        for name, value in fields:
            read = held.get(name)
            if read is None or read.value != value:
                thing, _, subject = name.decode().partition("/")
                read = _Read(value, Thing(thing), subject, decode_stored(value))
            self._read[name] = read
            self._records[read.thing][read.subject] = read.stored
        self._gone = frozenset(team for team, stored in self._records[Thing.TEAM].items() if stored.record is None)
        # Not `before` itself: each would hold the one before it.
        self._made: Mapping[str, tuple[StoredRecord, User]] = {}
        if before is not None and before._gone == self._gone:
            self._made = before._made

    def __len__(self) -> int:
        return len(self._read)

    def prepare(self) -> None:
        """Make what is otherwise made when it is first asked for, and takes long in a large organization."""
        for name in ("user", "members", "persons", "_listed", "_changes"):
            getattr(self, name)

    @cached_property
    def users(self) -> Sequence[User]:
        """Users that are not deleted, by id."""
        made: dict[str, tuple[StoredRecord, User]] = {}
        for user, stored in sorted(self._records[Thing.USER].items()):
            if stored.record is None:
                continue
            known = self._made.get(user)
            if known is None or known[0] is not stored:
                known = (stored, user_of(UserId(user), decode_record(stored.record), self._gone))
            made[user] = known
        self._made = made
        return [user for _, user in made.values()]

    @cached_property
    def user(self) -> Mapping[UserId, User]:
        return {user.id: user for user in self.users}

    @cached_property
    def teams(self) -> Mapping[TeamId, Team]:
        """Teams that are not deleted, by id."""
        return {TeamId(team): team_of(TeamId(team), record) for team, record in self._present(Thing.TEAM)}

    @cached_property
    def members(self) -> Mapping[TeamId, Sequence[User]]:
        """Users of each team, by id; no entry for a team without users."""
        members: dict[TeamId, list[User]] = defaultdict(list)
        for user in self.users:
            if user.team is not None:
                members[user.team].append(user)
        return dict(members)

    @cached_property
    def heads(self) -> Mapping[TeamId, StatusCounts]:
        """The members of each team, counted; no entry for a team without users."""
        return {team: _counts(Counter(user.status for user in users)) for team, users in self.members.items()}

    def listed(self, *, in_team: bool, status: Status) -> Sequence[User]:
        """Return the users with or without a team that have a status, by id."""
        return self._listed.get((in_team, status), ())

    @cached_property
    def persons(self) -> frozenset[str]:
        """Ids of the users that are not deleted, whatever their status."""
        return frozenset(self._living(Thing.USER))

    @cached_property
    def groups(self) -> int:
        """How many groups are not deleted."""
        return sum(1 for _ in self._living(Thing.GROUP))

    @cached_property
    def licenses(self) -> Sequence[Mapping[str, Any]]:
        """Records of the licences that are not deleted, by id."""
        return [record for _, record in self._present(Thing.LICENSE)]

    def month_end(self, month: int) -> StatusCounts:
        """Return the counts at the end of a month (months since January 1970), by the changes' `time`."""
        counts: Counter[Status | None] = Counter()
        for number, of_month in self._changes:
            if number > month:
                break
            counts.update(of_month)
        return _counts(counts)

    @cached_property
    def _listed(self) -> Mapping[tuple[bool, Status], Sequence[User]]:
        listed: dict[tuple[bool, Status], list[User]] = defaultdict(list)
        for user in self.users:
            listed[user.team is not None, user.status].append(user)
        return dict(listed)

    @cached_property
    def _changes(self) -> Sequence[tuple[int, Mapping[Status | None, int]]]:
        """What each month changed of the counts, ascending."""
        changes: dict[int, Counter[Status | None]] = defaultdict(Counter)
        for stored in self._records[Thing.USER].values():
            for month, before, after in _steps(stored.history):
                changes[month][before] -= 1
                changes[month][after] += 1
        return sorted(changes.items())

    def _living(self, thing: Thing) -> Iterable[str]:
        return (subject for subject, stored in self._records[thing].items() if stored.record is not None)

    def _present(self, thing: Thing) -> Iterable[tuple[str, dict[str, Any]]]:
        for subject, stored in sorted(self._records[thing].items()):
            if stored.record is not None:
                yield subject, decode_record(stored.record)


def user_of(user: UserId, record: Mapping[str, Any], deleted_teams: Iterable[str] = ()) -> User:
    """Return a user's record."""
    team = record.get("teamId")
    leads = record.get("leads")
    return User(
        id=user,
        username=record["username"],
        email=record["email"],
        role=record["role"],
        verified=record["verified"],
        status=Status(record["status"]),
        team=None if team is None or team in deleted_teams else TeamId(team),
        leads=None if leads is None else tuple(map(TeamId, leads)),
        created_at=record.get("createdAt"),
        updated_at=record.get("updatedAt"),
        deactivated_at=record.get("deactivatedAt"),
    )


def team_of(team: TeamId, record: Mapping[str, Any]) -> Team:
    return Team(id=team, name=record["name"], is_default=record.get("isDefaultTeam"))


def _counts(counts: Mapping[Any, int]) -> StatusCounts:
    return StatusCounts(
        registered=counts.get(Status.REGISTERED, 0),
        deactivated=counts.get(Status.DEACTIVATED, 0),
        invited=counts.get(Status.INVITED, 0),
    )


def _steps(history: Sequence[MonthEntry]) -> Iterable[tuple[int, Status | None, Status | None]]:
    """Yield (month, status before, status after) of a user's history."""
    before: Status | None = None
    for entry in history:
        after = STATUS_OF_CODE[entry.status]
        yield entry.month, before, after
        before = after


NO_USERS: Final = _counts({})

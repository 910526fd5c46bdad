"""What simulated organizations consist of: their tree, and the record of each thing as the contract has it. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.directory import Status
from services.simulated_population import Member, Shape, members
from services.windows import DAY_MS, rfc3339

TIERS: Final = ("enterprise", "professional", "free-trial", "enterprise-with-nhi", "identity-protection")
"""Of the roots, one after the other."""

USERS_PER_GROUP: Final = 25
GUESTS: Final = 2
"""Persons of the organization above who belong to a suborganization too."""

_ABOVE: Final = (None, 0, 1, None, 3, None)
"""The tree of each six organizations, by place: two levels below the first, one below the fourth."""

_FIRST: Final = ("Ada", "Alan", "Barbara", "Edsger", "Grace", "Ken", "Margaret", "Niklaus", "Radia", "Tony")
_LAST: Final = ("Abara", "Berg", "Castro", "Dubois", "Eriksen", "Fischer", "Gupta", "Hansen", "Ito", "Jansen")
_TEAMS: Final = ("Compilers", "Docs", "Frontend", "Infrastructure", "Mobile", "Payments", "Research", "Search")
_GROUPS: Final = ("Auditors", "Beta testers", "On call", "Reviewers", "Writers")
_FEATURES: Final = ("agents", "chat", "completions", "private-models", "sso")


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """One organization of a profile.

    Attributes:
        rank: its place by size, from 0.
        parent: id of the organization above; None for a root.
        tier: of a root, and of whatever becomes one.
        teams: ids; the first is the default team.
        users: ids; the first is an Admin who stays.
        guests: ids of persons of the parent.
    """

    id: str
    rank: int
    parent: str | None
    tier: str
    teams: Sequence[str]
    users: Sequence[str]
    guests: Sequence[str]

    @property
    def groups(self) -> Sequence[str]:
        return [f"g{self.rank:02d}-{number:03d}" for number in range(1 + len(self.users) // USERS_PER_GROUP)]

    @property
    def domain(self) -> str:
        """Return the name of its mail server: an id need not be one."""
        return f"org{self.rank:02d}.example"


def organizations(shape: Shape) -> list[Organization]:
    """Return every organization of a profile, the largest first; the same list each time."""
    everyone: dict[str, list[Member]] = {}
    for member in members(shape):
        everyone.setdefault(member.organization, []).append(member)
    found: list[Organization] = []
    for rank, (organization, of_it) in enumerate(everyone.items()):
        place = _ABOVE[rank % len(_ABOVE)]
        parent = None if place is None else found[rank - rank % len(_ABOVE) + place]
        found.append(
            Organization(
                id=organization,
                rank=rank,
                parent=None if parent is None else parent.id,
                tier=TIERS[sum(each.parent is None for each in found) % len(TIERS)],
                teams=sorted({member.team for member in of_it if member.team is not None}),
                users=[member.user for member in of_it],
                guests=() if parent is None else parent.users[1 : 1 + GUESTS],
            )
        )
    return found


def organization_record(organization: Organization, parent: str | None, tier: str) -> dict[str, Any]:
    """Return the record below a parent; only a root has a tier."""
    above = {"tier": tier, "planType": tier.replace("-", " ").title()} if parent is None else {"parentId": parent}
    return {
        "name": organization.id[:1].upper() + organization.id[1:],
        "samlEnabled": organization.rank % 2 == 0,
        "smtpConfigured": organization.rank % 3 == 0,
        "usernamePasswordEnabled": organization.rank % 2 == 1,
        "domains": [organization.domain],
    } | above


def team_record(number: int, *, renamed: int = 0) -> dict[str, Any]:
    name = _TEAMS[(number + renamed) % len(_TEAMS)]
    return {"name": f"{name} {number}", "isDefaultTeam": number == 0}


def group_record(number: int, *, renamed: int = 0) -> dict[str, Any]:
    return {"name": f"{_GROUPS[(number + renamed) % len(_GROUPS)]} {number}"}


def license_record(organization: Organization, issued_ms: int, *, renewals: int = 0) -> dict[str, Any]:
    """Return a year's licence with more seats than there are users, and more with each renewal."""
    seats = len(organization.users) + 10 * (1 + renewals)
    return {
        "iat": issued_ms // 1000,
        "exp": (issued_ms + 366 * DAY_MS) // 1000,
        "seats": seats,
        "seatsCap": seats + seats // 10,
        "audience": organization.domain,
        "features": list(_FEATURES[: 2 + organization.rank % 4]),
        "settings": {"telemetry": organization.rank % 2 == 0, "retentionDays": 30 * (1 + renewals)},
    }


@dataclass(slots=True, kw_only=True)
class Person:
    """A user as it is now; what happens changes it."""

    username: str
    email: str
    role: str
    status: Status
    team: str | None
    leads: Sequence[str] = ()
    created_ms: int = 0
    updated_ms: int | None = None
    deactivated_ms: int | None = None

    def record(self) -> dict[str, Any]:
        times = {"createdAt": self.created_ms, "updatedAt": self.updated_ms, "deactivatedAt": self.deactivated_ms}
        some: dict[str, Any] = {"teamId": self.team, "leads": self.leads or None}
        some |= {name: None if ms is None else rfc3339(ms) for name, ms in times.items()}
        return {
            "username": self.username,
            "email": self.email,
            "role": self.role,
            "verified": self.status is not Status.INVITED,
            "status": self.status.value,
        } | {name: value for name, value in some.items() if value is not None}


def new_person(rng: random.Random, organization: Organization, user: str, number: int) -> Person:
    """Draw a user of an organization, registered, in the team that the simulated usage has it in; some in none.

    Args:
        number: the user's place in the organization; guests come after its own users.
    """
    teams = organization.teams
    role = "Member"
    if number == 0 or number % 97 == 50:
        role = "Admin"
    elif number % 31 == 17:
        role = "Manager"
    elif number <= len(teams):
        role = "TeamLead"
    person = Person(
        username=new_name(rng),
        email=f"{user}@{organization.domain}",
        role=role,
        status=Status.REGISTERED,
        team=None if number % 20 == 11 else teams[number % len(teams)],
    )
    lead(rng, organization, person)
    return person


def new_name(rng: random.Random) -> str:
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"


def lead(rng: random.Random, organization: Organization, person: Person) -> None:
    """Say which teams a TeamLead leads: half of them by the contract's default, their own."""
    person.leads = ()
    if person.role == "TeamLead" and rng.random() < 0.5:
        person.leads = sorted({*([person.team] if person.team else []), rng.choice(organization.teams)})

"""What happens to each thing of a simulated directory over some months: seeded changes, each thing's in order. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.directory import Status, Thing
from services.simulated_records import (
    Organization,
    Person,
    group_record,
    lead,
    license_record,
    new_name,
    new_person,
    organization_record,
    team_record,
)
from services.windows import DAY_MS

MONTH_MS: Final = 30 * DAY_MS
USER_CHANGES: Final = 0.15
"""A month, on average; what happens then depends on what the user is."""

OTHER_CHANGES: Final = 0.06
JOINED_SHARE: Final = 0.7
"""Of the users, there at the begin; the others come later."""

INVITED_SHARE: Final = 0.5
"""Of those who come later; the others are registered at once."""

ACCEPTED_SHARE: Final = 0.6
"""Of the invited, soon; the others let it lie."""

ACCEPTED_WITHIN_MS: Final = 14 * DAY_MS

_STEPS: Final[dict[Status | None, tuple[tuple[str, ...], tuple[int, ...]]]] = {
    Status.REGISTERED: (("move", "promote", "rename", "deactivate", "delete"), (45, 12, 25, 14, 4)),
    Status.DEACTIVATED: (("register", "rename", "delete"), (70, 20, 10)),
    Status.INVITED: (("register", "nothing", "delete"), (20, 70, 10)),
    None: (("rejoin", "nothing"), (40, 60)),
}
"""What may happen to a user in each state, None being deleted, and how often."""

_ROLES: Final = ("Member", "Member", "TeamLead", "Manager")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Half-open, in milliseconds; at least some days long."""

    begin_ms: int
    end_ms: int

    def first_day(self, rng: random.Random) -> int:
        return self.begin_ms + rng.randrange(DAY_MS)

    def moments(self, rng: random.Random, after_ms: int, per_month: float) -> Iterator[int]:
        """Yield rising instants after one, so many a month on average."""
        at = after_ms
        while (at := at + 1 + int(rng.expovariate(per_month / MONTH_MS))) < self.end_ms:
            yield at


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one thing; `record` is None when it is deleted."""

    thing: Thing
    organization: str
    subject: str
    at_ms: int
    record: dict[str, Any] | None


def stories(rng: random.Random, everyone: Sequence[Organization], span: Span) -> Iterator[list[Change]]:
    """Yield what happens to each thing; organizations first, then each one's teams, users, groups and licence."""
    for organization in everyone:
        yield _story(
            Thing.ORGANIZATION, organization, organization.id, _organization(rng, organization, everyone, span)
        )
    for organization in everyone:
        for number, team in enumerate(organization.teams):
            yield _story(Thing.TEAM, organization, team, _team(rng, number, span))
        for number, user in enumerate([*organization.users, *organization.guests]):
            yield _story(Thing.USER, organization, user, _user(rng, organization, user, number, span))
        for number, group in enumerate(organization.groups):
            yield _story(Thing.GROUP, organization, group, _group(rng, number, span))
        yield _story(Thing.LICENSE, organization, f"l{organization.rank:02d}", _license(rng, organization, span))


Step = tuple[int, dict[str, Any] | None]
"""When, and the record that holds from then on."""


def _story(thing: Thing, organization: Organization, subject: str, steps: Iterator[Step]) -> list[Change]:
    return [
        Change(thing=thing, organization=organization.id, subject=subject, at_ms=at_ms, record=record)
        for at_ms, record in steps
    ]


def _organization(
    rng: random.Random, organization: Organization, everyone: Sequence[Organization], span: Span
) -> Iterator[Step]:
    """Suborganizations move, roots change their tier, and now and then one is gone for a while."""
    parent, tier, living = organization.parent, organization.tier, True
    first = span.first_day(rng)
    yield first, organization_record(organization, parent, tier)
    for at in span.moments(rng, first, OTHER_CHANGES):
        if not living or (organization.rank and rng.random() < 0.15):
            living = not living
        elif organization.parent is None:
            tier = rng.choice(sorted({each.tier for each in everyone}))
        else:
            # Only larger ones are above, so that no moves together make a cycle.
            parent = rng.choice([None, *[each.id for each in everyone[: organization.rank]]])
        yield at, organization_record(organization, parent, tier) if living else None


def _team(rng: random.Random, number: int, span: Span) -> Iterator[Step]:
    """The default team stays."""
    renamed, living = 0, True
    first = span.first_day(rng)
    yield first, team_record(number)
    for at in span.moments(rng, first, OTHER_CHANGES):
        if not living or (number and rng.random() < 0.05):
            living = not living
        else:
            renamed += 1
        yield at, team_record(number, renamed=renamed) if living else None


def _group(rng: random.Random, number: int, span: Span) -> Iterator[Step]:
    renamed, living = 0, True
    first = span.first_day(rng)
    yield first, group_record(number)
    for at in span.moments(rng, first, OTHER_CHANGES):
        if not living or rng.random() < 0.3:
            living = not living
        else:
            renamed += 1
        yield at, group_record(number, renamed=renamed) if living else None


def _license(rng: random.Random, organization: Organization, span: Span) -> Iterator[Step]:
    at, renewals = span.first_day(rng), 0
    while at < span.end_ms:
        yield at, license_record(organization, at, renewals=renewals)
        at, renewals = at + rng.randrange(330, 366) * DAY_MS, renewals + 1


def _user(rng: random.Random, organization: Organization, user: str, number: int, span: Span) -> Iterator[Step]:
    person = new_person(rng, organization, user, number)
    if number == 0 or rng.random() < JOINED_SHARE:
        at = span.first_day(rng)
        person.created_ms = at - rng.randrange(400) * DAY_MS
    else:
        at = person.created_ms = rng.randrange(span.begin_ms + DAY_MS, span.end_ms)
        if rng.random() < INVITED_SHARE:
            person.status = Status.INVITED
    yield at, person.record()
    accepted = at + 1 + rng.randrange(ACCEPTED_WITHIN_MS)
    if person.status is Status.INVITED and accepted < span.end_ms and rng.random() < ACCEPTED_SHARE:
        at = accepted
        _register(person, at)
        yield at, person.record()
    yield from _career(rng, organization, person, number, span, at)


def _career(
    rng: random.Random, organization: Organization, person: Person, number: int, span: Span, after_ms: int
) -> Iterator[Step]:
    living = True
    for at in span.moments(rng, after_ms, USER_CHANGES):
        names, weights = _STEPS[person.status if living else None]
        # The first Admin of an organization stays, so that there always is one.
        (step,) = rng.choices(names, weights) if number else ["rename"]
        match step:
            case "delete":
                living = False
            case "rejoin":
                living = True
                person.created_ms, person.updated_ms, person.deactivated_ms = at, None, None
                person.status = Status.REGISTERED
            case "nothing":
                continue
            case _:
                _change(rng, organization, person, step, at)
        yield at, person.record() if living else None


def _change(rng: random.Random, organization: Organization, person: Person, step: str, at_ms: int) -> None:
    person.updated_ms = at_ms
    match step:
        case "move":
            person.team = rng.choice([*organization.teams, None])
            lead(rng, organization, person)
        case "promote":
            person.role = rng.choice(_ROLES)
            lead(rng, organization, person)
        case "rename":
            person.username = new_name(rng)
        case "deactivate":
            person.status, person.deactivated_ms = Status.DEACTIVATED, at_ms
        case "register":
            _register(person, at_ms)
        case _:
            raise ValueError(step)


def _register(person: Person, at_ms: int) -> None:
    person.status, person.updated_ms, person.deactivated_ms = Status.REGISTERED, at_ms, None

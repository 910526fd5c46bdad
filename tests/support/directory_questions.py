"""Every question that the API answers from the directory, and what it must answer by the oracle.

Standard library only. Each is asked by an administrator of the organization that it is about. Of an answer `asOf` is
left out, and of a tier its limits, which are data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.directory_history import ROLES
from tests.support.directory_oracle import DirectoryOracle

Month = tuple[int, int]
"""Year and month, from 1."""

TIERS: Final = ("free-trial", "professional", "enterprise", "enterprise-with-nhi", "identity-protection")
DEFAULT_TIER: Final = TIERS[0]
RESOURCES: Final = ("suborganizations", "persons", "groups")
_DETAILS: Final = ("publicKey", "samlEnabled", "smtpConfigured", "usernamePasswordEnabled", "domains", "planType")
_PAGE: Final = {"offset": "0", "limit": "0"}


@dataclass(frozen=True, slots=True)
class Question:
    """A call, and the body that it must be answered with; None: there is no such thing, a 404."""

    organization: str
    path: str
    body: Any
    parameters: Mapping[str, str] = field(default_factory=dict)
    names_organization: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {"SlashID-OrgID": self.organization} if self.names_organization else {}


def months_between(first: Month, last: Month) -> list[Month]:
    numbers = range(first[0] * 12 + first[1] - 1, last[0] * 12 + last[1])
    return [(number // 12, number % 12 + 1) for number in numbers]


def questions(
    oracle: DirectoryOracle, organization: str, months: Sequence[Month], active: Mapping[Month, int]
) -> Iterator[Question]:
    """Yield the questions about an organization.

    Args:
        oracle: has seen all events.
        organization: in the directory or not.
        months: up to the current one.
        active: distinct active users of each month; absent is none.
    """
    yield from figures(oracle, organization, months, active)
    exists = oracle.present("organization", organization, organization) is not None
    for question in _of_unit(oracle, organization):
        yield question if exists else Question(organization, question.path, None, question.parameters)


def figures(
    oracle: DirectoryOracle, organization: str, months: Sequence[Month], active: Mapping[Month, int]
) -> Iterator[Question]:
    """Yield the questions about utilization and quota; arguments as of `questions`."""
    yield utilization(oracle, organization, months, active)
    yield from quota(oracle, organization)


def utilization(
    oracle: DirectoryOracle, organization: str, months: Sequence[Month], active: Mapping[Month, int]
) -> Question:
    rows = []
    for year, month in months:
        counts = oracle.month_end(organization, year, month)
        row = {
            "year": year,
            "month": month - 1,
            "active": active.get((year, month), 0),
            "pending": counts.pop("invited"),
        }
        rows.append(row | counts)
    exists = oracle.present("organization", organization, organization) is not None
    start = {"startDate": "{:04}-{:02}".format(*months[0])}
    return Question(organization, "/api/v1/organization/account-utilizations", rows if exists else None, start)


def quota(oracle: DirectoryOracle, organization: str) -> Iterator[Question]:
    """Yield what the quota calls must answer."""

    def asked(path: str, result: Any, meta: Any) -> Question:
        body = None if counts is None else {"meta": meta, "errors": [], "result": result}
        return Question(organization, f"/organizations/{path}", body, names_organization=True)

    counts = oracle.quota(organization)
    tier = oracle.tier(organization)
    name = tier if tier in TIERS else DEFAULT_TIER
    usage = {"pricing_tier_details": {"name": name}, "hierarchy": oracle.root(organization) == organization}
    yield asked("quota/usage", usage | (counts or {}), {})
    yield asked("quota/current-tier", {"name": name}, {})
    below = oracle.descendants(organization)
    yield asked("suborganizations", below, {"pagination": {"limit": 5_000, "offset": 0, "total_count": len(below)}})


def _of_unit(oracle: DirectoryOracle, organization: str) -> Iterator[Question]:
    record = oracle.present("organization", organization, organization) or {"name": ""}
    details = {name: record[name] for name in _DETAILS if name in record}
    yield Question(organization, "/api/v1/organization", {"id": organization, "name": record["name"]} | details)
    yield Question(organization, "/api/v1/license", _license(oracle, organization))
    users = oracle.living("user", organization)
    for role in ROLES:
        holders = [user for user in users.values() if user["role"] == role and user["status"] != "deactivated"]
        body = [{"username": user["username"], "organizationId": organization} for user in holders]
        yield Question(organization, "/api/v1/instance/permissions", body, {"role": role})
    for team_member in (True, False):
        for active in (True, False):
            listed = oracle.users(organization, team_member, active)
            filters = {"teamMember": str(team_member).lower(), "active": str(active).lower()}
            page = _page([_user_row(user, users[user]) for user in listed])
            yield Question(organization, "/api/v1/organization/users", page, _PAGE | filters)
    for user in oracle.named("user", organization):
        yield Question(organization, f"/api/v1/user/{user}", _user_info(oracle, organization, user))
    yield from _of_teams(oracle, organization, users)


def _of_teams(oracle: DirectoryOracle, organization: str, users: Mapping[str, Any]) -> Iterator[Question]:
    teams = oracle.living("team", organization)
    rows = []
    for team, record in teams.items():
        registered = oracle.team_now(organization, team)["registered"]
        row = {"id": team, "name": record["name"], "usersCount": registered}
        rows.append(row | ({"isDefaultTeam": record["isDefaultTeam"]} if "isDefaultTeam" in record else {}))
    yield Question(organization, "/api/v1/organization/teams", _page(rows))
    for team in oracle.named("team", organization):
        known = team in teams
        members = _page([_user_row(user, users[user]) for user in oracle.members(organization, team)])
        heads = oracle.team_now(organization, team)
        name = {"id": team, "name": teams[team]["name"]} if known else None
        yield Question(organization, f"/api/v1/team/{team}", name)
        yield Question(organization, f"/api/v1/team/{team}/users", members if known else None, _PAGE)
        yield Question(organization, "/api/v1/team/account-utilizations", heads if known else None, {"teamId": team})


def _license(oracle: DirectoryOracle, organization: str) -> Any:
    """Return the licence issued last, of several the one that ends last."""
    licenses = oracle.living("license", organization).values()
    if not licenses:
        return None
    return {"license": max(licenses, key=lambda record: (record["iat"], record["exp"]))}


def _user_row(user: str, record: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: record[name] for name in ("username", "email", "role", "verified")}
    return {"id": user} | said | {name: record.get(name) for name in ("deactivatedAt", "updatedAt")}


def _user_info(oracle: DirectoryOracle, organization: str, user: str) -> Any:
    record = oracle.present("user", organization, user)
    if record is None:
        return None
    said = {name: record[name] for name in ("email", "role", "createdAt", "updatedAt") if name in record}
    team = oracle.team_of(organization, user)
    of_team = None if team is None else oracle.present("team", organization, team)
    teams = {"team_id": team, "team_name": None if of_team is None else of_team["name"]}
    return {
        "user": {"organization_id": organization, "user_id": user} | said,
        "teams": {name: value for name, value in teams.items() if value is not None},
    }


def _page(rows: Sequence[Any]) -> dict[str, Any]:
    return {"data": list(rows), "meta": {"count": len(rows), "total": len(rows), "next": None}}


def difference(question: Question, status: int, body: Any) -> str | None:
    """Return a sentence when an answer is not what it must be."""
    found: Any = comparable(body) if status == 200 else status
    expected = 404 if question.body is None else question.body
    if found == expected:
        return None
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        found, expected = zip(*(pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]), strict=True)
    return f"{question.organization} {question.path} {dict(question.parameters)}: {found} instead of {expected}"


def comparable(body: Any) -> Any:
    """Return a body without `asOf`, and a tier without its limits.

    What a hierarchy has left is checked by them here: `hierarchy` says whether it was told, or that it is wrong.
    """
    result = body.get("result") if isinstance(body, dict) else None
    if not isinstance(result, dict):
        return body
    result = {name: value for name, value in result.items() if name != "asOf"}
    if "pricing_tier_details" not in result:
        return body | {"result": {"name": result["name"]}}
    limits = result["pricing_tier_details"]
    left, used = result.pop("headroom", None), result.pop("utilization", None)
    told: Any = left is not None
    for resource in RESOURCES if told else ():
        limit, number = limits[f"max_{resource}"], result[f"num_{resource}"]
        if (left[resource], used[resource]) != (_left(limit, number), _share(limit, number)):
            told = f"{resource}: {left[resource]} left and {used[resource]} used"
    return body | {"result": result | {"pricing_tier_details": {"name": limits["name"]}, "hierarchy": told}}


def _left(limit: int | None, number: int) -> int | None:
    return None if limit is None else limit - number


def _share(limit: int | None, number: int) -> float | None:
    return (2_000 * number + limit) // (2 * limit) / 1_000 if limit else None

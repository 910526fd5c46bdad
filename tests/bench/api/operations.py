"""What is asked: one row an operation. A new one is a row here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from services.windows import rfc3339
from tests.bench.api.population import Asked, organizations

DAILY_30: Final = "organization usage, daily, 30 days"
"""The operation whose maximum rate is looked for."""

SHIFTS: Final = 120
"""Ranges of each organization in `DIFFERENT`; with all organizations more bytes than the API remembers of blocks."""

DIFFERENT: Final = f"{DAILY_30}, always other days"

_GZIP: Final = {"Accept-Encoding": "gzip"}
_PAGE: Final = {"offset": "0", "limit": "100"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent, with a token of an administrator of the organization."""

    organization: str
    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def target_at(self, path: str) -> str:
        """Return path and query; the bare route gets the same query."""
        return f"{path}?{urlencode(self.parameters)}" if self.parameters else path


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One or several requests, asked in turn again and again.

    Attributes:
        name: shown, and the key of its figures.
        ratio_max: most times the bare route's median that its own may be; None where nothing is promised.
    """

    name: str
    requests: Sequence[Request]
    ratio_max: float | None = None


def operations(asked: Asked) -> Sequence[Operation]:
    return (*_usage(asked), *_directory(asked), *_quota(asked))


def _usage(asked: Asked) -> Sequence[Operation]:
    def row(
        scope: str, granularity: str, days: int, *, ratio_max: float | None = None, gzip: bool = False
    ) -> Operation:
        request = _usage_request(asked, scope, granularity, days, headers=_GZIP if gzip else {})
        span = "12 months" if days == 365 else f"{days} days"
        name = f"{scope} usage, {granularity}, {span}{', gzip' if gzip else ''}"
        return Operation(name=name, requests=[request], ratio_max=ratio_max)

    others = [
        _usage_request(replace(asked, organization=each), "organization", "daily", 30, back=3 * shift)
        for shift in range(SHIFTS)
        for each in organizations()
    ]
    return (
        row("organization", "daily", 30, ratio_max=4),
        row("organization", "daily", 365, ratio_max=15),
        Operation(name=DIFFERENT, requests=others),
        row("organization", "daily", 30, gzip=True),
        row("organization", "daily", 365, gzip=True),
        row("organization", "monthly", 365),
        row("organization", "all", 365),
        row("organization", "hourly", 7),
        row("team", "daily", 30),
        row("user", "daily", 30),
    )


def _usage_request(
    asked: Asked, scope: str, granularity: str, days: int, *, back: int = 0, headers: Mapping[str, str] | None = None
) -> Request:
    named = {"team": {"teamId": asked.team}, "user": {"userId": asked.user}}.get(scope, {})
    ends = {"from": rfc3339(asked.days_before(back + days)), "to": rfc3339(asked.days_before(back))}
    return Request(
        organization=asked.organization,
        path=f"/api/v1/{scope}/usage",
        parameters={"organizationId": asked.organization, **named, **ends, "granularity": granularity},
        headers=headers or {},
    )


def _directory(asked: Asked) -> Sequence[Operation]:
    def row(name: str, path: str, parameters: Mapping[str, str] | None = None) -> Operation:
        request = Request(organization=asked.organization, path=f"/api/v1/{path}", parameters=parameters or {})
        return Operation(name=name, requests=[request])

    team = {"teamId": asked.team}
    return (
        row("organization", "organization"),
        row("organization teams", "organization/teams"),
        row("organization users, 100 rows", "organization/users", {**_PAGE, "teamMember": "true", "active": "true"}),
        row("license", "license"),
        row("organization account-utilizations", "organization/account-utilizations"),
        row("instance permissions", "instance/permissions", {"role": "TeamLead"}),
        row("team account-utilizations", "team/account-utilizations", team),
        row("team users, 100 rows", f"team/{asked.team}/users", _PAGE),
        row("team", f"team/{asked.team}"),
        row("user", f"user/{asked.user}"),
    )


def _quota(asked: Asked) -> Sequence[Operation]:
    def row(name: str, path: str) -> Operation:
        headers = {"SlashID-OrgID": asked.organization}
        request = Request(organization=asked.organization, path=f"/organizations/{path}", headers=headers)
        return Operation(name=name, requests=[request])

    return (
        row("quota usage", "quota/usage"),
        row("current tier", "quota/current-tier"),
        row("all tiers", "quota/all-tiers"),
        row("suborganizations", "suborganizations"),
    )

"""What is asked: one row an operation. A new one is a row here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from services.windows import rfc3339
from tests.bench.api.population import Asked

DAILY_30: Final = "organization usage, daily, 30 days"
"""The operation whose maximum rate is looked for."""

_GZIP: Final = {"Accept-Encoding": "gzip"}
_PAGE: Final = {"offset": "0", "limit": "100"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request, asked again and again.

    Attributes:
        name: shown, and the key of its figures.
        ratio_max: most times the bare route's median that its own may be; None where nothing is promised.
    """

    name: str
    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    ratio_max: float | None = None

    def target_at(self, path: str) -> str:
        """Return path and query; the bare route gets the same query."""
        return f"{path}?{urlencode(self.parameters)}" if self.parameters else path


def operations(asked: Asked) -> Sequence[Operation]:
    return (*_usage(asked), *_directory(asked), *_quota(asked))


def _usage(asked: Asked) -> Sequence[Operation]:
    def row(
        scope: str, granularity: str, days: int, span: str, *, ratio_max: float | None = None, gzip: bool = False
    ) -> Operation:
        named = {"team": {"teamId": asked.team}, "user": {"userId": asked.user}}.get(scope, {})
        ends = {"from": rfc3339(asked.days_before(days)), "to": rfc3339(asked.end_ms)}
        return Operation(
            name=f"{scope} usage, {granularity}, {span}{', gzip' if gzip else ''}",
            path=f"/api/v1/{scope}/usage",
            parameters={"organizationId": asked.organization, **named, **ends, "granularity": granularity},
            headers=_GZIP if gzip else {},
            ratio_max=ratio_max,
        )

    return (
        row("organization", "daily", 30, "30 days", ratio_max=4),
        row("organization", "daily", 365, "12 months", ratio_max=15),
        row("organization", "daily", 30, "30 days", gzip=True),
        row("organization", "daily", 365, "12 months", gzip=True),
        row("organization", "monthly", 365, "12 months"),
        row("organization", "all", 365, "12 months"),
        row("organization", "hourly", 7, "7 days"),
        row("team", "daily", 30, "30 days"),
        row("user", "daily", 30, "30 days"),
    )


def _directory(asked: Asked) -> Sequence[Operation]:
    team, v1 = {"teamId": asked.team}, "/api/v1"
    all_users = {**_PAGE, "teamMember": "true", "active": "true"}
    return (
        Operation(name="organization", path=f"{v1}/organization"),
        Operation(name="organization teams", path=f"{v1}/organization/teams"),
        Operation(name="organization users, 100 rows", path=f"{v1}/organization/users", parameters=all_users),
        Operation(name="license", path=f"{v1}/license"),
        Operation(name="organization account-utilizations", path=f"{v1}/organization/account-utilizations"),
        Operation(name="instance permissions", path=f"{v1}/instance/permissions", parameters={"role": "TeamLead"}),
        Operation(name="team account-utilizations", path=f"{v1}/team/account-utilizations", parameters=team),
        Operation(name="team users, 100 rows", path=f"{v1}/team/{asked.team}/users", parameters=_PAGE),
        Operation(name="team", path=f"{v1}/team/{asked.team}"),
        Operation(name="user", path=f"{v1}/user/{asked.user}"),
    )


def _quota(asked: Asked) -> Sequence[Operation]:
    organization = {"SlashID-OrgID": asked.organization}
    return (
        Operation(name="quota usage", path="/organizations/quota/usage", headers=organization),
        Operation(name="current tier", path="/organizations/quota/current-tier", headers=organization),
        Operation(name="all tiers", path="/organizations/quota/all-tiers"),
        Operation(name="suborganizations", path="/organizations/suborganizations", headers=organization),
    )

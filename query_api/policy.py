"""Who may ask what: the roles' table and the decision on one team or user. Pure.

Everything here is about the caller's own organization, and about every descendant for whom `spans_descendants` says so.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from services.identifiers import TeamId
from services.tokens import Role


class Operation(StrEnum):
    """The operations, by their ids in the served OpenAPI document."""

    ORGANIZATION = "getOrganization"
    TEAMS = "listOrganizationTeams"
    LICENSE = "getLicense"
    ACCOUNT_UTILIZATIONS = "getAccountUtilizations"
    PERMISSIONS = "getInstancePermissions"
    ORGANIZATION_USAGE = "getOrganizationUsage"
    ORGANIZATION_USERS = "getOrganizationUsers"
    TEAM = "getTeamName"
    TEAM_USERS = "getTeamUsers"
    TEAM_UTILIZATION = "getTeamUtilization"
    TEAM_USAGE = "getTeamUsage"
    USER = "getUserInfo"
    USER_USAGE = "getUserUsage"
    QUOTA_USAGE = "GetOrganizationsQuotaUsage"
    CURRENT_TIER = "GetOrganizationsQuotaCurrentTier"
    ALL_TIERS = "GetOrganizationsQuotaAllTiers"
    SUBORGANIZATIONS = "GetOrganizationsSuborganizations"


class Reach(Enum):
    """How far a role reaches in an operation: every target, the teams led and their members, one's own, nothing."""

    ALL = "all"
    LED = "led"
    OWN = "own"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What the directory says of a user: the team, and the teams led; `leads` is None where it does not say."""

    team: TeamId | None
    leads: tuple[TeamId, ...] | None

    @property
    def own(self) -> Collection[TeamId]:
        return () if self.team is None else (self.team,)

    @property
    def led(self) -> Collection[TeamId]:
        """The teams that the person leads as a TeamLead."""
        return self.own if self.leads is None else self.leads


_ALL, _LED, _OWN, _NONE = Reach.ALL, Reach.LED, Reach.OWN, Reach.NONE
_O: Final = Operation
_TABLE: Final = (
    # Admin, Manager, TeamLead, Member
    ((_ALL, _ALL, _ALL, _ALL), (_O.ORGANIZATION, _O.TEAMS)),
    ((_ALL, _ALL, _ALL, _ALL), (_O.QUOTA_USAGE, _O.CURRENT_TIER, _O.ALL_TIERS, _O.SUBORGANIZATIONS)),
    ((_ALL, _ALL, _NONE, _NONE), (_O.LICENSE, _O.ORGANIZATION_USAGE, _O.ORGANIZATION_USERS, _O.ACCOUNT_UTILIZATIONS)),
    ((_ALL, _NONE, _NONE, _NONE), (_O.PERMISSIONS,)),
    ((_ALL, _ALL, _LED, _OWN), (_O.TEAM, _O.TEAM_USERS, _O.TEAM_UTILIZATION, _O.TEAM_USAGE, _O.USER, _O.USER_USAGE)),
)
_REACH: Final = {
    (role, each): reach for row, ops in _TABLE for role, reach in zip(Role, row, strict=True) for each in ops
}


def reach(role: Role, operation: Operation) -> Reach:
    return _REACH[role, operation]


def spans_descendants(role: Role, operation: Operation) -> bool:
    """Whether a token of a root organization counts in every descendant."""
    return role in (Role.ADMIN, Role.MANAGER) and operation is not Operation.PERMISSIONS


def teams_seen(within: Reach, caller: Person | None) -> Collection[TeamId]:
    """Return the teams that a caller of this reach may see, short of all; a caller may be unknown to the directory."""
    if caller is None:
        return ()
    return {Reach.LED: caller.led, Reach.OWN: caller.own}.get(within, ())


def may_see_team(within: Reach, caller: Person | None, team: TeamId) -> bool:
    return within is Reach.ALL or team in teams_seen(within, caller)


def may_see_other(within: Reach, caller: Person | None, other: Person | None) -> bool:
    """Whether a caller may see another user than itself, who may be unknown to the directory."""
    led = teams_seen(within, caller) if within is Reach.LED else ()
    return within is Reach.ALL or (other is not None and other.team in led)

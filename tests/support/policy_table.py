"""Who may ask what, restated from the words of the issue; imports nothing of the product."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Caller:
    organization: str
    user: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call: its organization (None where it names none), and the team or user it is about."""

    operation: str
    organization: str | None = None
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class World:
    """Parents of the organizations that live; team and `leads` of the users that live, by organization and id."""

    parents: Mapping[str, str | None]
    people: Mapping[tuple[str, str], tuple[str | None, Sequence[str] | None]] = field(default_factory=dict)

    def root(self, organization: str) -> str | None:
        for _ in range(17):
            if organization not in self.parents:
                return None
            parent = self.parents[organization]
            if parent is None or parent not in self.parents:
                return organization
            organization = parent
        return None


# fmt: off
ROLES = ("Admin", "Manager", "TeamLead", "Member")
TEAM_CALLS = ("getTeamName", "getTeamUsers", "getTeamUtilization", "getTeamUsage")
USER_CALLS = ("getUserInfo", "getUserUsage")
QUOTA_CALLS = tuple(f"GetOrganizations{each}" for each in (
    "QuotaUsage", "QuotaCurrentTier", "QuotaAllTiers", "Suborganizations"))
TABLE = {
    ("getOrganization", "listOrganizationTeams"): ("yes", "yes", "yes", "yes"),
    ("getLicense", "getOrganizationUsage", "getOrganizationUsers", "getAccountUtilizations"):
        ("yes", "yes", "no", "no"),
    ("getInstancePermissions",): ("yes", "no", "no", "no"),
    TEAM_CALLS: ("yes", "yes", "led", "own"),
    USER_CALLS: ("yes", "yes", "of led, self", "self"),
    QUOTA_CALLS: ("yes", "yes", "yes", "yes"),
}

def expected(world: World, caller: Caller, asked: Asked) -> int:
    """Return 403, 404, or 200 where the policy lets the call through to what it is about."""
    if asked.organization not in (None, caller.organization):
        spans = caller.role in ("Admin", "Manager") and asked.operation != "getInstancePermissions"
        if not spans or world.root(str(asked.organization)) != caller.organization:
            return 403 if asked.operation in TEAM_CALLS + USER_CALLS else 404
    cell = next(row for operations, row in TABLE.items() if asked.operation in operations)[ROLES.index(caller.role)]
    own, leads = world.people.get((caller.organization, caller.user), (None, None))
    led = {own} - {None} if leads is None else set(leads)
    of_led = world.people.get((caller.organization, asked.target), (None, None))[0] in led
    is_self = asked.target == caller.user
    may = {"yes": True, "no": False, "led": asked.target in led, "own": asked.target == own,
           "of led, self": of_led or is_self, "self": is_self}
    return 200 if may[cell] else 403
# fmt: on


OPERATIONS = tuple(operation for operations in TABLE for operation in operations)

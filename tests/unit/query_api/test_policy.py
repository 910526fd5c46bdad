"""The policy and its gate against the table of the issue, restated in `tests.support.policy_table`."""

from collections import Counter
from http import HTTPStatus
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from query_api.access import Access
from query_api.errors import ApiError
from query_api.policy import Operation, Person, Reach, may_see_other, may_see_team, reach
from services.identifiers import OrganizationId, TeamId, UserId
from services.tokens import Claims, Role
from tests.support.policy_table import OPERATIONS, ROLES, TABLE, TEAM_CALLS, USER_CALLS, Asked, Caller, World, expected

TRIPLES = 24
EXAMPLES = 420
"""Each a world of its own; together 10,080 triples."""

ORGANIZATIONS = ("root", "middle", "leaf", "other")
USERS = ("ada", "bob", "cy", "dee")
TEAMS = ("core", "web", "ops")


class FactsOf:
    """What a world knows."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def person(self, organization: OrganizationId, user: UserId) -> Person | None:
        found = self._world.people.get((organization, user))
        if found is None:
            return None
        team, leads = found
        led = None if leads is None else tuple(TeamId(each) for each in leads)
        return Person(team=None if team is None else TeamId(team), leads=led)

    async def root_of(self, organization: OrganizationId) -> OrganizationId | None:
        root = self._world.root(organization)
        return None if root is None else OrganizationId(root)


async def answered(world: World, caller: Caller, asked: Asked) -> int:
    """What the gate makes of a call."""
    access, operation = Access(FactsOf(world)), Operation(asked.operation)
    claims = Claims(
        subject=UserId(caller.user), organization=OrganizationId(caller.organization), role=Role(caller.role)
    )
    organization = None if asked.organization is None else OrganizationId(asked.organization)
    try:
        if asked.operation in TEAM_CALLS:
            passed = await access.team(claims, operation, TeamId(asked.target), organization)
        elif asked.operation in USER_CALLS:
            passed = await access.user(claims, operation, UserId(asked.target), organization)
        else:
            passed = await access.organization(claims, operation, organization)
    except ApiError as error:
        return error.status
    assert passed == (asked.organization or caller.organization)
    return HTTPStatus.OK


worlds = st.builds(
    World,
    parents=st.dictionaries(st.sampled_from(ORGANIZATIONS), st.none() | st.sampled_from(ORGANIZATIONS)),
    people=st.dictionaries(
        st.tuples(st.sampled_from(ORGANIZATIONS), st.sampled_from(USERS)),
        st.tuples(
            st.none() | st.sampled_from(TEAMS), st.none() | st.lists(st.sampled_from(TEAMS), unique=True, max_size=2)
        ),
    ),
)
callers = [Caller(organization=o, user=u, role=r) for o, u, r in product(ORGANIZATIONS, USERS, ROLES)]
calls = [
    Asked(operation=operation, organization=organization, target=target)
    for operation, organization, target in product(OPERATIONS, (None, *ORGANIZATIONS), USERS + TEAMS)
]
triples = st.sampled_from(list(product(callers, calls)))  # one draw for a triple: five times as fast as six


@settings(max_examples=EXAMPLES, deadline=None)
@given(worlds, st.lists(triples, min_size=TRIPLES, max_size=TRIPLES))
async def test_the_gate_answers_as_the_table_says(world: World, drawn: list[tuple[Caller, Asked]]) -> None:
    for caller, asked in drawn:
        assert await answered(world, caller, asked) == expected(world, caller, asked), (caller, asked)


POPULATED = World(
    parents={"root": None, "middle": "root", "leaf": "middle", "other": None, "lost": "deleted"},
    people={
        ("root", "ada"): ("core", None),
        ("root", "bob"): ("core", ["web"]),
        ("root", "cy"): ("web", []),
        ("root", "dee"): (None, None),
        ("middle", "ada"): ("core", ["core", "web"]),
        ("middle", "bob"): ("web", None),
    },
)


async def test_every_triple_of_a_populated_world_is_answered_as_the_table_says() -> None:
    seen: Counter[tuple[int, str]] = Counter()
    everybody = [Caller(organization=o, user=u, role=r) for o, u, r in product(POPULATED.parents, USERS, ROLES)]
    for caller, operation in product(everybody, OPERATIONS):
        targets = USERS if operation in USER_CALLS else TEAMS if operation in TEAM_CALLS else ("",)
        for organization, target in product((None, *POPULATED.parents, "nowhere"), targets):
            asked = Asked(operation=operation, organization=organization, target=target)
            status = await answered(POPULATED, caller, asked)
            assert status == expected(POPULATED, caller, asked), (caller, asked)
            seen[status, caller.role] += 1
    assert seen.total() > 5_000
    assert {status for status, _ in seen} == {200, 403, 404}
    assert all(seen[200, role] for role in ROLES)


def test_the_operations_are_those_of_the_table() -> None:
    assert sorted(OPERATIONS) == sorted(Operation)
    assert len(OPERATIONS) == 17


def test_the_reach_of_each_role_is_the_tables() -> None:
    words = {
        "yes": Reach.ALL,
        "no": Reach.NONE,
        "led": Reach.LED,
        "of led, self": Reach.LED,
        "own": Reach.OWN,
        "self": Reach.OWN,
    }
    for operations, row in TABLE.items():
        for operation in operations:
            assert [reach(Role(role), Operation(operation)) for role in ROLES] == [words[cell] for cell in row]


def test_a_lead_without_a_list_leads_the_own_team_and_with_an_empty_one_none() -> None:
    core, web = TeamId("core"), TeamId("web")
    of_core = Person(team=core, leads=None)
    assert may_see_team(Reach.LED, of_core, core)
    assert not may_see_team(Reach.LED, of_core, web)
    assert not may_see_team(Reach.LED, Person(team=core, leads=()), core)
    assert may_see_team(Reach.LED, Person(team=core, leads=(web,)), web)
    assert not may_see_team(Reach.LED, Person(team=core, leads=(web,)), core)
    assert may_see_team(Reach.OWN, Person(team=core, leads=(web,)), core)
    assert not may_see_team(Reach.OWN, Person(team=core, leads=(web,)), web)


def test_people_without_a_team_are_in_nobodys_team() -> None:
    nobody = Person(team=None, leads=None)
    for within in (Reach.LED, Reach.OWN, Reach.NONE):
        for caller in (None, nobody):
            assert not may_see_team(within, caller, TeamId("core"))
            assert not may_see_other(within, caller, nobody)
            assert not may_see_other(within, caller, None)
    assert may_see_other(Reach.ALL, None, None)


def test_a_member_sees_nobody_else_of_the_own_team() -> None:
    of_core = Person(team=TeamId("core"), leads=None)
    assert may_see_other(Reach.LED, of_core, of_core)
    assert not may_see_other(Reach.OWN, of_core, of_core)

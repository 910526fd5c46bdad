import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Config, GenerationMode, HookContext
from schemathesis.generation.meta import negated_parameters

from services.windows import HOUR_MS
from tests.fuzz import world
from tests.fuzz.identities import Callers
from tests.fuzz.mending import AnyCase, Mender, is_foreign, names_a_rule
from tests.support.api_in_process import shared_app

NOW_MS = 497_000 * HOUR_MS
TEAM = "/api/v1/team/usage"
CALLERS = Callers(caller="Bearer caller", peer="Bearer peer", others=("Bearer other",), api_key="key")


def cases(path: str, mode: GenerationMode, number: int = 60) -> list[AnyCase]:
    """Return cases of an operation as schemathesis makes them from the served document."""
    config = Config.from_dict({"seed": 4, "generation": {"with-security-parameters": False}})
    operation = schemathesis.openapi.from_dict(shared_app()[2].openapi(), config=config)[path]["GET"]
    made: list[AnyCase] = []

    @seed(4)
    @settings(max_examples=number, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def collect(case: AnyCase) -> None:
        made.append(case)

    collect()
    return made


@pytest.fixture(scope="module", params=["/api/v1/organization/usage", TEAM, "/api/v1/user/usage"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_half_of_the_cases_that_follow_the_schema_must_be_answered(path: str) -> None:
    mender = Mender(CALLERS, NOW_MS)
    mended = [mender.mend(HookContext(), case) for case in cases(path, GenerationMode.POSITIVE, 200)]
    whole = [case for case in mended if mender.must_be_answered(case)]
    assert 0.3 < len(whole) / len(mended) < 0.7
    for case in whole:
        assert case.query["organizationId"] == world.ORGANIZATION
        assert case.query.get("teamId", world.TEAMS[0]) in world.TEAMS
        assert case.query.get("userId", world.USERS[0]) in world.USERS
    assert any(is_foreign(case) for case in mended if case not in whole)
    assert not any(is_foreign(case) for case in whole)


def test_a_case_that_breaks_the_schema_does_so_in_one_place_and_goes_on_doing_so(path: str) -> None:
    mender = Mender(CALLERS, NOW_MS)
    for case in cases(path, GenerationMode.NEGATIVE):
        assert case.meta is not None
        broken = {name: case.query[name] for name, _ in negated_parameters(case.meta) if name in case.query}
        mender.mend(HookContext(), case)
        assert case.meta.generation.mode.is_negative
        assert not mender.must_be_answered(case)
        assert sum(case.query[name] == value for name, value in broken.items()) == bool(broken)


def test_the_same_case_is_mended_the_same_way() -> None:
    first, second = (
        [Mender(CALLERS, NOW_MS).mend(HookContext(), case).query for case in cases(TEAM, GenerationMode.POSITIVE)]
        for _ in "ab"
    )
    assert first == second


def sent_as(path: str) -> set[tuple[str, bool]]:
    """Return which credentials cases of an operation are sent with, and whether they must be answered."""
    mender, found = Mender(CALLERS, NOW_MS), set()
    for case in cases(path, GenerationMode.POSITIVE):
        case.headers["Authorization"] = CALLERS.caller
        mender.mend(HookContext(), case)
        sent = [case.headers[name] for name in ("Authorization", "SlashID-API-Key") if name in case.headers]
        found.add((*sent, mender.must_be_answered(case)))
    return found


def test_only_cases_mended_in_part_are_sent_as_somebody_who_may_less() -> None:
    assert sent_as(TEAM) == {(CALLERS.caller, True), (CALLERS.caller, False), (CALLERS.others[0], False)}


def test_an_api_key_is_sent_in_place_of_the_token_where_either_is_taken() -> None:
    assert {(CALLERS.caller, True), (CALLERS.api_key, True)} <= sent_as("/organizations/quota/usage")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"error": "INVALID_PARAMETER", "details": {"parameters": {"from": "…"}}}, True),
        ({"error": "INVALID_PARAMETER", "details": {"parameters": {"from": "…", "to": "…"}}}, True),
        ({"error": "INVALID_PARAMETER", "details": {"parameters": {"granularity": "…"}}}, False),
        ({"error": "INVALID_PARAMETER", "details": {"parameters": {"from": "…", "teamId": "…"}}}, False),
        ({"error": "INVALID_PARAMETER", "details": {"parameters": {}}}, False),
        ({"error": "INVALID_PARAMETER", "details": {}}, False),
        ({"errors": [{"httpcode": 400, "message": "filter: …"}]}, True),
        ({"errors": [{"httpcode": 400, "message": "SlashID-OrgID: …"}]}, False),
        ({"errors": []}, False),
        ({"error": "BAD_REQUEST", "details": {"parameters": {"from": "…"}}}, False),
        ([], False),
    ],
)
def test_a_400_is_excused_by_a_listed_code_that_blames_listed_parameters_alone(body: object, named: bool) -> None:
    assert names_a_rule(json.dumps(body).encode()) is named


def test_a_400_that_is_no_json_is_not_excused() -> None:
    assert not names_a_rule(b"Invalid HTTP request received.")

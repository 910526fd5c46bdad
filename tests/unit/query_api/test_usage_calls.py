import itertools
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.identifiers import Epoch
from services.memory_counters import MemoryCounterStore
from services.metrics_contract import AGENT, CHAT, CODE_COMPLETIONS, INSTRUCT, PRODUCTS
from services.settings import EventSettings
from services.tokens import Role
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, PARTITIONS, SETTINGS, Api, bearer, emptied_app
from tests.support.counted import Counted, Use
from tests.support.directory_written import DirectoryWritten
from tests.unit.query_api.conftest import MakeApi

ORGANIZATION = "/api/v1/organization/usage"
TEAM = "/api/v1/team/usage"
USER = "/api/v1/user/usage"
DAY = NOW_HOUR // 24 * 24
"""First hour of today."""


def span(first_hour: int, end_hour: int, granularity: str = "all") -> dict[str, str]:
    return {
        "organizationId": "acme",
        "from": rfc3339(first_hour * HOUR_MS),
        "to": rfc3339(end_hour * HOUR_MS),
        "granularity": granularity,
    }


async def test_an_organizations_day_is_answered_as_the_contract_says(api: Api, counted: Counted) -> None:
    counted.read_up_to_ms = NOW_HOUR * HOUR_MS - 1500
    counted.add(
        Use(
            user="ada",
            team="core",
            hour=DAY + 1,
            product=CODE_COMPLETIONS,
            amounts={"completions": 3, "charsCompleted": 30, "keystrokes": 70, "lines": 4, "suggestions": 9},
        )
    )
    counted.add(
        Use(
            user="bob",
            hour=DAY + 2,
            product=CHAT,
            amounts={"interactions": 3, "usefulChatInteractions": 2, "lines": 5, "charsCompleted": 10, "messages": 6},
        )
    )
    counted.add(Use(user="ada", hour=DAY + 2, product=AGENT, amounts={"interactions": 1, "linesAdded": 7}))
    counted.add(Use(user="cy", hour=DAY + 2, product=INSTRUCT, amounts={"acceptedCount": 2}))
    await counted.write(api.store)
    response = await api.get(ORGANIZATION, span(DAY, DAY + 24, "daily"))
    assert response.status_code == 200
    assert response.headers["Tidemark-As-Of"] == "2026-09-12T07:59:58.500Z"
    assert response.json() == {
        "organizationId": "acme",
        "from": "2026-09-12T00:00:00Z",
        "to": "2026-09-13T00:00:00Z",
        "asOf": "2026-09-12T07:59:58.500Z",
        "usage": {
            "granularity": "daily",
            "data": [
                {
                    "from": "2026-09-12T00:00:00Z",
                    "to": "2026-09-13T00:00:00Z",
                    "complete": False,
                    "activeUsers": 3,
                    "productivityFactor": 0.364,
                    "codeCompletions": {
                        "activeUsers": 1,
                        "completions": 3,
                        "charsCompleted": 30,
                        "keystrokes": 70,
                        "lines": 4,
                        "automationFactor": 0.3,
                    },
                    "chat": {
                        "activeUsers": 1,
                        "interactions": 3,
                        "usefulChatInteractions": 2,
                        "lines": 5,
                        "charsCompleted": 10,
                        "chatConsumptionRate": 0.667,
                    },
                    "agent": {
                        "activeUsers": 1,
                        "interactions": 1,
                        "linesAdded": 7,
                        "linesAddedAccepted": 0,
                        "linesRemoved": 0,
                        "linesRemovedAccepted": 0,
                    },
                    "instruct": {"acceptedCount": 2},
                }
            ],
        },
    }


async def test_team_and_user_answers_name_their_scope_and_count_it_alone(api: Api, counted: Counted) -> None:
    for user, team, completions in (("ada", "core", 1), ("bob", "core", 2), ("cy", None, 4)):
        counted.add(Use(user=user, team=team, hour=DAY, product=CODE_COMPLETIONS, amounts={"completions": completions}))
    await counted.write(api.store)
    team = (await api.get(TEAM, {"teamId": "core"} | span(DAY, DAY + 24))).json()
    assert team["teamId"] == "core"
    assert team["usage"]["data"][0]["codeCompletions"]["completions"] == 3
    assert team["usage"]["data"][0]["activeUsers"] == 2
    user = (await api.get(USER, {"userId": "cy"} | span(DAY, DAY + 24))).json()
    assert user["userId"] == "cy"
    assert user["usage"]["data"][0]["codeCompletions"]["completions"] == 4
    assert user["usage"]["data"][0]["activeUsers"] == 1
    once = (await api.get(USER, {"userId": "ada"} | span(DAY, DAY + 24))).json()
    assert once["usage"]["data"][0]["codeCompletions"]["activeUsers"] == 1


async def test_a_users_block_without_a_leading_count_is_not_active(api: Api, counted: Counted) -> None:
    counted.add(Use(user="ada", hour=DAY, product=CODE_COMPLETIONS, amounts={"keystrokes": 9}))
    await counted.write(api.store)
    for path in (ORGANIZATION, USER):
        extra = {"userId": "ada"} if path == USER else {}
        (block,) = await api.blocks(path, extra | span(DAY, DAY + 24))
        assert (block["activeUsers"], block["codeCompletions"]["activeUsers"]) == (0, 0)
        assert block["codeCompletions"]["keystrokes"] == 9


async def test_windows_without_usage_are_zeros(api: Api, counted: Counted) -> None:
    counted.add(Use(user="ada", hour=DAY, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    blocks = await api.blocks(ORGANIZATION, span(DAY - 48, DAY + 24, "daily"))
    assert [block["chat"]["interactions"] for block in blocks] == [0, 0, 1]
    assert "chatConsumptionRate" not in blocks[0]["chat"]
    assert blocks[2]["chat"]["chatConsumptionRate"] == 0.0


@pytest.mark.parametrize(
    ("word", "echoed"),
    [
        ("day", "daily"),
        ("week", "weekly"),
        ("month", "monthly"),
        ("hour", "hourly"),
        ("hourly", "hourly"),
        ("all", "all"),
    ],
)
async def test_synonyms_echo_the_contracts_word(api: Api, counted: Counted, word: str, echoed: str) -> None:
    counted.add(Use(user="ada", hour=DAY, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    body = (await api.get(ORGANIZATION, span(DAY, DAY + 24, word))).json()
    assert body["usage"]["granularity"] == echoed


async def test_an_offset_is_understood_and_the_answer_is_in_utc(api: Api, counted: Counted) -> None:
    counted.add(Use(user="ada", hour=DAY, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    asked = span(DAY, DAY + 24) | {"from": "2026-09-12T02:00:00+02:00"}
    body = (await api.get(ORGANIZATION, asked)).json()
    assert body["from"] == "2026-09-12T00:00:00Z"


async def test_unknown_freshness_is_null_and_has_no_header(api: Api, counted: Counted) -> None:
    counted.add(Use(user="ada", hour=DAY, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    response = await api.get(ORGANIZATION, span(DAY, DAY + 24))
    assert response.json()["asOf"] is None
    assert "Tidemark-As-Of" not in response.headers


async def test_a_block_is_complete_when_as_of_has_passed_its_end_by_the_lateness_allowance(
    api: Api, counted: Counted
) -> None:
    counted.add(Use(user="ann", hour=DAY + 1, product=CHAT, amounts={"interactions": 1}))
    asked = span(DAY, DAY + 3, "hour")
    found = []
    for read_up_to_ms in (None, (DAY + 2) * HOUR_MS - 1, (DAY + 2) * HOUR_MS, (DAY + 4) * HOUR_MS):
        counted.read_up_to_ms = read_up_to_ms
        await counted.write(api.store)
        found.append([block["complete"] for block in await api.blocks(ORGANIZATION, asked)])
    assert found == [[None] * 3, [False] * 3, [True, False, False], [True] * 3]


async def test_a_block_that_becomes_complete_is_news_for_a_client_that_has_its_numbers(
    api: Api, counted: Counted
) -> None:
    counted.add(Use(user="ann", hour=DAY + 1, product=CHAT, amounts={"interactions": 1}))
    tags: list[str] = []
    for read_up_to_ms in (DAY * HOUR_MS, (DAY + 1) * HOUR_MS, (DAY + 2) * HOUR_MS, (DAY + 3) * HOUR_MS):
        counted.read_up_to_ms = read_up_to_ms
        await counted.write(api.store)
        response = await api.get(ORGANIZATION, span(DAY, DAY + 1), bearer() | {"If-None-Match": ", ".join(tags)})
        tags.append(response.headers["ETag"])
        assert response.status_code == (200 if tags.count(tags[-1]) == 1 else 304)
    assert [tags.index(tag) for tag in tags] == [0, 0, 2, 2]


async def test_counters_of_a_later_epoch_are_found(api: Api) -> None:
    for epoch in (1, 7):
        counted = Counted(partitions=PARTITIONS, epoch=Epoch(epoch))
        counted.add(Use(user="ada", hour=DAY, product=CHAT, amounts={"interactions": epoch}))
        api.store.partitions[:] = MemoryCounterStore(PARTITIONS).partitions
        await counted.write(api.store)
        (block,) = await api.blocks(ORGANIZATION, span(DAY, DAY + 24))
        assert block["chat"]["interactions"] == epoch


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        (ORGANIZATION, {"organizationId": "nobody"}),
        (TEAM, {"teamId": "nobody"}),
        (TEAM, {"teamId": "ada"}),
        (USER, {"userId": "nobody"}),
        (USER, {"userId": "core"}),
    ],
)
async def test_what_was_never_counted_is_not_found(
    api: Api, counted: Counted, path: str, scope: dict[str, str]
) -> None:
    counted.add(Use(user="ada", team="core", hour=DAY, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    asked = span(DAY, DAY + 24) | scope
    response = await api.get(path, asked, bearer(asked["organizationId"]))
    assert (response.status_code, response.json()["error"]) == (404, "NOT_FOUND")


async def test_nothing_counted_at_all_is_not_found(api: Api) -> None:
    assert (await api.get(ORGANIZATION, span(DAY, DAY + 24))).status_code == 404


@pytest.mark.parametrize(
    ("path", "extra", "status"),
    [(ORGANIZATION, {}, 404), (TEAM, {"teamId": "core"}, 403), (USER, {"userId": "ada"}, 403)],
)
async def test_a_foreign_organization_is_refused_by_the_token_alone(
    api: Api, counted: Counted, path: str, extra: dict[str, str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted.add(Use(user="ada", team="core", hour=DAY, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)

    async def read(*_: object) -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(api.store, "read", read)
    answers = []
    for organization, role in itertools.product(("acme", "no-such"), (Role.TEAM_LEAD, Role.MEMBER)):
        asked = span(DAY, DAY + 24) | {"organizationId": organization}
        response = await api.get(path, extra | asked, bearer("rival", role))
        assert response.status_code == status
        answers.append({**response.json(), "requestId": ""})
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("path", "extra", "statuses"),
    [
        (ORGANIZATION, {}, [200, 200, 403, 403]),
        (TEAM, {"teamId": "core"}, [200, 200, 200, 200]),
        (TEAM, {"teamId": "web"}, [200, 200, 403, 403]),
        (TEAM, {"teamId": "no-such"}, [404, 404, 403, 403]),
        (USER, {"userId": "ada"}, [200, 200, 200, 200]),
        (USER, {"userId": "bob"}, [200, 200, 200, 403]),
        (USER, {"userId": "cy"}, [200, 200, 403, 403]),
        (USER, {"userId": "no-such"}, [404, 404, 403, 403]),
        (ORGANIZATION, {"organizationId": "child"}, [200, 200, 404, 404]),
        (TEAM, {"organizationId": "child", "teamId": "core"}, [200, 200, 403, 403]),
        (USER, {"organizationId": "child", "userId": "ada"}, [200, 200, 403, 403]),
        (ORGANIZATION, {"organizationId": "rival"}, [404, 404, 404, 404]),
        (USER, {"organizationId": "rival", "userId": "ada"}, [403, 403, 403, 403]),
    ],
)
async def test_a_role_reads_the_usage_that_the_policy_gives_it(
    api: Api, counted: Counted, written: DirectoryWritten, path: str, extra: dict[str, str], statuses: list[int]
) -> None:
    for organization, parent in (("acme", {}), ("child", {"parentId": "acme"}), ("rival", {})):
        written.organization(organization, **parent)
    for user, team in (("ada", "core"), ("bob", "core"), ("cy", "web")):
        written.user("acme", user, teamId=team)
    await written.write(api.store)
    for organization in ("acme", "child", "rival"):
        for user, team in (("ada", "core"), ("bob", "core"), ("cy", "web")):
            amounts = {"interactions": 1}
            counted.add(Use(organization=organization, user=user, team=team, hour=DAY, product=CHAT, amounts=amounts))
    await counted.write(api.store)
    answers = [await api.get(path, span(DAY, DAY + 24) | extra, bearer(role=role)) for role in Role]
    assert [answer.status_code for answer in answers] == statuses


async def test_a_range_before_what_is_kept_is_refused_before_the_store_is_asked(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = EventSettings(max_age=3600.0, keep_hours=7200.0, keep_days=86_400.0)
    api = make_api(settings=SETTINGS.model_copy(update={"events": events}))

    async def read(*_: object) -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(api.store, "read", read)
    response = await api.get(ORGANIZATION, span(DAY - 48, DAY + 24, "daily"))
    assert response.status_code == 400
    assert response.json()["details"]["earliest"] == "2026-09-11T00:00:00Z"
    response = await api.get(ORGANIZATION, span(DAY - 900 * 24, DAY + 24, "daily"))
    assert response.json()["details"]["maximumDays"] == 400


async def test_counters_of_another_number_of_partitions_are_an_error_not_an_absence(
    api: Api, counted: Counted, logged: list[MutableMapping[str, Any]]
) -> None:
    counted.add(Use(user="ada", hour=DAY, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    for held in api.store.partitions:
        held.state = held.state and replace(held.state, partitions=8)
    assert (await api.get(ORGANIZATION, span(DAY, DAY + 24))).status_code == 500
    assert "set it to 8" in logged[0]["why"]


uses = st.builds(
    lambda user, team, hour, product, leading, second: Use(
        user=user,
        team=team,
        hour=hour,
        product=product,
        amounts=dict(zip(product.counters, (leading, second), strict=False)),
    ),
    user=st.sampled_from([f"user-{n}" for n in range(12)]),
    team=st.sampled_from([None, "core", "web"]),
    hour=st.integers(DAY - 24 * 70, DAY + 5),
    product=st.sampled_from(PRODUCTS),
    leading=st.integers(0, 3),
    second=st.integers(0, 2**31 - 1),
)


@given(
    seen=st.lists(uses, max_size=40),
    start=st.integers(DAY - 24 * 75, DAY),
    hours=st.integers(1, 24 * 31),
    granularity=st.sampled_from(["all", "hourly", "daily", "weekly", "monthly"]),
    scope=st.sampled_from([{}, {"teamId": "core"}, {"userId": "user-3"}]),
)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_every_block_is_what_a_plain_count_of_its_events_gives(
    seen: list[Use], start: int, hours: int, granularity: str, scope: dict[str, str]
) -> None:
    # So that every scope is known whatever was drawn.
    seen = [*seen, Use(user="user-3", team="core", hour=DAY + 30, product=CHAT, amounts={"interactions": 1})]
    store, app = emptied_app()
    counted = Counted(partitions=PARTITIONS)
    for use in seen:
        counted.add(use)
    await counted.write(store)
    path = TEAM if "teamId" in scope else USER if "userId" in scope else ORGANIZATION
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
        asked = span(start, start + hours, granularity) | scope
        response = await client.get(path, params=asked, headers=bearer())
    assert response.status_code == 200, response.text
    belongs = of_scope(scope)
    for block in response.json()["usage"]["data"]:
        inside = [use for use in seen if belongs(use) and block["from"] <= rfc3339(use.hour * HOUR_MS) < block["to"]]
        assert_counts(block, inside)


def of_scope(scope: dict[str, str]) -> Callable[[Use], bool]:
    if "teamId" in scope:
        return lambda use: use.team == scope["teamId"]
    if "userId" in scope:
        return lambda use: use.user == scope["userId"]
    return lambda _: True


def assert_counts(block: dict[str, Any], inside: list[Use]) -> None:
    active = {
        product.name: {use.user for use in inside if use.product is product and use.amounts[product.leading] >= 1}
        for product in PRODUCTS
    }
    assert block["activeUsers"] == len(set[str]().union(*active.values()))
    for product in PRODUCTS:
        served = block[product.name]
        assert served.get("activeUsers", len(active[product.name])) == len(active[product.name])
        for name in product.counters:
            if name in served:
                assert served[name] == sum(use.amounts.get(name, 0) for use in inside if use.product is product)

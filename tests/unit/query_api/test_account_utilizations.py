from collections.abc import Mapping
from typing import Any

import pytest

from services.directory import Thing
from services.metrics_contract import AGENT, CHAT, CODE_COMPLETIONS
from services.settings import EventSettings
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, SETTINGS, Api
from tests.support.counted import Counted, Use
from tests.support.directory_written import DirectoryWritten
from tests.unit.query_api.conftest import MakeApi

PATH = "/api/v1/organization/account-utilizations"
TODAY = NOW_HOUR // 24
"""2026-09-12"""


async def rows(api: Api, parameters: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    response = await api.get(PATH, parameters)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


def row(year: int, month: int, registered: int, deactivated: int, active: int, pending: int) -> dict[str, int]:
    return {
        "year": year,
        "month": month,
        "registered": registered,
        "deactivated": deactivated,
        "active": active,
        "pending": pending,
    }


async def test_a_months_figures_are_those_of_its_end(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.user("acme", "ada", status="invited", time="2026-05-10T00:00:00Z")
    written.user("acme", "ada", status="registered", time="2026-06-30T23:59:59.999Z")
    written.user("acme", "bob", status="registered", time="2026-07-01T00:00:00Z")
    written.user("acme", "ada", status="deactivated", time="2026-08-31T00:00:00Z")
    written.user("acme", "cyd", status="registered", time="2026-06-02T00:00:00Z")
    written.delete(Thing.USER, "acme", "cyd", time="2026-08-02T00:00:00Z")
    await written.write(api.store)
    assert await rows(api, {"startDate": "2026-04"}) == [
        row(2026, 3, 0, 0, 0, 0),
        row(2026, 4, 0, 0, 0, 1),
        row(2026, 5, 2, 0, 0, 0),
        row(2026, 6, 3, 0, 0, 0),
        row(2026, 7, 1, 1, 0, 0),
        row(2026, 8, 1, 1, 0, 0),
    ]


async def test_a_late_event_corrects_the_months_that_are_over(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.user("acme", "ada", status="registered", time="2026-08-10T00:00:00Z")
    await written.write(api.store)
    assert [each["registered"] for each in await rows(api, {"startDate": "2026-06"})] == [0, 0, 1, 1]
    written.user("acme", "ada", status="registered", time="2026-06-10T00:00:00Z")
    await written.write(api.store)
    assert [each["registered"] for each in await rows(api, {"startDate": "2026-06"})] == [1, 1, 1, 1]


async def test_months_run_from_zero_over_the_turn_of_the_year(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    await written.write(api.store)
    found = [(each["year"], each["month"]) for each in await rows(api)]
    assert found == [(2025, month) for month in (9, 10, 11)] + [(2026, month) for month in range(9)]


async def test_active_users_are_distinct_over_days_and_products(
    api: Api, written: DirectoryWritten, counted: Counted
) -> None:
    written.organization("acme")
    day = TODAY - 12  # 2026-08-31
    for user, on, product, amounts in (
        ("ada", day, CHAT, {"interactions": 1}),
        ("ada", day - 1, CODE_COMPLETIONS, {"completions": 3}),
        ("bob", day - 30, AGENT, {"interactions": 1}),
        ("cyd", day - 31, CHAT, {"interactions": 1}),  # July
        ("dan", day, CHAT, {"messages": 9}),  # not active: no interaction
        ("eve", day + 1, CHAT, {"interactions": 1}),  # September
        ("ada", TODAY, CHAT, {"interactions": 1}),
    ):
        counted.add(Use(user=user, hour=on * 24, product=product, amounts=amounts))
    await counted.write(api.store)
    await written.write(api.store)
    assert [each["active"] for each in await rows(api, {"startDate": "2026-07"})] == [1, 2, 2]


async def test_active_users_need_not_be_in_the_directory(api: Api, written: DirectoryWritten, counted: Counted) -> None:
    written.organization("acme")
    counted.add(Use(user="nobody", hour=NOW_HOUR, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    await written.write(api.store)
    assert await rows(api, {"startDate": "2026-09"}) == [row(2026, 8, 0, 0, 1, 0)]


async def test_six_years_are_read_in_several_calls_and_no_month_is_missed(
    api: Api, written: DirectoryWritten, counted: Counted
) -> None:
    written.organization("acme")
    for back in range(0, 72 * 31, 15):
        counted.add(Use(user=f"u-{back}", hour=(TODAY - back) * 24, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    await written.write(api.store)
    found = await rows(api, {"startDate": "2020-09"})
    assert [12 * each["year"] + each["month"] for each in found] == list(range(12 * 2020 + 8, 12 * 2026 + 9))
    expected = [0] * len(found)
    for back in range(0, 72 * 31, 15):
        year, month = (int(part) for part in rfc3339((TODAY - back) * 24 * HOUR_MS).split("-")[:2])
        if (place := 12 * year + month - 1 - (12 * 2020 + 8)) >= 0:
            expected[place] += 1
    assert [each["active"] for each in found] == expected
    assert 0 not in expected


@pytest.mark.parametrize("start", ["2026-10", "2026-13", "2026-00", "2020-08", "2026", "2026-9", "202\u0666-01", ""])
async def test_a_month_that_cannot_be_answered_is_a_400_that_names_the_parameter(api: Api, start: str) -> None:
    response = await api.get(PATH, {"startDate": start})
    assert response.status_code == 400
    assert list(response.json()["details"]["parameters"]) == ["startDate"]


async def test_a_month_that_is_not_wholly_kept_is_refused_with_the_earliest(
    make_api: MakeApi, written: DirectoryWritten
) -> None:
    day_s = 86_400.0
    events = EventSettings(max_age=day_s, keep_hours=45 * day_s, keep_days=60 * day_s)
    api = make_api(settings=SETTINGS.model_copy(update={"events": events}))
    written.organization("acme")
    await written.write(api.store)
    response = await api.get(PATH, {"startDate": "2026-07"})
    assert (response.status_code, response.json()["details"]["earliest"]) == (400, "2026-08")
    assert [each["month"] for each in await rows(api)] == [7, 8]


async def test_as_of_is_the_lesser_of_usages_and_the_directorys(
    api: Api, written: DirectoryWritten, counted: Counted
) -> None:
    written.organization("acme")
    written.read_up_to_ms = NOW_HOUR * HOUR_MS
    for of_usage in (-1_000, 1_000):
        counted.read_up_to_ms = NOW_HOUR * HOUR_MS + of_usage
        counted.add(Use(user="ada", hour=NOW_HOUR, product=CHAT, amounts={"interactions": 1}))
        await counted.write(api.store)
        await written.write(api.store)
        response = await api.get(PATH)
        assert response.headers["Tidemark-As-Of"] == rfc3339(NOW_HOUR * HOUR_MS + min(of_usage, 0))

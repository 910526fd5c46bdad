import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.etags import is_held, weak_etag
from services.metrics_contract import CHAT
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, Api, bearer
from tests.support.counted import Counted, Use

ROOT = Path(__file__).parents[3]
DAY = NOW_HOUR // 24 * 24
ORGANIZATION = "/api/v1/organization/usage"
TEAM = "/api/v1/team/usage"
USER = "/api/v1/user/usage"
ETAG = weak_etag(b"content")


def asked(days: int = 1, more: dict[str, str] | None = None) -> dict[str, str]:
    return {
        "organizationId": "acme",
        "from": rfc3339((DAY - 24 * (days - 1)) * HOUR_MS),
        "to": rfc3339((DAY + 24) * HOUR_MS),
        "granularity": "daily",
    } | (more or {})


async def count(api: Api, interactions: int = 1, read_up_to_ms: int | None = None) -> None:
    counted = Counted(partitions=len(api.store.partitions), read_up_to_ms=read_up_to_ms)
    for user in ("ada", "bob"):
        counted.add(Use(user=user, team="core", hour=DAY, product=CHAT, amounts={"interactions": interactions}))
    for held in api.store.partitions:
        held.state = None
    await counted.write(api.store)


@pytest.mark.parametrize(
    "line",
    [
        ETAG,
        ETAG.removeprefix("W/"),
        "*",
        " * ",
        f'"other", {ETAG}',
        f'W/"other",{ETAG},"more"',
        f'"a,b", {ETAG}',
        f"  {ETAG}  ",
    ],
)
def test_a_tag_is_held_when_a_line_names_it_or_any(line: str) -> None:
    assert is_held(ETAG, [line])
    assert is_held(ETAG, ['"first"', line])


@pytest.mark.parametrize("line", ["", '"other"', "W/", '"', '"*"', "*, *", ETAG.strip('W/"'), ETAG.upper(), ETAG[:-1]])
def test_a_tag_is_not_held_by_what_does_not_name_it(line: str) -> None:
    assert not is_held(ETAG, [line])


def test_a_tag_is_not_held_without_a_line() -> None:
    assert not is_held(ETAG, [])


@given(st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=255)), max_size=4))
def test_no_line_is_an_error(lines: list[str]) -> None:
    assert is_held(ETAG, lines) in (True, False)


def test_a_tag_is_the_same_in_another_process() -> None:
    program = "from query_api.etags import weak_etag; print(weak_etag(b'content'), end='')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ETAG


@pytest.mark.parametrize(("path", "more"), [(ORGANIZATION, {}), (TEAM, {"teamId": "core"}), (USER, {"userId": "ada"})])
async def test_numbers_that_the_client_has_are_304_with_their_age_and_no_body(
    api: Api, path: str, more: dict[str, str]
) -> None:
    await count(api, read_up_to_ms=DAY * HOUR_MS)
    first = await api.get(path, asked(more=more))
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert first.headers["Tidemark-As-Of"] == first.json()["asOf"] == rfc3339(DAY * HOUR_MS)
    await count(api, read_up_to_ms=(DAY + 1) * HOUR_MS)
    second = await api.get(path, asked(more=more), bearer() | {"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["ETag"] == first.headers["ETag"]
    assert second.headers["Tidemark-As-Of"] == rfc3339((DAY + 1) * HOUR_MS)
    assert second.headers["Cache-Control"] == "private, no-cache"
    assert second.headers["Vary"] == "Accept-Encoding"
    assert "Content-Type" not in second.headers
    assert "X-Request-ID" in second.headers


async def test_unknown_freshness_has_no_header_in_a_304_either(api: Api) -> None:
    await count(api)
    response = await api.get(ORGANIZATION, asked(), bearer() | {"If-None-Match": "*"})
    assert response.status_code == 304
    assert "Tidemark-As-Of" not in response.headers


async def test_changed_numbers_have_another_tag_and_a_body(api: Api) -> None:
    await count(api)
    first = await api.get(ORGANIZATION, asked())
    await count(api, interactions=2)
    second = await api.get(ORGANIZATION, asked(), bearer() | {"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200
    assert second.headers["ETag"] != first.headers["ETag"]


async def test_every_question_has_a_tag_of_its_own(api: Api) -> None:
    await count(api, interactions=0)
    questions = [
        (ORGANIZATION, asked()),
        (ORGANIZATION, asked(2)),
        (ORGANIZATION, asked(more={"granularity": "all"})),
        (TEAM, asked(more={"teamId": "core"})),
        (USER, asked(more={"userId": "ada"})),
        (USER, asked(more={"userId": "bob"})),
    ]
    responses = await asyncio.gather(*[api.get(path, parameters) for path, parameters in questions])
    assert [response.status_code for response in responses] == [200] * len(questions)
    assert len({response.headers["ETag"] for response in responses}) == len(questions)


async def test_an_error_is_never_304(api: Api) -> None:
    any_tag = bearer() | {"If-None-Match": "*"}
    assert (await api.get(ORGANIZATION, asked(), any_tag)).status_code == 404
    assert (await api.get(ORGANIZATION, {}, any_tag)).status_code == 400
    assert (await api.get(ORGANIZATION, asked(), {"If-None-Match": "*"})).status_code == 401
    foreign = bearer("other") | {"If-None-Match": "*"}
    await count(api)
    assert (await api.get(TEAM, asked(more={"teamId": "core"}), foreign)).status_code == 403


async def test_other_answers_are_not_kept_by_a_cache(api: Api) -> None:
    for response in (await api.get(ORGANIZATION, asked()), await api.get("/openapi.json")):
        assert response.headers["Cache-Control"] == "no-store"
        assert "ETag" not in response.headers


async def test_gzip_changes_the_bytes_and_not_the_tag(api: Api) -> None:
    await count(api)
    plain = await api.get(ORGANIZATION, asked(30), bearer() | {"Accept-Encoding": "identity"})
    zipped = await api.get(ORGANIZATION, asked(30), bearer() | {"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert int(zipped.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 5
    assert zipped.json() == plain.json()
    assert zipped.headers["ETag"] == plain.headers["ETag"]
    assert zipped.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


async def test_a_small_answer_is_not_zipped(api: Api) -> None:
    response = await api.get("/nothing", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers

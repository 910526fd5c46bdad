"""Redis is stopped, continued, killed and started again while clients go on asking the query API."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from services.clock import now_ms
from services.identifiers import OrganizationId, UserId
from services.metrics_contract import CHAT, CODE_COMPLETIONS
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings, Settings
from services.tokens import Claims, Role, issue_token, token_key
from services.windows import HOUR_MS, rfc3339
from tests.support.api_process import PARTITIONS, ApiProcess
from tests.support.counted import Counted, Use
from tests.support.load import Answer, Load
from tests.support.ports import LOOPBACK
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

# Twice the connections that the API has to Redis, so that half of the requests wait for one.
CLIENTS = 32
SECONDS_MAX = 1.0
DAY = now_ms() // HOUR_MS // 24 * 24
PATH = "/api/v1/organization/usage?" + urlencode(
    {
        "organizationId": "acme",
        "from": rfc3339((DAY - 24 * 20) * HOUR_MS),
        "to": rfc3339((DAY + 24) * HOUR_MS),
        "granularity": "daily",
    }
)


def token() -> str:
    claims = Claims(subject=UserId("ada"), organization=OrganizationId("acme"), role=Role.ADMIN)
    return issue_token(claims, token_key(Settings().api), issued_s=now_ms() // 1000, lifetime_s=600)


async def write_usage(redis_url: str) -> None:
    counted = Counted(partitions=PARTITIONS, read_up_to_ms=DAY * HOUR_MS)
    for user in range(50):
        hour = DAY - 24 * (user % 20)
        amounts = {"completions": user, "charsCompleted": 10 * user, "keystrokes": 7}
        counted.add(Use(user=f"user-{user}", hour=hour, product=CODE_COMPLETIONS, amounts=amounts))
        counted.add(Use(user=f"user-{user}", hour=hour, product=CHAT, amounts={"interactions": 2}))
    client = connect(RedisSettings(url=redis_url))
    try:
        await counted.write(RedisCounterStore(client, PARTITIONS))
    finally:
        await client.aclose()


async def readiness(api: ApiProcess, status: int) -> None:
    """Wait until `/readyz` answers so."""
    deadline = time.monotonic() + 20
    async with httpx.AsyncClient(timeout=10) as client:
        while (await client.get(f"{api.health}/readyz")).status_code != status:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


def at_least(number: int, status: int) -> Callable[[Sequence[Answer]], bool]:
    return lambda answers: sum(answer.status == status for answer in answers) >= number


def without_as_of(body: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(body).items() if name != "asOf"}


def what_is_wrong(answer: Answer, known: dict[str, Any]) -> str | None:
    if answer.seconds >= SECONDS_MAX:
        return f"{answer.status} after {answer.seconds:.2f} s"
    match answer.status:
        case 200:
            return None if without_as_of(answer.body) == known else "other numbers"
        case 503:
            waits = int(answer.headers.get("retry-after", "0")) >= 1
            return None if waits and json.loads(answer.body)["error"] == "UNAVAILABLE" else "another 503"
        case status:
            return f"{status}: {answer.body!r}"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("variables", [{}, {"TIDEMARK_API__RATE_LIMIT": "100000/second"}], ids=["unlimited", "limited"])
async def test_every_answer_is_whole_or_503_within_a_second(tmp_path: Path, variables: dict[str, str]) -> None:
    with RedisServer.start_new() as redis:
        await write_usage(redis.url)
        api = ApiProcess(redis.url, tmp_path, **variables)
        try:
            api.wait()
            await readiness(api, 200)
            async with Load(LOOPBACK, api.port, PATH, {"Authorization": f"Bearer {token()}"}, clients=CLIENTS) as load:
                await load.until(at_least(3 * CLIENTS, 200))
                # All clients come at once to a process that just began: the first answers may be 503.
                known = without_as_of(next(answer.body for answer in load.answers if answer.status == 200))
                assert sum(block["activeUsers"] for block in known["usage"]["data"]) > 0

                os.kill(redis.pid, signal.SIGSTOP)
                await load.until(at_least(3 * CLIENTS, 503))
                await readiness(api, 503)
                os.kill(redis.pid, signal.SIGCONT)
                await load.until(at_least(3 * CLIENTS, 200))
                await readiness(api, 200)

                redis.kill()
                await load.until(at_least(3 * CLIENTS, 503))
                await readiness(api, 503)
                await asyncio.to_thread(redis.start)
                await load.until(at_least(3 * CLIENTS, 200))
                await readiness(api, 200)

                calm = len(load.answers)
                await load.until(lambda answers: len(answers) >= 3 * CLIENTS)
        finally:
            log = api.stop()
    assert {answer.status for answer in load.answers[calm:]} == {200}
    wrong = Counter(wrong for answer in load.answers if (wrong := what_is_wrong(answer, known)) is not None)
    assert not wrong
    assert "Traceback" not in log

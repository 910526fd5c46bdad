"""Row 38: the query API while workers die and Redis is down: whole numbers that never go back, or a plain 503."""

import asyncio
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest

from services.clock import now_ms
from tests.faults.load import seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.load import Answer, Load
from tests.support.oracle import DAY_MS, Oracle, to_ms, to_text
from tests.support.ports import LOOPBACK, free_ports
from tests.support.redis_server import RedisServer
from tests.support.usage_answers import served

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 6_000
ANSWERS = 5
"""Of a kind that are waited for in each phase."""

ORGANIZATION = "acme"
BEGIN_MS = (now_ms() // DAY_MS - 30) * DAY_MS
END_MS = BEGIN_MS + 32 * DAY_MS
RANGE = {"organizationId": ORGANIZATION, "granularity": "all", "from": to_text(BEGIN_MS), "to": to_text(END_MS)}
PATH = f"/api/v1/organization/usage?{urlencode(RANGE)}"
TIMES = {"api__request_timeout": "5s", "api__redis_timeout": "3s"}
"""Wide: two cores carry the whole system and its restarts, and this is not about speed."""


async def test_answers_are_whole_while_workers_die_and_503_while_redis_is_down(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    port = free_ports(1)[0]
    deployment = await asyncio.to_thread(deploy, api__port=str(port), **TIMES)
    ingest, aggregator, api = await asyncio.to_thread(deployment.start, "ingest", "aggregator", "api")
    with deployment.client(ORGANIZATION) as client:
        headers = {"Authorization": client.headers["Authorization"]}
    # One client: what it is told comes in the order in which it was read.
    async with Load(LOOPBACK, port, PATH, headers, clients=1) as load:
        with Publisher(deployment.settings, seeded_load(38, EVENTS, 4), rate=600) as publisher:
            await load.until(at_least(200))  # 404 until the first event of the organization is counted
            known_at = len(load.answers)
            for worker in (ingest, aggregator):
                worker.kill()
                await asyncio.to_thread(worker.await_exit)
                await load.until(at_least(200))
                await asyncio.to_thread(worker.await_ready)
            killed_at = len(load.answers)
            await asyncio.to_thread(redis.kill_when_written)
            await load.until(at_least(503))
            await asyncio.to_thread(redis.start)
            await load.until(at_least(200))
            back_at = len(load.answers)
            aggregator.kill()
            await asyncio.to_thread(aggregator.await_exit, 2)
            published = await asyncio.to_thread(publisher.wait)
        await asyncio.to_thread(assert_right, deployment, published)
        await load.until(at_least(200))
    answers = load.answers
    assert {answer.status for answer in answers[known_at:killed_at] + answers[back_at:]} == {200}
    assert_plain_refusals([answer for answer in answers[killed_at:back_at] if answer.status != 200])
    assert_never_back([json.loads(answer.body) for answer in answers if answer.status == 200])
    blocks = json.loads(answers[-1].body)["usage"]["data"]
    # Whether a block is complete is a matter of time, of which the oracle knows nothing.
    assert [{**block, "complete": None} for block in blocks] == expected(published)
    assert "Traceback" not in api.written()


def at_least(status: int) -> Callable[[Sequence[Answer]], bool]:
    return lambda answers: sum(answer.status == status for answer in answers) >= ANSWERS


def assert_plain_refusals(answers: Sequence[Answer]) -> None:
    assert len(answers) >= ANSWERS
    assert {answer.status for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert {json.loads(answer.body)["error"] for answer in answers} == {"UNAVAILABLE"}


def assert_never_back(bodies: Sequence[dict[str, Any]]) -> None:
    """Fail where a number or asOf fell, or asOf lay in the future: a sum over a part of the cells would."""
    times = [to_ms(body["asOf"]) for body in bodies if body.get("asOf") is not None]
    assert times
    assert times[-1] <= now_ms()
    assert times == sorted(times)
    for earlier, later in pairwise(map(numbers, bodies)):
        assert all(later.get(name, 0) >= number for name, number in earlier.items()), (earlier, later)


def numbers(body: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Return the counts in an answer; ratios may fall."""
    blocks = [(name, value) for block in body["usage"]["data"] for name, value in block.items()]
    counts = {("", name): value for name, value in blocks if isinstance(value, int)}
    for product, value in blocks:
        if isinstance(value, dict):
            counts |= {(product, name): number for name, number in value.items() if isinstance(number, int)}
    return counts


def expected(published: Sequence[Published]) -> list[dict[str, Any]]:
    oracle = Oracle()
    for record in published:
        oracle.add(record.value, record.broker_ms)
    blocks = oracle.blocks((ORGANIZATION, None, None), "all", BEGIN_MS, END_MS, now_ms=now_ms())
    return [served(block) | {"complete": None} for block in blocks]

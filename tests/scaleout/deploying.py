"""A deployment that ends with its block, and what the tests of upgrades ask its query API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from services.clock import now_ms
from tests.faults.publisher import Published
from tests.faults.verdict import limits_of
from tests.support.deployment import Deployment
from tests.support.oracle import DAY_MS, Oracle, to_text
from tests.support.usage_answers import served

ORGANIZATION = "acme"
BEGIN_MS = (now_ms() // DAY_MS - 30) * DAY_MS
END_MS = BEGIN_MS + 32 * DAY_MS
RANGE = {"organizationId": ORGANIZATION, "granularity": "all", "from": to_text(BEGIN_MS), "to": to_text(END_MS)}
PATH = f"/api/v1/organization/usage?{urlencode(RANGE)}"
TIMES = {"api__request_timeout": "5s", "api__redis_timeout": "3s"}
"""Wide: two cores carry all processes, and these tests are not about speed."""


@contextmanager
def deployed(directory: Path, kafka: str, redis: str, **settings: str) -> Iterator[Deployment]:
    """Yield a deployment with topics of its own; its processes are killed at the end."""
    directory.mkdir(exist_ok=True)
    deployment = Deployment(directory, kafka, redis, **(TIMES | settings))
    try:
        yield deployment.begin()
    finally:
        deployment.close()


def ask(deployment: Deployment, port: int) -> httpx.Response:
    """Ask one process of the API for all usage of an organization."""
    with deployment.client(ORGANIZATION) as client:
        return client.get(f"http://127.0.0.1:{port}{PATH}")


def blocks_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return an answer's blocks; whether one is complete is a matter of time, of which the oracle knows nothing."""
    assert answer.status_code == 200, answer.text
    return [{**block, "complete": None} for block in answer.json()["usage"]["data"]]


def counts_in(blocks: Sequence[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Return the counts in an answer by product and name; ratios may fall, and are left out."""
    counts: dict[tuple[str, str], int] = {}
    for block in blocks:
        for product, numbers in block.items():
            if isinstance(numbers, dict):
                counts |= {(product, name): number for name, number in numbers.items() if isinstance(number, int)}
    return counts


def expected_blocks(deployment: Deployment, published: Sequence[Published]) -> list[dict[str, Any]]:
    """Return what the API must answer to `ask` when all of this is counted."""
    oracle = Oracle()
    for record in published:
        oracle.add(record.value, record.broker_ms, limits_of(deployment.settings))
    blocks = oracle.blocks((ORGANIZATION, None, None), "all", BEGIN_MS, END_MS, now_ms=now_ms())
    return [served(block) | {"complete": None} for block in blocks]

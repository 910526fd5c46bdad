"""Entity tags over HTTP: the same from every process, and a 304 without a body that leaves the connection usable."""

from pathlib import Path

import httpx
import pytest

from services.clock import now_ms
from services.identifiers import OrganizationId, UserId
from services.metrics_contract import CHAT
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings, Settings
from services.tokens import Claims, Role, issue_token, token_key
from services.windows import HOUR_MS, rfc3339
from tests.support.api_process import PARTITIONS, PATIENT, ApiProcess
from tests.support.counted import Counted, Use

pytestmark = pytest.mark.integration

DAY = now_ms() // HOUR_MS // 24 * 24
PATH = "/api/v1/organization/usage"
ASKED = {
    "organizationId": "acme",
    "from": rfc3339((DAY - 24 * 30) * HOUR_MS),
    "to": rfc3339((DAY + 24) * HOUR_MS),
    "granularity": "daily",
}


async def write_usage(redis_url: str) -> None:
    counted = Counted(partitions=PARTITIONS, read_up_to_ms=DAY * HOUR_MS)
    for user in range(20):
        counted.add(Use(user=f"user-{user}", hour=DAY - 24 * user, product=CHAT, amounts={"interactions": user}))
    client = connect(RedisSettings(url=redis_url))
    try:
        await counted.write(RedisCounterStore(client, PARTITIONS))
    finally:
        await client.aclose()


def bearer() -> dict[str, str]:
    claims = Claims(subject=UserId("ada"), organization=OrganizationId("acme"), role=Role.ADMIN)
    token = issue_token(claims, token_key(Settings().api), issued_s=now_ms() // 1000, lifetime_s=600)
    return {"Authorization": f"Bearer {token}"}


async def test_a_tag_from_one_process_is_held_by_another(redis_url: str, tmp_path: Path) -> None:
    await write_usage(redis_url)
    directories = [tmp_path / "one", tmp_path / "other"]
    processes = []
    try:
        for directory in directories:
            directory.mkdir()
            processes.append(ApiProcess(redis_url, directory, **PATIENT))
        for process in processes:
            process.wait()
        one, other = (
            httpx.AsyncClient(base_url=process.url, headers=bearer(), params=ASKED, timeout=10) for process in processes
        )
        async with one, other:
            first = await one.get(PATH)
            assert (first.status_code, first.headers["Content-Encoding"]) == (200, "gzip")
            held = {"If-None-Match": first.headers["ETag"]}
            for _ in range(3):
                second = await other.get(PATH, headers=held)
                assert (second.status_code, second.content) == (304, b"")
                assert second.headers["Tidemark-As-Of"] == first.json()["asOf"]
                assert (await other.get(PATH)).json() == first.json()
    finally:
        for process in processes:
            process.stop()

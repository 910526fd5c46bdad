"""The query API as a process, over a real Redis or Valkey."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from services.clock import now_ms
from services.counters import PartitionState
from services.identifiers import Epoch, FrameOffset, OrganizationId, PartitionId, UserId
from services.metrics_contract import AGENT, CHAT
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings, Settings
from services.tokens import Claims, Role, issue_token, token_key
from services.windows import HOUR_MS, rfc3339
from tests.support.answering_server import AnsweringServer
from tests.support.api_process import PARTITIONS, PATIENT, ROOT, ApiProcess, environment
from tests.support.counted import Counted, Use
from tests.support.ports import LOOPBACK, free_ports
from tests.support.redis_server import RedisServer
from tests.support.signing import ec_key, jwk, jwks, rsa_key, token

pytestmark = pytest.mark.integration

# Read once: midnight may pass between what is written and what is asked for.
DAY = now_ms() // HOUR_MS // 24 * 24


@contextmanager
def running(redis_url: str, directory: Path, **variables: str) -> Iterator[ApiProcess]:
    api = ApiProcess(redis_url, directory, **{**PATIENT, **variables})
    try:
        api.wait()
        yield api
    finally:
        api.stop()


def run_to_its_end(redis_url: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "query_api"],
        cwd=ROOT,
        env={**os.environ, **environment(redis_url, free_ports(1)[0], directory / "health"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def headers(organization: str = "acme") -> dict[str, str]:
    claims = Claims(subject=UserId("ada"), organization=OrganizationId(organization), role=Role.ADMIN)
    token = issue_token(claims, token_key(Settings().api), issued_s=now_ms() // 1000, lifetime_s=60)
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def asking(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, timeout=10) as client:
        yield client


def today() -> dict[str, str]:
    return {
        "organizationId": "acme",
        "from": rfc3339((DAY - 24) * HOUR_MS),
        "to": rfc3339((DAY + 24) * HOUR_MS),
        "granularity": "daily",
    }


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def write(counted: Counted, redis_url: str) -> None:
    client = connect(RedisSettings(url=redis_url))
    try:
        await counted.write(RedisCounterStore(client, PARTITIONS))
    finally:
        await client.aclose()


def some_usage(partitions: int = PARTITIONS) -> Counted:
    counted = Counted(partitions=partitions, read_up_to_ms=DAY * HOUR_MS)
    for user in range(300):
        counted.add(Use(user=f"user-{user}", team="core", hour=DAY, product=CHAT, amounts={"interactions": 2}))
    counted.add(Use(user="user-7", hour=DAY - 3, product=AGENT, amounts={"interactions": 1}))
    return counted


async def test_usage_in_redis_is_served_over_http(redis_url: str, tmp_path: Path) -> None:
    await write(some_usage(), redis_url)
    with running(redis_url, tmp_path) as api:
        async with asking(api) as client:
            response = await client.get("/api/v1/organization/usage", params=today(), headers=headers())
            assert response.status_code == 200
            body = response.json()
            assert response.headers["Tidemark-As-Of"] == body["asOf"]
            yesterday, now = body["usage"]["data"]
            assert (yesterday["activeUsers"], yesterday["agent"]["activeUsers"]) == (1, 1)
            assert (now["activeUsers"], now["chat"]["interactions"]) == (300, 600)
            everything = today() | {"granularity": "all", "teamId": "core", "userId": "user-7"}
            team = (await client.get("/api/v1/team/usage", params=everything, headers=headers())).json()
            assert team["usage"]["data"][0]["activeUsers"] == 300
            user = (await client.get("/api/v1/user/usage", params=everything, headers=headers())).json()
            assert user["usage"]["data"][0]["chat"]["interactions"] == 2
            assert user["usage"]["data"][0]["agent"]["interactions"] == 1
            unknown = today() | {"organizationId": "nobody"}
            answer = await client.get("/api/v1/organization/usage", params=unknown, headers=headers("nobody"))
            assert answer.status_code == 404
            page = (await client.get(f"{api.health}/metrics")).text
        assert 'tidemark_api_requests_total{route="/api/v1/organization/usage",status="200"} 1.0' in page

        async def kafka_was_looked_for() -> bool:
            return "lag_unknown" in (tmp_path / "api.log").read_text()

        await eventually(kafka_was_looked_for)
        log = api.stop()
    # There is no Kafka: that is said once, and nothing but lag is unknown for it.
    assert sorted(json.loads(line)["event"] for line in log.splitlines()) == ["lag_unknown", "listening"]
    assert not (tmp_path / "health").exists()


async def test_a_redis_that_comes_and_goes_changes_readiness_and_nothing_else(tmp_path: Path) -> None:
    with RedisServer.start_new() as redis:
        redis.stop()
        with running(redis.url, tmp_path) as api:
            async with asking(api) as client:

                async def is_ready() -> bool:
                    return (await client.get(f"{api.health}/readyz")).status_code == 200

                async def is_away() -> bool:
                    return not await is_ready()

                async def status() -> int:
                    asked = client.get("/api/v1/organization/usage", params=today(), headers=headers())
                    return (await asked).status_code

                await eventually(is_away)
                answer = await client.get(f"{api.health}/readyz")
                assert list(answer.json()) == ["redis"]
                assert await status() == 503
                redis.start()
                await eventually(is_ready)
                assert await status() == 404
                redis.kill()
                assert await status() == 503
                await eventually(is_away)
                assert (await client.get(f"{api.health}/healthz")).status_code == 200
                redis.start()
                await eventually(is_ready)
                assert await status() == 404


async def test_tokens_of_another_issuer_are_checked_with_the_keys_at_its_address(
    redis_url: str, tmp_path: Path
) -> None:
    first, second = rsa_key("rsa-1"), ec_key()
    with (
        AnsweringServer(jwks(jwk(first, "1"))) as issuer,
        running(redis_url, tmp_path, TIDEMARK_API__JWKS_URL=issuer.url) as api,
    ):
        async with asking(api) as client:

            async def status(text: str) -> int:
                sent = {"Authorization": f"Bearer {text}"}
                return (await client.get("/api/v1/organization/usage", params=today(), headers=sent)).status_code

            async def accepts_first() -> bool:
                return await status(token(first, "1")) == 404

            async def accepts_second() -> bool:
                return await status(token(second, "2")) == 404

            await eventually(accepts_first)
            assert issuer.requests == 1
            assert await status(headers()["Authorization"].removeprefix("Bearer ")) == 401
            issuer.body = jwks(jwk(second, "2"))
            await eventually(accepts_second)
            for number in range(20):
                assert await status(token(first, f"unknown-{number}")) == 401
            assert issuer.requests == 2
            issuer.close()
            assert await accepts_second()
            assert not await accepts_first()


async def test_an_issuer_that_never_ends_its_answer_holds_neither_start_nor_stop_up(
    redis_url: str, tmp_path: Path
) -> None:
    with AnsweringServer() as issuer:
        issuer.drip = True
        issuer.go.clear()
        with running(redis_url, tmp_path, TIDEMARK_API__JWKS_URL=issuer.url) as api:
            async with asking(api) as client:
                sent = {"Authorization": f"Bearer {token(rsa_key())}"}
                answer = await client.get("/api/v1/organization/usage", params=today(), headers=sent)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
                assert (await client.get(f"{api.health}/readyz")).status_code == 200
            started_s = time.monotonic()
            log = api.stop()
            assert time.monotonic() - started_s < 10
    events = {json.loads(line)["event"] for line in log.splitlines()}
    assert events <= {"listening", "jwks_unavailable", "lag_unknown"}


async def test_counters_of_another_number_of_partitions_end_it_with_a_sentence(redis_url: str, tmp_path: Path) -> None:
    client = connect(RedisSettings(url=redis_url))
    state = PartitionState(
        epoch=Epoch(1), applied_offset=FrameOffset(-1), frame_id=None, partitions=32, fingerprint="test"
    )
    await RedisCounterStore(client, PARTITIONS).begin(PartitionId(0), state)
    await client.aclose()
    ended = run_to_its_end(redis_url, tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")
    (line,) = ended.stderr.splitlines()
    assert "set it to 32" in line


@pytest.mark.parametrize(
    ("variables", "code", "sentence"),
    [
        ({"TIDEMARK_API__PORT": "many"}, 2, "TIDEMARK_API__PORT"),
        ({"TIDEMARK_API__HOST": "192.0.2.1"}, 3, "cannot listen on 192.0.2.1"),
        ({"TIDEMARK_API__JWT_SECRET": "short"}, 2, "at least 32 bytes"),
        ({"TIDEMARK_API__JWT_KEY_FILE": "no-such-file.pem"}, 2, "TIDEMARK_API__JWT_KEY_FILE: no-such-file.pem"),
        ({"TIDEMARK_API__JWT_KEY_FILE": "pyproject.toml"}, 2, "TIDEMARK_API__JWT_KEY_FILE: pyproject.toml"),
        ({"TIDEMARK_API__JWKS_URL": "file:///etc/passwd"}, 2, "TIDEMARK_API__JWKS_URL"),
    ],
)
def test_what_cannot_work_ends_it_with_one_sentence(
    tmp_path: Path, variables: dict[str, str], code: int, sentence: str
) -> None:
    ended = run_to_its_end(f"redis://{LOOPBACK}:1/0", tmp_path, **variables)
    assert (ended.returncode, ended.stdout) == (code, "")
    (line,) = ended.stderr.splitlines()
    assert sentence in line

"""Row 20: a Redis that may evict is refused at the start, however much of its configuration it shows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.counters import StoreRefused
from services.redis_checks import check_server
from services.redis_client import connect
from services.settings import RedisSettings
from tests.faults.redis_states import REFUSED, client
from tests.support.ports import LOOPBACK
from tests.support.redis_server import RedisServer
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

ORDERS = ("lru", "lfu", "random")
EVICTING = [*(f"{keys}-{order}" for keys in ("allkeys", "volatile") for order in ORDERS), "volatile-ttl"]
RENAMED = ("--rename-command", "CONFIG", "")
POLICY = "--maxmemory-policy"


@pytest.fixture(params=["CONFIG", "INFO, CONFIG is renamed", "INFO, CONFIG is forbidden"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that evicts, and says so in one way only."""
    extra = RENAMED if "renamed" in request.param else ()
    server = RedisServer.start_new(arguments=[POLICY, "allkeys-lru", *extra])
    yield server
    server.close()


@pytest.fixture
def url(request: pytest.FixtureRequest, server: RedisServer) -> str:
    if "forbidden" not in request.node.callspec.params["server"]:
        return server.url
    with client(server) as asked:
        asked.acl_setuser(
            "worker", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@all"], commands=["-config"]
        )
    return f"redis://worker:pw@{LOOPBACK}:{server.port}/0"


def test_the_aggregator_does_not_start(server: RedisServer, url: str, tmp_path: Path) -> None:
    worker = Worker("aggregator", 0, tmp_path, {"TIDEMARK_REDIS__URL": url}, restarts=False)
    try:
        worker.start()
        died = worker.await_exit()
    finally:
        worker.close()
    assert died.code == REFUSED
    assert died.last_line == (
        "Redis has maxmemory-policy allkeys-lru: it would throw counters away and the numbers would be wrong;"
        " set it to noeviction"
    )
    with client(server) as asked:
        assert asked.dbsize() == 0


async def test_every_policy_that_evicts_is_refused_and_no_other(redis: RedisServer) -> None:
    asked = connect(RedisSettings(url=redis.url))
    try:
        for policy in EVICTING:
            await asked.config_set("maxmemory-policy", policy)
            with pytest.raises(StoreRefused, match=policy):
                await check_server(asked)
        await asked.config_set("maxmemory-policy", "noeviction")
        await check_server(asked)
    finally:
        await asked.aclose()

"""Row 22: a counter is exact up to 2^53 - 1, through Redis, the export and the API."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from services.identifiers import OrganizationId
from services.keyspace import partition_of, slot_prefix, tags
from services.metrics_contract import COUNTER_MAX
from tests.faults.large_counters import CHARS, HOUR, raise_counters
from tests.faults.load import Planned
from tests.faults.publisher import Publisher
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.event_lines import event_line
from tests.support.oracle import HOUR_MS
from tests.support.ports import free_ports
from tests.support.redis_server import RedisServer
from tests.support.usage_answers import ask

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

SLOT = slot_prefix(tags(PARTITIONS)[partition_of(OrganizationId("acme"), PARTITIONS)])
SCOPES = (("acme", None, None), ("acme", "core", None), ("acme", None, "ann"))
ODD = 2**53 - 3


def test_a_large_sum_is_told_to_the_last_digit(deploy: Callable[..., Deployment], redis: RedisServer) -> None:
    deployment = deploy(api__port=str(free_ports(1)[0]))
    _, first = deployment.start("ingest", "aggregator")
    count(deployment, "one", 1)
    assert first.stop() == 0
    raised = raise_counters(redis, SLOT, ODD - 7)
    second, _ = deployment.start("aggregator", "api")
    count(deployment, "two", 7)
    assert_told(deployment, ODD, raised)
    count(deployment, "three", COUNTER_MAX - ODD)
    assert_told(deployment, COUNTER_MAX, raised)
    assert not second.metric("tidemark_saturated_counters_total")


def assert_told(deployment: Deployment, chars: int, cells: int) -> None:
    """Every cell has this sum, in the export and in the API's answers."""
    assert [row["metrics"]["chat"][CHARS] for row in deployment.export()] == [chars] * cells
    assert str(chars) in (deployment.directory / "export.ndjson").read_text()
    with deployment.client("acme") as client:
        for scope in SCOPES:
            for granularity in ("hourly", "daily", "all"):
                [block] = filled(ask(client, scope, granularity, HOUR, HOUR + HOUR_MS))
                assert block["chat"][CHARS] == chars


def count(deployment: Deployment, event_id: str, chars: int) -> None:
    line = event_line(event_id, HOUR, data={"interactions": 1, CHARS: chars})
    with Publisher(deployment.settings, [Planned(partition=0, value=line)]) as publisher:
        publisher.wait()
    deployment.catch_up()


def filled(blocks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [block for block in blocks if block.get("chat", {}).get(CHARS)]

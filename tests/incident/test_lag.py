"""`tidemark lag` and the operators' port beside kcat, while everything works and while the aggregator is frozen."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.clock import now_ms
from services.identifiers import UserId
from services.tokens import issue_ops_token, token_key
from tests.support import kcat
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.event_lines import event_line
from tests.support.pipeline import await_condition
from tests.support.ports import free_ports
from tests.support.servers import Broker
from tests.support.worker import Worker

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

EVENT_PARTITIONS = 2
ON_THEIR_WAY_MAX = 5
"""Frames of so many seconds: a busy machine applies none for a while."""

Rows = Mapping[tuple[str, int], dict[str, Any]]


@pytest.fixture
def deployment(kafka: Broker, redis_url: str, tmp_path: Path) -> Iterator[Deployment]:
    kcat.demand_kcat()
    settings = {"topics__events_partitions": str(EVENT_PARTITIONS), "api__ops_interval": "1s"}
    made = Deployment(tmp_path, kafka.bootstrap, redis_url, api__port=str(free_ports(1)[0]), **settings).begin()
    yield made
    made.close()


def publish(deployment: Deployment, name: str, count: int) -> None:
    file = deployment.directory / f"{name}.ndjson"
    lines = [event_line(f"{name}-{n}", now_ms(), organizationid=f"org-{n % 20}") for n in range(count)]
    file.write_bytes(b"\n".join(lines) + b"\n")
    deployment.run("publish", file)


def by_partition(rows: list[dict[str, Any]]) -> Rows:
    return {(row["topic"], row["partition"]): row for row in rows}


def lag(deployment: Deployment, *options: str, code: int = 0) -> Rows:
    return by_partition(json.loads(deployment.run("lag", "--json", *options, code=code).out))


def ops_lag(deployment: Deployment, api: Worker) -> dict[str, Any]:
    key = token_key(deployment.settings.api)
    token = issue_ops_token(UserId("tests"), key, issued_s=now_ms() // 1000, lifetime_s=60)
    address = (deployment.directory / f"{api.name}.address").read_text().strip()
    answer = httpx.get(f"http://{address}/ops/lag", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def all_ends(deployment: Deployment) -> dict[tuple[str, int], int]:
    topics, bootstrap = deployment.settings.topics, deployment.settings.kafka.bootstrap_servers
    sizes = {topics.events: EVENT_PARTITIONS, topics.directory: 1, topics.frames: PARTITIONS}
    return {
        (topic, partition): end
        for topic, size in sizes.items()
        for partition, end in kcat.ends(bootstrap, topic, size).items()
    }


def assert_agrees_with_kcat(deployment: Deployment, applied: int) -> None:
    """Everything that was published is applied; only frames without events, one a second, are on their way."""
    events, frames = deployment.settings.topics.events, deployment.settings.topics.frames
    before, found, after = all_ends(deployment), lag(deployment, "--rates", "5"), all_ends(deployment)
    assert found.keys() == before.keys()
    for source, row in found.items():
        assert before[source] <= row["end"] <= after[source], row
    for partition in range(EVENT_PARTITIONS):
        row = found[events, partition]
        assert (row["end"], row["lag"], row["age_seconds"], row["state"]) == (after[events, partition], 0, 0, "ok")
        assert row["owner"].startswith("tidemark-ingest-")
    assert sum(found[events, partition]["applied"] for partition in range(EVENT_PARTITIONS)) == applied
    for partition in range(PARTITIONS):
        row = found[frames, partition]
        assert row["owner"].startswith("tidemark-aggregator-")
        assert row["lag"] <= ON_THEIR_WAY_MAX
        assert 0.5 < row["rate_in"] < 4


def assert_stuck(deployment: Deployment, waiting: int) -> None:
    """What waits is as much and as old as kcat says, and it does not move."""
    events, frames = deployment.settings.topics.events, deployment.settings.topics.frames
    asked_ms = now_ms()
    found = lag(deployment, "--rates", "6", "--max-lag", "0", code=1)
    answered_ms, ends = now_ms(), all_ends(deployment)
    for partition in range(EVENT_PARTITIONS):
        row = found[events, partition]
        assert (row["end"], row["lag"]) == (ends[events, partition], ends[events, partition] - row["applied"])
        assert row["lag"] > 0
        assert row["state"] == "stalled"
        since_ms = kcat.timestamp_ms(deployment.settings.kafka.bootstrap_servers, events, partition, row["applied"])
        assert asked_ms - since_ms <= row["age_seconds"] * 1000 <= answered_ms - since_ms
    assert sum(found[events, partition]["lag"] for partition in range(EVENT_PARTITIONS)) == waiting
    assert all(found[frames, partition]["state"] in {"stalled", "stopped"} for partition in range(PARTITIONS))


def test_lag_agrees_with_kcat_and_tells_a_frozen_aggregator_from_a_busy_one(deployment: Deployment) -> None:
    _, aggregator, api = deployment.start("ingest", "aggregator", "api")
    events, frames = deployment.settings.topics.events, deployment.settings.topics.frames
    publish(deployment, "first", 400)
    deployment.catch_up()
    assert_agrees_with_kcat(deployment, applied=400)

    aggregator.freeze()
    publish(deployment, "second", 60)
    assert_stuck(deployment, waiting=60)
    # Its session over, nobody has the frames; the API says so to operators, and is ready all the same.
    await_condition(
        lambda: api.metric("tidemark_lag_state", topic=frames, state="stopped") == PARTITIONS,
        "the API's metrics say that the frames are stopped",
        seconds=60,
    )
    told = by_partition(ops_lag(deployment, api)["lag"])
    assert {told[frames, partition]["owner"] for partition in range(PARTITIONS)} == {"nobody"}
    assert api.metric("tidemark_lag_records", topic=events) == 60
    assert (api.metric("tidemark_freshness_seconds", partition="0") or 0) > 5
    assert api.is_ready()

"""`tidemark up` on a Redis Cluster with a canary and rates, and every command that reads or changes what lies there."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.keyspace import state_key, tags
from services.redis_slots import slot_of
from tests.support.comparison import compare
from tests.support.event_lines import event_line
from tests.support.oracle import Oracle
from tests.support.pipeline import PipelineUnderTest, running_pipeline
from tests.support.redis_cluster import RedisCluster
from tests.support.servers import Broker
from tests.support.usage_answers import differing_answers

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(500)]

PARTITIONS = 8
EVENTS = 4_000
CANARY = "tidemark-canary"
SETTINGS: dict[str, Any] = {
    "topics__frames_partitions": str(PARTITIONS),
    "api__rate_limit": "1000/second per token, 1000/second per organization",
    "canary__enabled": "true",
    "canary__interval": "1s",
    "canary__lookback": "0s",
}


def test_every_command_works_on_a_cluster(tmp_path: Path, kafka: Broker, redis_cluster: RedisCluster) -> None:
    options = ("--aggregators", "2", "--ingest", "2")
    with running_pipeline(tmp_path, kafka.bootstrap, redis_cluster.url, *options, **SETTINGS) as pipeline:
        counted = publish(pipeline)
        check_counters(pipeline, counted)
        check_listing_waits_for_a_slot(pipeline, redis_cluster)
        check_questions(pipeline)
        check_keys(pipeline)
        check_verify(pipeline)
        pipeline.run("rebuild", "--yes")
        check_verify(pipeline)
        check_counters(pipeline, counted)


def publish(pipeline: PipelineUnderTest) -> Oracle:
    """Publish simulated events and one that is too old; return what counts."""
    file = pipeline.directory / "events.ndjson"
    pipeline.run("simulate", "--seed", "8", "--events", str(EVENTS), "--out", file)
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([*lines, event_line("too old", 0), b""]))
    pipeline.publish(file)
    pipeline.catch_up()
    return Oracle(lines)


def check_counters(pipeline: PipelineUnderTest, counted: Oracle) -> None:
    rows = [row for row in pipeline.export() if not row["organization"].startswith(CANARY)]
    compared = compare(rows, counted.rows())
    assert compared.equal, str(compared)
    scopes = sorted(counted.scopes(), key=str)[::40]
    assert len(scopes) > 5
    assert differing_answers(pipeline, counted, scopes, *counted.span_ms()) == []


def check_listing_waits_for_a_slot(pipeline: PipelineUnderTest, cluster: RedisCluster) -> None:
    """While a slot is on its way an export is refused: it would leave out what lies on the other node."""
    move = cluster.moving(slot_of(state_key(tags(PARTITIONS)[5])))
    assert move.move(3) == 3
    refused = pipeline.run("counters", "export", "--out", pipeline.directory / "partial.ndjson", code=3)
    assert "is on its way from one node to another" in refused.err
    move.end()


def check_questions(pipeline: PipelineUnderTest) -> None:
    assert json.loads(pipeline.run("lag", "--json").out)
    assert json.loads(pipeline.run("ledger", "--json").out)["alarms"] == []
    assert len(pipeline.run("dead-letters", "list", "--json").out.splitlines()) == 1
    first = json.loads((pipeline.directory / "events.ndjson").read_bytes().splitlines()[0])
    asked = ("--organization", first["organizationid"], "--source", first["source"], "--id", first["id"])
    assert json.loads(pipeline.run("trace", *asked, "--json").out)["verdict"] == "accepted"
    window = ("--organization", first["organizationid"], "--window", "day", "--start", first["time"])
    pipeline.run("counters", "show", *window)


def check_keys(pipeline: PipelineUnderTest) -> None:
    made = json.loads(pipeline.run("api-key", "create", "--organization", "acme", "--json").out)
    assert made["id"] in pipeline.run("api-key", "list").out
    pipeline.run("api-key", "revoke", made["id"])
    assert made["id"] not in pipeline.run("api-key", "list").out


def check_verify(pipeline: PipelineUnderTest) -> None:
    found = json.loads(pipeline.run("verify", "--json", "--redis-share", "1").out)
    assert (found["partitions"], found["differing"], found["unverified"]) == (PARTITIONS, 0, [])
    assert found["cells"] > 1_000

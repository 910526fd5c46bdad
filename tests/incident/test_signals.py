"""What a running pipeline tells: the series that dashboards and alert rules ask for, and where a trace went."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from services.clock import now_ms
from tests.support.event_lines import event_line
from tests.support.oracle import DAY_MS, to_text
from tests.support.pipeline import HTTP_SECONDS, PipelineUnderTest, running_pipeline
from tests.support.promtool import assert_rules_hold
from tests.support.queries import Query, dashboard_queries, rule_queries
from tests.support.records import Record, produce
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee]

SERVED_SECONDS: Final = 60
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"

AFTER_A_FAULT: Final = frozenset({"tidemark_held_frame", "tidemark_api_timeouts_total", "tidemark_lost_records_total"})
"""Not there on a good day; the tests of holding a frame, of the time budget and of retention see them."""


@pytest.mark.timeout(180)
def test_every_query_of_dashboards_and_rules_finds_series_and_a_trace_is_told_where_it_was_applied(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    with running_pipeline(
        tmp_path,
        kafka.bootstrap,
        redis_url,
        api__ops_interval="1s",
        api__ledger_interval="1s",
        canary__enabled="true",
    ) as pipeline:
        traced = Record(event_line("traced", now_ms()), headers=[("traceparent", f"00-{TRACE}-{'1' * 16}-01")])
        produce(kafka.bootstrap, pipeline.topics["events"], [traced])
        make_traffic(pipeline)
        queries = [query for query in (*rule_queries(), *dashboard_queries()) if is_asked_on_a_good_day(query)]
        samples = scrape_until_served(pipeline, {name for query in queries for name in query.names})
        [told] = logged(pipeline, "traced_events_applied")
    [place] = told["traces"]
    assert (place["trace_id"], place["topic"]) == (TRACE, pipeline.topics["events"])
    assert told["first"] <= told["last"]
    labels = {sample.name: set(sample.labels) for sample in samples}
    for query in queries:
        of_its_series = set[str]().union(*(labels.get(name, ()) for name in query.names))
        assert query.labels <= of_its_series or not of_its_series, query
    run_all([query for query in queries if query.legend], samples, tmp_path)


def logged(pipeline: PipelineUnderTest, event: str) -> list[dict[str, Any]]:
    """Return the lines of an event that the roles logged."""
    text = "\n".join(file.read_text() for file in (pipeline.directory / "logs").glob("*.log"))
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def is_asked_on_a_good_day(query: Query) -> bool:
    return query.names.isdisjoint(AFTER_A_FAULT)


def make_traffic(pipeline: PipelineUnderTest) -> None:
    """Publish good events, a copy and a bad one, and ask the API once."""
    file = pipeline.directory / "events.ndjson"
    second = now_ms() // 1000 * 1000
    lines = [event_line(str(number), second - 60_000) for number in range(20)]
    file.write_bytes(b"\n".join([*lines, lines[0], event_line("bad", second - 60_000, data={"surprise": 1})]) + b"\n")
    pipeline.publish(file)
    pipeline.catch_up()
    parameters = {
        "organizationId": "acme",
        "granularity": "all",
        "from": to_text(second - DAY_MS),
        "to": to_text(second),
    }
    with pipeline.client("acme") as client:
        assert client.get("/api/v1/organization/usage", params=parameters).status_code == 200


def scrape_until_served(pipeline: PipelineUnderTest, names: set[str]) -> list[Sample]:
    """Return a scrape that has all these names: what the API looks for itself comes some seconds later."""
    wanted = {name for name in names if not name.startswith("tidemark:")}
    deadline = time.monotonic() + SERVED_SECONDS
    while True:
        samples = list(scrape(pipeline))
        missing = wanted - {sample.name for sample in samples}
        if not missing:
            return samples
        assert time.monotonic() < deadline, f"nobody serves {sorted(missing)}"
        time.sleep(0.2)


def scrape(pipeline: PipelineUnderTest) -> Iterator[Sample]:
    """Yield what all roles serve, with the labels that Prometheus adds."""
    for role, addresses in pipeline.state()["health"].items():
        for address in addresses:
            page = httpx.get(f"http://{address}/metrics", timeout=HTTP_SECONDS).text
            for sample in (sample for family in text_string_to_metric_families(page) for sample in family.samples):
                yield sample._replace(labels=sample.labels | {"job": role, "instance": address})


def run_all(queries: list[Query], samples: list[Sample], directory: Path) -> None:
    """Let Prometheus's own engine answer the queries on ten equal scrapes; fail where one finds nothing."""
    asked = [
        {
            "expr": f"count({query.expression}) > bool 0",
            "eval_time": "10m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for query in queries
    ]
    test: dict[str, Any] = {"interval": "1m", "input_series": list(map(series, samples)), "promql_expr_test": asked}
    assert_rules_hold([test], directory / "scrape.json")


def series(sample: Sample) -> dict[str, str]:
    labels = ",".join(f"{name}={json.dumps(value)}" for name, value in sample.labels.items())
    return {"series": f"{sample.name}{{{labels}}}", "values": f"{sample.value:f}+0x10"}

"""How old the numbers say they are, some seconds after the last event."""

import time
from pathlib import Path

import pytest

from services.clock import now_ms
from tests.support.event_lines import event_line
from tests.support.oracle import DAY_MS, to_ms, to_text
from tests.support.pipeline import PipelineUnderTest, running_pipeline
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

QUIET_SECONDS = 5
OLD_SECONDS = 5


@pytest.mark.guarantee
@pytest.mark.timeout(120)
def test_as_of_is_known_and_young_five_seconds_after_the_last_event_on_apache_kafka(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        check_freshness(pipeline)


@pytest.mark.timeout(120)
def test_as_of_is_known_and_young_five_seconds_after_the_last_event_on_the_embedded_broker(tmp_path: Path) -> None:
    with running_pipeline(tmp_path, None, None) as pipeline:
        check_freshness(pipeline)


def check_freshness(pipeline: PipelineUnderTest) -> None:
    file = pipeline.directory / "events.ndjson"
    second = now_ms() // 1000 * 1000
    file.write_bytes(b"".join(event_line(str(number), second - 60_000) + b"\n" for number in range(100)))
    pipeline.publish(file)
    published, published_ms = time.monotonic(), now_ms()
    pipeline.catch_up()
    # The passing of time is what is tested here: nothing can be awaited instead.
    time.sleep(max(0, published + QUIET_SECONDS - time.monotonic()))
    range_ = {"from": to_text(second - DAY_MS), "to": to_text(second)}
    parameters = {"organizationId": "acme", "granularity": "all"} | range_
    with pipeline.client("acme") as client:
        asked_ms = now_ms()
        answer = client.get("/api/v1/organization/usage", params=parameters)
        assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["usage"]["data"][0]["chat"]["interactions"] == 100
    as_of_ms = to_ms(body["asOf"])
    assert as_of_ms > published_ms
    assert asked_ms - as_of_ms < OLD_SECONDS * 1000

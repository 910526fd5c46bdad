"""Simulated events of all four types, copies and late ones among them, beside the oracle."""

from pathlib import Path

import pytest

from tests.support.comparison import compare
from tests.support.oracle import Oracle
from tests.support.pipeline import running_pipeline
from tests.support.servers import Broker
from tests.support.usage_answers import differing_answers

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee, pytest.mark.slow]


@pytest.mark.timeout(240)
def test_simulated_events_are_counted_once_and_served_with_their_factors(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    file = tmp_path / "events.ndjson"
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        pipeline.run("simulate", "--seed", "11", "--events", "200000", "--out", file)
        with file.open("rb") as lines:
            counted = Oracle(line.rstrip(b"\n") for line in lines)
        assert counted.bad == 0
        assert counted.copies > 2_000
        pipeline.publish(file)
        pipeline.catch_up()
        assert pipeline.applied() == 200_000
        result = compare(pipeline.export(), counted.rows())
        assert result.equal, f"{result}\n{pipeline.log()}"

        scopes = counted.scopes()
        asked = [scope for scope in scopes if scope[2] is None]
        asked += [scope for scope in scopes if scope[2]][::100]
        begin, end = counted.span_ms()
        assert not differing_answers(pipeline, counted, asked, begin + 1_234_000, end)
        everything = counted.blocks((scopes[0][0], None, None), "all", begin, end, now_ms=end)[0]
        assert 0 < everything["productivityFactor"] < 1
        assert 0 < everything["chat"]["chatConsumptionRate"] < 1

"""The given file of real activity, published once and twice, beside the oracle."""

import gzip
from pathlib import Path

import pytest

from tests.support.comparison import compare
from tests.support.oracle import DAY_MS, Oracle
from tests.support.pipeline import running_pipeline
from tests.support.servers import Broker
from tests.support.usage_answers import differing_answers

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee, pytest.mark.slow]


@pytest.mark.timeout(240)
def test_real_activity_is_counted_once_and_served_as_the_oracle_says(
    shared_dir: Path, tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    file = shared_dir / "data" / "git-activity.ndjson.gz"
    with gzip.open(file) as lines:
        counted = Oracle(line.rstrip(b"\n") for line in lines)
    assert (counted.bad, counted.copies) == (0, 0)
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url, "--max-event-age", "none") as pipeline:
        pipeline.publish(file)
        pipeline.catch_up()
        assert pipeline.applied() == counted.good
        result = compare(pipeline.export(), counted.rows())
        assert result.equal, f"{result}\n{pipeline.log()}"
        assert result.cells == 72_586

        scopes = counted.scopes()
        teams = [scope for scope in scopes if scope[1]]
        users = [scope for scope in scopes if scope[2]]
        asked = [scope for scope in scopes if scope[1] is scope[2] is None]
        asked += [some[at] for some in (teams, users) for at in (0, len(some) // 2, -1)]
        begin, end = counted.span_ms()
        # Neither end on a whole hour: the answers widen them outward.
        assert not differing_answers(pipeline, counted, asked, begin - 3 * DAY_MS - 1000, end + 1000)

        pipeline.publish(file)
        pipeline.catch_up()
        again = compare(pipeline.export(), counted.rows())
        assert again.equal, again

"""Row 1: ingest dies at each place between a poll and its commit; nothing is lost, what comes again is known."""

from collections.abc import Callable

import pytest

from services.crash_points import KILLED, POINTS
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 6_000


@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith("ingest.")])
def test_ingest_dies_and_nothing_is_lost(point: str, deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    ingest = deployment.worker("ingest")
    ingest.start(testing__crash_point=f"{point}:5")
    deployment.start("aggregator")
    with Publisher(deployment.settings, seeded_load(1, EVENTS, 4), rate=3_000) as publisher:
        died = ingest.await_exit()
        assert died.code == KILLED
        published = publisher.wait()
    verdict = assert_right(deployment, published)
    sent_before_commit = point in {"ingest.after_some_frames", "ingest.before_commit"}
    assert (verdict.redelivered > 0) == sent_before_commit

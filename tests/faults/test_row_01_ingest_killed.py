"""Row 1: ingest dies at each place between a poll and its commit; nothing is lost, what comes again is known."""

from collections.abc import Callable

import pytest

from services.crash_points import KILLED, POINTS
from tests.faults.frames_log import LoggedFrame, frames_of, repeated
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 6_000
VISIT = 3
SENT_BEFORE_COMMIT = ("ingest.after_some_frames", "ingest.before_commit")


def test_ingest_dies_at_each_of_its_points_and_nothing_is_lost(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(ingest__session_timeout="2s")
    ingest = deployment.worker("ingest", restarts=False)
    deployment.start("aggregator")
    logs: list[list[LoggedFrame]] = []
    points = [point for point in POINTS if point.startswith("ingest.")]
    with Publisher(deployment.settings, seeded_load(1, EVENTS, 4), rate=500) as publisher:
        for number, point in enumerate(points, 1):
            ingest.start(testing__crash_point=f"{point}:{VISIT}")
            assert ingest.await_exit(number).code == KILLED
            logs.append(frames_of(deployment))
        ingest.start()
        published = publisher.wait()
    verdict = assert_right(deployment, published)
    logs.append(frames_of(deployment))
    assert verdict.redelivered == repeated(logs[-1])
    for point, died, after in zip(points, logs, logs[1:], strict=False):
        came_again = repeated(after) - repeated(died)
        assert came_again > 0 or point not in SENT_BEFORE_COMMIT, f"{point}: nothing came again"

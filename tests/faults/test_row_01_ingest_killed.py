"""Row 1: ingest dies at each place between a poll and its commit; nothing is lost, what comes again is known."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from services.crash_points import KILLED, POINTS
from tests.faults.frames_log import Coordinate, LoggedFrame, frames_of, repeated
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.topic_changes import ends

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 6_000
VISIT = 3
SMALL_POLLS = "150"
"""So many records a poll: all five runs find more of them than they live to see."""

SENT_BEFORE_COMMIT = ("ingest.after_some_frames", "ingest.before_commit")


def test_ingest_dies_at_each_of_its_points_and_nothing_is_lost(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(ingest__session_timeout="2s", ingest__max_poll_records=SMALL_POLLS)
    with Publisher(deployment.settings, seeded_load(1, EVENTS, 4)) as publisher:
        published = publisher.wait()
    ingest = deployment.worker("ingest", restarts=False)
    deployment.start("aggregator")
    kafka, frames_topic = deployment.settings.kafka.bootstrap_servers, deployment.settings.topics.frames
    points = [point for point in POINTS if point.startswith("ingest.")]
    log_ends = [ends(kafka, frames_topic)]
    for number, point in enumerate(points, 1):
        ingest.start(testing__crash_point=f"{point}:{VISIT}")
        assert ingest.await_exit(number).code == KILLED
        log_ends.append(ends(kafka, frames_topic))
    ingest.start()
    verdict = assert_right(deployment, published)
    frames = frames_of(deployment)
    assert verdict.redelivered == repeated(frames)
    for point, begin, end in zip(points, log_ends, log_ends[1:], strict=False):
        assert came_again(frames, begin, end) or point not in SENT_BEFORE_COMMIT, f"{point}: nothing came again"


def came_again(frames: Sequence[LoggedFrame], begin: Mapping[int, int], end: Mapping[int, int]) -> bool:
    """Whether a record that one run sent was sent by a later one too: `begin` and `end` bound the run's frames."""
    of_run = [each for each in frames if begin[each.partition] <= each.offset < end[each.partition]]
    later = [each for each in frames if each.offset >= end[each.partition]]
    return not coordinates(of_run).isdisjoint(coordinates(later))


def coordinates(frames: Sequence[LoggedFrame]) -> set[Coordinate]:
    return {at for each in frames for at in each.coordinates()}

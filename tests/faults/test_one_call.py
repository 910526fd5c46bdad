"""One call holds it all: an aggregator dies right after the reply, then a copy of every event comes.

What another call would have written by then is missing: an applied offset, and the run is applied again; ids, and the
copies count.
"""

from collections.abc import Callable

import pytest

from services.crash_points import KILLED
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 1_500


def test_an_aggregator_dies_after_the_reply_and_every_copy_is_known(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    load = seeded_load(7, EVENTS, 4)
    aggregator = deployment.worker("aggregator")
    aggregator.start(testing__crash_point="aggregator.after_reply:3")
    deployment.start("ingest")
    with Publisher(deployment.settings, load, rate=3_000) as publisher:
        assert aggregator.await_exit().code == KILLED
        published = publisher.wait()
    with Publisher(deployment.settings, load) as publisher:
        published += publisher.wait()
    assert_right(deployment, published)

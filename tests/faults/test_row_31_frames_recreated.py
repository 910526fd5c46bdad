"""Row 31: the frames topic is deleted and made again, so that its offsets begin at 0: nothing more is counted."""

from collections.abc import Callable

import pytest

from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.refusals import assert_refused
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.kafka_admin import recreate

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 2_000
MORE = 20_000
"""Until the refusal: frames with events take the offsets that were applied, and those after them."""

DIVERGED = ("log_diverged", "the topic was recreated or lost its tail", "tidemark rebuild")


def test_a_log_that_begins_anew_is_refused_and_nothing_of_it_is_counted(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(aggregator__frame_check_interval="2s")
    settings = deployment.settings
    _, aggregator = deployment.start("ingest", "aggregator")
    with Publisher(settings, seeded_load(31, EVENTS, 4)) as publisher:
        published = publisher.wait()
    assert_right(deployment, published)
    counted = list(deployment.export())
    recreate(settings, settings.topics.frames)
    with Publisher(settings, seeded_load(3_100, MORE, 4), rate=1_000):
        # Ingest waits out its broken sequences first, for half a minute.
        assert_refused(aggregator.await_exit(seconds=120), *DIVERGED)
        assert_refused(aggregator.await_exit(2), *DIVERGED)
    assert list(deployment.export()) == counted

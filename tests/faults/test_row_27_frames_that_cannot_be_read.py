"""Row 27: a frame of a newer release, or bytes that are no frame, stop the aggregator with one sentence."""

from collections.abc import Callable

import pytest

from services.cli.main import REFUSED
from services.frames import VERSION
from services.lifecycle import Exit
from services.release import running_version
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right, judge
from tests.support.deployment import Deployment
from tests.support.written_frames import NEWER_RELEASE, append_frame, newer_frame

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 3_000
PARTITION = 2


def test_a_frame_that_cannot_be_read_stops_the_aggregator_and_nothing_behind_it_is_counted(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy()
    deployment.start("ingest")
    aggregator = deployment.worker("aggregator", restarts=False)
    load = seeded_load(27, EVENTS, 4)
    parts = [load[: EVENTS // 3], load[EVENTS // 3 : 2 * EVENTS // 3], load[2 * EVENTS // 3 :]]
    published = []
    cases = [
        (
            newer_frame(deployment.settings),
            f"a frame of version {VERSION + 1}, this release ({running_version()}) reads",
        ),
        (b"rubbish", "not a frame"),
    ]
    for number, (wrong, sentence) in enumerate(cases, 1):
        aggregator.start()
        aggregator.await_ready()
        with Publisher(deployment.settings, parts.pop(0)) as publisher:
            published += publisher.wait()
        deployment.catch_up()
        at = append_frame(deployment.settings, PARTITION, wrong)
        ended = aggregator.await_exit(number)
        assert ended.code == Exit.REFUSED
        assert ended.last_line.startswith(f"partition {PARTITION}, offset {at}: {sentence}")
        assert number == 2 or f"install Tidemark {NEWER_RELEASE} or later" in ended.last_line
        verdict = judge(deployment, published)
        assert verdict.right, verdict
        assert deployment.applied()[PARTITION] == at - 1, "a frame before it is missing"

        # Another run, with frames behind it, does not get past it either. A newer release would; here it is skipped.
        with Publisher(deployment.settings, parts.pop(0) if number == 1 else []) as publisher:
            published += publisher.wait()
        skip = ["frames", "skip", "--partition", str(PARTITION), "--offset", str(at)]
        if number == 1:
            assert "good for another release" in deployment.run(*skip, code=REFUSED).err
            skip.append("--force")
        assert "it is not known how many events" in deployment.run(*skip).out
        assert deployment.applied()[PARTITION] == at
    aggregator.start()
    assert_right(deployment, published)

"""Row 40: the acknowledged tail of the frames is lost, and new frames take the same offsets: nothing of them counts."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.redis_states import await_progress
from tests.faults.refusals import assert_refused
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.kafka_server import KafkaServer
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 2_000
MORE = 20_000
"""Until the refusal: frames with events take the lost offsets, and those after them."""

LOST = 8
"""Frames, at least, at the end of each partition."""

DIVERGED = ("log_diverged", "the topic was recreated or lost its tail", "tidemark rebuild")


@pytest.fixture
def kafka_to_cut() -> Iterator[KafkaServer]:
    with KafkaServer.start_new() as server:
        yield server


@pytest.fixture
def deployment(tmp_path: Path, kafka_to_cut: KafkaServer, redis: RedisServer) -> Iterator[Deployment]:
    # The regular look at the log is to come too late: that it is read from the front again must tell.
    settings = {"aggregator__frame_check_interval": "10m"}
    made = Deployment(tmp_path, kafka_to_cut.bootstrap, redis.url, **settings).begin()
    yield made
    made.close()


def test_a_log_that_was_cut_back_is_refused_by_its_owner_and_on_assignment(
    deployment: Deployment, kafka_to_cut: KafkaServer
) -> None:
    settings = deployment.settings
    ingest, aggregator = deployment.start("ingest", "aggregator")
    with Publisher(settings, seeded_load(40, EVENTS, 4), rate=EVENTS / 4) as publisher:
        published = publisher.wait()
    assert_right(deployment, published)
    await_progress(deployment, [-1] * PARTITIONS, 2 * LOST + 1)  # a slow ingest packs fewer frames
    assert ingest.stop() == 0  # one that lives through this waits out its broken sequences, for half a minute
    kafka_to_cut.kill()
    applied, counted = deployment.applied(), list(deployment.export())
    ends = [cut_back(kafka_to_cut.directory, f"{settings.topics.frames}-{number}") for number in range(PARTITIONS)]
    assert all(end <= last + 1 - LOST for end, last in zip(ends, applied, strict=True)), (ends, applied)
    kafka_to_cut.start()
    deployment.start("ingest")
    with Publisher(settings, seeded_load(4_000, MORE, 4), rate=1_000):
        assert_refused(aggregator.await_exit(seconds=90), *DIVERGED)
        assert_refused(aggregator.await_exit(2), *DIVERGED)
    assert list(deployment.export()) == counted


def cut_back(broker: Path, partition: str) -> int:
    """Cut the second half of a partition's batches off; the broker, which must be down, rebuilds what it derives.

    Return the offset that comes next.
    """
    directory = broker / "data" / partition
    [log] = directory.glob("*.log")
    data = log.read_bytes()
    batches = list(batches_of(data))
    offset, position = batches[len(batches) // 2]
    log.write_bytes(data[:position])
    for derived in [*directory.glob("*.index"), *directory.glob("*.timeindex"), *directory.glob("*.snapshot")]:
        derived.unlink()
    return offset


def batches_of(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the base offset and the place of each record batch."""
    at = 0
    while at + 12 <= len(data):
        offset, length = struct.unpack_from(">qi", data, at)
        if not length:
            return  # the file is longer than what is written
        yield offset, at
        at += 12 + length

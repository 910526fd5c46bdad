"""Row 12: a broker's disk is full: it ends, the workers wait, and nothing is skipped once there is room again."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.away import NOTICING, assert_patient, await_back, await_waiting
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.kafka_server import KafkaServer
from tests.support.pipeline import await_condition

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 4_000
RATE = 1_500
DISK_MIB = 48


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tidemark-row-12", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def small_broker(small_disk: Path, tmp_path: Path) -> Iterator[KafkaServer]:
    directory = tmp_path / "broker"
    directory.mkdir()
    server = KafkaServer(directory, extra={"log.dirs": str(small_disk / "data")})
    server.start()
    yield server
    server.kill()


def test_a_full_disk_loses_nothing(
    small_broker: KafkaServer, small_disk: Path, deploy: Callable[..., Deployment]
) -> None:
    deployment = deploy(kafka=small_broker.bootstrap, **NOTICING)
    workers = deployment.start("ingest", "aggregator")
    with Publisher(deployment.settings, seeded_load(12, EVENTS, 4), rate=RATE) as publisher:
        publisher.await_count(EVENTS // 3)
        filler = fill(small_disk)
        await_condition(lambda: not small_broker.running, "the broker gives up its full disk", seconds=30)
        assert publisher.count < EVENTS, "the disk was full after the work"
        await_waiting(workers)
        filler.unlink()
        small_broker.start()
        await_back(workers)
        published = publisher.wait()
    assert_right(deployment, published)
    assert_patient(workers)


def fill(place: Path) -> Path:
    """Take all the room of a file system, and return the file that holds it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                # Much at once: after each write the publisher's thread may come first, until it has published all.
                file.write(bytes(1 << 20))
        except OSError:
            return filler

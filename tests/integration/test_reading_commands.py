"""What the reading commands ask of real servers: dead letters to their end, and waits that end in time."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
from aiokafka.admin import NewTopic

from services import topics
from services.caught_up import wait_until_caught_up
from services.counters import PartitionState, SourcePosition
from services.dead_letter_log import DeadLetter, read_dead_letters
from services.dead_letters import Reason, dead_letter_headers
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.kafka import make_admin, make_producer
from services.memory_counters import MemoryCounterStore
from services.settings import Settings
from services.settings_loading import load_settings
from services.stores import open_store
from tests.support.ports import LOOPBACK, free_ports
from tests.support.tansu_server import TansuServer

pytestmark = pytest.mark.integration

PARTITIONS = 2


@pytest.fixture(scope="module")
def tansu() -> Iterator[TansuServer]:
    with TansuServer.start_new() as server:
        yield server


@pytest.fixture(params=["kafka", "tansu"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings on each broker, with topics of this test's own that do not exist yet."""
    return settings_on(request.getfixturevalue(request.param).bootstrap)


def settings_on(bootstrap: str, redis: str = "redis://127.0.0.1:1") -> Settings:
    prefix = uuid.uuid4().hex[:8]
    names = {name: f"{prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")}
    kafka = {"bootstrap_servers": bootstrap, "idempotence": False}
    all_topics = names | {"frames_partitions": PARTITIONS}
    return load_settings({"kafka": kafka, "topics": all_topics, "redis": {"url": redis}})


async def send(settings: Settings, topic: str, records: list[tuple[bytes, list[tuple[str, bytes]]]]) -> None:
    producer = make_producer(settings.kafka)
    await producer.start()
    try:
        for value, headers in records:
            await producer.send_and_wait(topic, value, key=b"acme", headers=headers)
    finally:
        await producer.stop()


def covering(settings: Settings, ends: dict[int, int], directory: dict[int, int] | None = None) -> PartitionState:
    return PartitionState(
        epoch=Epoch(1),
        applied_offset=FrameOffset(0),
        frame_id=None,
        partitions=PARTITIONS,
        fingerprint="f",
        sources={
            (topic, number): SourcePosition(next_offset=end, read_up_to_ms=None)
            for topic, of_topic in ((settings.topics.events, ends), (settings.topics.directory, directory or {}))
            for number, end in of_topic.items()
        },
    )


async def dead_letters(settings: Settings) -> list[DeadLetter]:
    return [letter async for letter in read_dead_letters(settings)]


async def test_every_dead_letter_is_read_and_the_reading_ends(settings: Settings) -> None:
    assert await dead_letters(settings) == []
    await topics.create_missing(settings)
    assert await dead_letters(settings) == []
    reasons = [Reason.NOT_JSON, Reason.TOO_OLD, Reason.NOT_JSON]
    records = [
        (b"v%d" % at, dead_letter_headers([("trace", b"t")], reason, None, "usage.events", 3, at, 1000 + at))
        for at, reason in enumerate(reasons)
    ]
    await send(settings, settings.topics.dead_letters, [*records, (b"a stranger", [])])
    read = await dead_letters(settings)
    assert Counter(letter.reason for letter in read) == {"not_json": 2, "too_old": 1, None: 1}
    first = next(letter for letter in read if letter.value == b"v0")
    assert first.origin is not None
    assert (first.origin.partition, first.origin.offset, first.rejected_at_ms) == (3, 0, 1000)
    assert (first.key, first.headers) == (b"acme", (("trace", b"t"),))


async def test_a_wait_is_over_when_every_slot_covers_what_was_there_at_the_call(settings: Settings) -> None:
    await topics.create_missing(settings)
    await send(settings, settings.topics.events, [(b"1", []), (b"2", []), (b"3", [])])
    ends = await topics.end_offsets(settings, settings.topics.events)
    assert ends is not None
    assert sum(ends.values()) == 3
    store = MemoryCounterStore(PARTITIONS)
    await store.begin(PartitionId(0), covering(settings, ends))
    short = await wait_until_caught_up(settings, store, 3)
    assert not short.caught_up
    assert [row.missing for row in short.behind] == [None]
    waiting = asyncio.create_task(wait_until_caught_up(settings, store, 30))
    await send(settings, settings.topics.events, [(b"one that came after the call counts only if read before", [])])
    await store.begin(PartitionId(1), covering(settings, {number: end + 1 for number, end in ends.items()}))
    store.partitions[0].state = covering(settings, {number: end + 1 for number, end in ends.items()})
    assert (await waiting).caught_up


async def test_a_wait_asks_for_the_directory_too(settings: Settings) -> None:
    await topics.create_missing(settings)
    await send(settings, settings.topics.directory, [(b"1", []), (b"2", [])])
    store = MemoryCounterStore(PARTITIONS)
    for number in range(PARTITIONS):
        await store.begin(PartitionId(number), covering(settings, {}, {0: 1}))
    short = await wait_until_caught_up(settings, store, 3)
    assert [(row.topic, row.end, row.applied) for row in short.behind] == [(settings.topics.directory, 2, 1)]
    for number in range(PARTITIONS):
        store.partitions[number].state = covering(settings, {}, {0: 2})
    assert (await wait_until_caught_up(settings, store, 30)).caught_up


async def test_a_directory_topic_that_is_not_there_holds_nobody_up(settings: Settings) -> None:
    admin = make_admin(settings.kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(settings.topics.events, 1, 1)])
    finally:
        await admin.close()
    wait = await wait_until_caught_up(settings, MemoryCounterStore(PARTITIONS), 30)
    assert wait.caught_up
    assert set(wait.ends or {}) == {(settings.topics.events, 0)}


async def test_a_wait_outlasts_a_topic_that_is_not_there_yet(settings: Settings) -> None:
    store = MemoryCounterStore(PARTITIONS)
    waiting = asyncio.create_task(wait_until_caught_up(settings, store, 30))
    await asyncio.sleep(0)
    await topics.create_missing(settings)
    assert (await waiting).caught_up


async def test_a_wait_for_a_kafka_and_a_redis_that_are_away_ends_when_its_time_is_up() -> None:
    (port,) = free_ports(1)
    settings = settings_on(f"{LOOPBACK}:{port}")
    async with asyncio.timeout(20):
        async with open_store(settings) as store:
            wait = await wait_until_caught_up(settings, store, 1.0)
    assert wait.ends is None
    assert not wait.caught_up


async def test_a_redis_that_is_away_is_not_caught_up_but_unknown(tansu: TansuServer) -> None:
    (port,) = free_ports(1)
    settings = settings_on(tansu.bootstrap, f"redis://{LOOPBACK}:{port}")
    await topics.create_missing(settings)
    await send(settings, settings.topics.events, [(b"1", [])])
    async with open_store(settings) as store:
        wait = await wait_until_caught_up(settings, store, 3)
    assert [(row.end, row.applied, row.missing) for row in wait.behind] == [(1, None, None)]

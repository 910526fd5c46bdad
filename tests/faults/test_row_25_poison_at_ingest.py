"""Row 25: poison of every kind becomes dead letters, bytes, key and headers unchanged, and the partition goes on."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import cast

import pytest

from services.dead_letter_log import read_dead_letters
from services.dead_letters import MEANINGS, Reason
from services.kafka import make_producer
from services.settings import Settings
from tests.faults.load import Planned, seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.verdict import assert_right
from tests.support.broken import ways
from tests.support.deployment import Deployment
from tests.support.strange_headers import READ_AS, StrangeBatch

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 2_000
NO_VALUE = cast(bytes, None)
"""A record without a value, which the rig's types do not know and Kafka does."""

HEADERS = (("x-trace", b"\x00\xff"), ("x-empty", b""), ("x-trace", b"again"))

UGLY = (
    NO_VALUE,
    b"",
    b"\x00" * 100,
    b"\xff\xfe" * 100,
    b'{"data":' + b"[" * 30_000,
    b"{" * 60_000,
    b"x" * 1_000_000,
    b'{"a":NaN}',
    b'{"a":1e400}',
    b'{"a":' + b"9" * 50_000 + b"}",
    b'{"a":1,"a":2}',
    b'{"a":"\\ud800"}',
    "\ufeff{}".encode(),
)


def test_poison_of_every_kind_is_kept_whole_and_the_partition_goes_on(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    [ingest, _] = deployment.start("ingest", "aggregator")
    planned = with_poison(seeded_load(25, EVENTS, 4))
    with Publisher(deployment.settings, planned) as publisher:
        published = publisher.wait()
    good = next(record.value for record in planned)
    strange = asyncio.run(publish_strange_headers(deployment.settings, good))
    with Publisher(deployment.settings, seeded_load(26, 200, 4)) as publisher:
        published += strange + publisher.wait()

    verdict = assert_right(deployment, published)
    assert verdict.redelivered == 0
    assert ingest.exits == []
    assert reasons(deployment.settings) == set(MEANINGS) - {Reason.SKIPPED_FRAME}


def with_poison(load: list[Planned]) -> list[Planned]:
    """Put every kind of poison into every partition, somewhere among good events."""
    rng = random.Random(25)
    event = json.loads(load[0].value)
    for partition in range(4):
        bad = [break_it(event | {"id": f"bad-{partition}"}) for _, break_it in ways()]
        for number, value in enumerate([*bad, *UGLY]):
            poison = Planned(partition=partition, value=value, key=b"\x00key%d" % number, headers=HEADERS)
            load.insert(rng.randrange(len(load)), poison)
    return load


async def publish_strange_headers(settings: Settings, copy: bytes) -> list[Published]:
    """Publish a copy of an event and a bad record, each with a header name that is not UTF-8.

    They are returned as they are read: the name's wrong bytes written out.
    """
    producer = make_producer(settings.kafka)
    await producer.start()
    published = []
    try:
        for value in (copy, b"rubbish"):
            batch = StrangeBatch()
            batch.append_strange(b"key", value)
            sent = await (await producer.send_batch(batch, settings.topics.events, partition=1))
            published.append(
                Published(
                    partition=1,
                    offset=sent.offset,
                    broker_ms=sent.timestamp,
                    value=value,
                    key=b"key",
                    headers=((READ_AS, b"\x00\xff"),),
                )
            )
    finally:
        await producer.stop()
    return published


def reasons(settings: Settings) -> set[str | None]:
    async def read() -> set[str | None]:
        return {letter.reason async for letter in read_dead_letters(settings)}

    return asyncio.run(read())

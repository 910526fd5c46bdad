"""Row 28: a producer that is newer than ingest, or older; what was refused is counted once after the upgrade."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.dead_letter_log import DeadLetter, read_dead_letters
from tests.faults.load import Planned, seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.oracle import read_event

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 1_000
NEW_EVERY = 10
UNKNOWN = {"newMetric", "newattribute", "mood"}
"""The last one is of the load's own bad records."""

Event = dict[str, Any]


def test_a_new_field_is_refused_and_counted_once_after_the_upgrade(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    old, _ = deployment.start("ingest", "aggregator")
    published = publish(deployment, written_by_newer_producers(seeded_load(28, EVENTS, 4)))
    verdict = assert_right(deployment, published)
    assert verdict.redelivered == 0
    refused = [letter for letter in dead_letters(deployment).values() if letter.reason == "unknown_field"]
    assert len(refused) > EVENTS // NEW_EVERY * 0.9

    # The upgrade: an ingest that takes what it does not know. Each refused record is published again, twice.
    before = dead_letters(deployment).keys()
    old.stop()
    new = deployment.worker("ingest", variables={"events__unknown_fields": "ignore"})
    new.start()
    again = [
        Planned(partition=0, value=letter.value or b"", key=letter.key, headers=letter.headers)
        for letter in refused
        for _ in range(2)
    ]
    fresh = written_by_newer_producers(seeded_load(280, EVENTS, 4))
    published += [as_known(record) for record in publish(deployment, [*again, *fresh])]
    assert_right(deployment, published)
    newly = [letter for at, letter in dead_letters(deployment).items() if at not in before]
    assert newly
    assert all(letter.reason != "unknown_field" for letter in newly)


def test_an_old_producer_without_optional_fields_is_counted(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    deployment.start("ingest", "aggregator")
    load = [replace(planned, value=changed(planned.value, as_old)) for planned in seeded_load(281, EVENTS, 4)]
    assert sum(b'"data": {}' in planned.value for planned in load) >= EVENTS // 2
    assert_right(deployment, publish(deployment, load))


def written_by_newer_producers(load: Sequence[Planned]) -> list[Planned]:
    """Return the load, every tenth record with a metric or an attribute that is not there yet."""
    ways = (with_metric, with_attribute)
    return [
        planned if at % NEW_EVERY else replace(planned, value=changed(planned.value, ways[at // NEW_EVERY % 2]))
        for at, planned in enumerate(load)
    ]


def with_metric(event: Event) -> Event:
    return event | {"data": event["data"] | {"newMetric": 7}}


def with_attribute(event: Event) -> Event:
    return event | {"newattribute": "x"}


def as_old(event: Event) -> Event:
    """Return an event with what is required alone."""
    return {name: value for name, value in event.items() if name != "teamid"} | {"data": {}}


def as_known(record: Published) -> Published:
    """Return what a reader that ignores unknown fields takes a record for."""

    def known(event: Event) -> Event:
        data = {name: amount for name, amount in event["data"].items() if name not in UNKNOWN}
        return {name: part for name, part in event.items() if name not in UNKNOWN} | {"data": data}

    value = changed(record.value, known)
    return record if read_event(value, record.broker_ms) is None else replace(record, value=value)


def changed(value: bytes, change: Callable[[Event], Event]) -> bytes:
    """Return a record changed, and one that is no event with data as it is."""
    try:
        event = json.loads(value)
        return json.dumps(change(event), ensure_ascii=False).encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return value


def publish(deployment: Deployment, load: Sequence[Planned]) -> list[Published]:
    with Publisher(deployment.settings, load) as publisher:
        return publisher.wait()


def dead_letters(deployment: Deployment) -> dict[tuple[int, int], DeadLetter]:
    """Return the dead letters by where they stand."""

    async def read() -> dict[tuple[int, int], DeadLetter]:
        letters = read_dead_letters(deployment.settings)
        return {(letter.partition, letter.offset): letter async for letter in letters}

    return asyncio.run(read())

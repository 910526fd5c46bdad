"""Row 6: a bug of ours ends the aggregator on one frame; after five crashes it stays down, and an operator skips."""

import asyncio
import json
from collections.abc import Callable

import pytest

from services.cli.main import REFUSED, WRONG_USE
from services.counters import CRASHES_MAX
from services.dead_letter_log import DeadLetter, read_dead_letters
from services.lifecycle import Exit
from services.settings import Settings
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.pipeline import await_condition
from tests.support.worker import Worker
from tests.support.written_frames import append_frame, poison_frame

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 3_000
PARTITION = 1


def test_a_frame_that_ends_every_aggregator_is_held_and_skipped_by_an_operator_alone(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy()
    _, first = deployment.start("ingest", "aggregator")
    load = seeded_load(6, EVENTS, 4)
    poison = poison_frame(deployment.settings)
    with Publisher(deployment.settings, load[: EVENTS // 2]) as publisher:
        published = publisher.wait()
    deployment.catch_up()
    at = append_frame(deployment.settings, PARTITION, poison)

    held(first, at)
    assert [ended.code for ended in first.exits] == [Exit.BUG] * (CRASHES_MAX - 1)
    assert not first.is_ready()
    assert first.is_alive()
    assert first.written().count(f"frame_held: the frame at offset {at} of partition {PARTITION}") == 1
    # What is counted of the frame moves with the partition: another worker has one try of its own, not five.
    second = deployment.worker("aggregator")
    second.start()
    held(second, at)
    assert not second.exits

    with Publisher(deployment.settings, load[EVENTS // 2 :]) as publisher:
        published += publisher.wait()
    assert deployment.applied()[PARTITION] == at - 1
    refused(deployment, "--offset", at + 1, said=f"comes later: only the next one, at {at}, can be skipped")
    refused(deployment, "--offset", at - 1, said="was applied already")
    deployment.run("frames", "skip", "--partition", "4", "--offset", str(at), code=WRONG_USE)

    ends = {worker: len(worker.exits) + 1 for worker in (first, second)}
    done = deployment.run("frames", "skip", "--partition", str(PARTITION), "--offset", str(at), "--json")
    told = json.loads(done.out)
    assert (told["offset"], told["bytes"], told["events"]) == (at, len(poison), 1)
    for worker, number in ends.items():
        ended = worker.await_exit(number)
        assert (ended.code, "starting anew" in ended.last_line) == (Exit.REFUSED, True), ended
    assert_right(deployment, published)
    [letter] = skipped_letters(deployment.settings)
    assert letter.value == poison
    assert letter.origin is not None
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (
        deployment.settings.topics.frames,
        PARTITION,
        at,
    )


def held(worker: Worker, offset: int) -> None:
    def is_held() -> bool:
        return worker.metric("tidemark_held_frame", partition=str(PARTITION)) == offset

    await_condition(is_held, f"{worker.name} stays down for the frame at {offset}:\n{worker.tail()}", seconds=120)


def refused(deployment: Deployment, *arguments: object, said: str) -> None:
    done = deployment.run("frames", "skip", "--partition", str(PARTITION), *map(str, arguments), code=REFUSED)
    assert said in done.err
    assert done.err.count("\n") == 1


def skipped_letters(settings: Settings) -> list[DeadLetter]:
    async def read() -> list[DeadLetter]:
        return [letter async for letter in read_dead_letters(settings) if letter.reason == "skipped_frame"]

    return asyncio.run(read())

"""Where each event is, and whether all that was received is explained, beside what was published."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from services.clock import now_ms
from services.counter_codec import pack, unpack
from services.event_identity import EventIdentity
from services.ledger import ENTRIES
from services.ledger_reading import ledger_answer
from services.simulated_population import Profile
from services.simulation import simulate
from services.trace import Outcome
from services.trace_answer import trace_answer
from services.trace_members import trace_members
from services.trace_reading import trace_event
from tests.support.broken import Line, mix
from tests.support.deployment import Deployment
from tests.support.event_lines import event_line
from tests.support.oracle import HOUR_MS, Oracle, read_event, to_text
from tests.support.pipeline import await_condition
from tests.support.records import Record, produce, read_partition
from tests.support.servers import Broker
from tests.support.topic_changes import committed, configure, delete_records, ends
from tests.support.worker import Worker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee]

LINES = 3_000
GROUP = "tidemark-ingest"
SAMPLE = 5
"""Ids traced of each kind."""

DIRECTORY_EVENTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A record as it lies in the topic."""

    line: Line
    partition: int
    offset: int
    broker_ms: int

    @property
    def identity(self) -> tuple[str, str, str] | None:
        """What the record says it is; None where that cannot be read."""
        try:
            event = json.loads(self.line.value)
            return event["organizationid"], event["source"], event["id"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None


@pytest.mark.timeout(180)
def test_each_event_is_found_where_it_is_and_every_record_is_explained(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    deployment = Deployment(tmp_path, kafka.bootstrap, redis_url).begin()
    try:
        begin_ms = now_ms() // HOUR_MS * HOUR_MS - 4 * HOUR_MS
        published = publish(deployment, kafka, begin_ms)
        aggregator = deployment.worker("aggregator")
        aggregator.start()
        ingest = deployment.worker("ingest")
        # The first poll is read twice: its frames are in the log when its reader dies.
        ingest.start(testing__crash_point="ingest.before_commit")
        ingest.await_exit()
        await_all_applied(deployment, kafka)

        counted = Oracle()
        for each in published:
            counted.add(each.line.value, each.broker_ms)
        check_traces(deployment, published)
        check_ledger(deployment, published, counted)
        check_a_changed_number_is_an_alarm(deployment, redis_url)
        aggregator.freeze()
        check_in_flight(deployment, kafka, ingest)
        check_frames_that_are_gone(deployment, kafka, published)
    finally:
        deployment.close()


def publish(deployment: Deployment, kafka: Broker, begin_ms: int) -> list[Published]:
    """Publish lines, broken ones among them, over the three hours from `begin_ms`; return them in order."""
    topics = deployment.settings.topics
    for topic in (topics.events, topics.directory):
        # Records of hours that ended can only come by their producer's time.
        configure(kafka.bootstrap, topic, {"message.timestamp.type": "CreateTime"})
    lines = list(mix(simulate(Profile.DEMO, 5, LINES, begin_ms), seed=7))
    times = [begin_ms + at * 3 * HOUR_MS // len(lines) for at in range(len(lines))]
    keys = [_key(line) for line in lines]
    records = [
        Record(line.value, key, timestamp_ms=time_ms) for line, key, time_ms in zip(lines, keys, times, strict=True)
    ]
    produce(kafka.bootstrap, topics.events, records)
    directory = [
        Record(_team(number, begin_ms), b"acme", timestamp_ms=times[number]) for number in range(DIRECTORY_EVENTS)
    ]
    produce(kafka.bootstrap, topics.directory, directory)
    place: dict[bytes, int] = {}
    for partition in ends(kafka.bootstrap, topics.events):
        place |= {record.key or b"": partition for record in read_partition(kafka.bootstrap, topics.events, partition)}
    offsets: Counter[int] = Counter()
    published = []
    for line, key, time_ms in zip(lines, keys, times, strict=True):
        partition = place[key]
        published.append(Published(line=line, partition=partition, offset=offsets[partition], broker_ms=time_ms))
        offsets[partition] += 1
    assert dict(offsets) == {number: end for number, end in ends(kafka.bootstrap, topics.events).items() if end}
    return published


def _key(line: Line) -> bytes:
    event = read_event(line.value)
    return b"broken" if event is None else event.identity[0].encode()


def _team(number: int, time_ms: int) -> bytes:
    """Return a change of one of three teams; versions come twice and late, and every tenth is broken."""
    event = json.loads(event_line(str(number), time_ms, type="directory.team", subject=f"t{number % 3}", teamid=None))
    data = {"action": "upsert", "version": 1 + number * 7 % 11, "name": "T", "isDefaultTeam": number % 10 < 9 or "no"}
    return json.dumps(event | {"data": data}).encode()


def await_all_applied(deployment: Deployment, kafka: Broker) -> None:
    """Wait until all is read by an ingest that lives, and all of its frames are applied: also those sent again."""
    topics = deployment.settings.topics
    wanted = {number: end for number, end in ends(kafka.bootstrap, topics.events).items() if end}
    await_condition(
        lambda: committed(kafka.bootstrap, GROUP, topics.events).items() >= wanted.items(), "all is read", seconds=60
    )
    frames = ends(kafka.bootstrap, topics.frames)
    await_condition(
        lambda: all(applied + 1 >= frames[number] for number, applied in enumerate(deployment.applied())),
        "all frames are applied",
        seconds=60,
    )


def check_traces(deployment: Deployment, published: Sequence[Published]) -> None:
    """Trace some ids of each kind, and compare with what brute force says of all records."""
    truth = outcomes_of(published)
    kinds: dict[tuple[str, ...], list[tuple[str, str, str]]] = defaultdict(list)
    for identity, found in truth.items():
        kinds[tuple(sorted({outcome for _, outcome in found}))].append(identity)
    assert set(kinds) == {("accepted",), ("accepted", "duplicate"), ("dead_lettered",)}
    sample = [identity for of_kind in kinds.values() for identity in of_kind[:: max(1, len(of_kind) // SAMPLE)]]
    answers = trace_all(deployment, sample)
    assert sum(check_answer(answer, truth[identity]) for answer, identity in zip(answers, sample, strict=True)) > SAMPLE
    never = asyncio.run(trace_answer(deployment.settings, "acme", "tests", "nobody sent this"))
    assert (never["verdict"], never["records"], never["reach"]["cutOff"]) == ("never_seen", [], [])
    assert never["reach"]["frames"]["readFrom"]["offset"] == 0
    kept = {each["partition"]: each["keptFrom"] for each in never["reach"]["events"]}
    first = next(each for each in published if each.offset == 0)
    assert kept[first.partition] == {"offset": 0, "time": to_text(first.broker_ms)}
    deployment.run("trace", "--organization", "acme", "--source", "tests", "--id", "nobody", code=1)
    check_since(deployment, kinds["accepted",][0])


def outcomes_of(published: Sequence[Published]) -> Mapping[tuple[str, str, str], list[tuple[Published, str]]]:
    """Return each identity's records in order, with what must have become of them."""
    found: dict[tuple[str, str, str], list[tuple[Published, str]]] = defaultdict(list)
    for each in published:
        if each.identity is None or not all(isinstance(part, str) for part in each.identity):
            continue
        good = read_event(each.line.value, each.broker_ms) is not None
        again = any(outcome == "accepted" for _, outcome in found[each.identity])
        found[each.identity].append((each, "dead_lettered" if not good else "duplicate" if again else "accepted"))
    return found


def check_answer(answer: Mapping[str, Any], expected: Sequence[tuple[Published, str]]) -> int:
    """Compare an answer, record by record; return how many of its records were read again."""
    assert answer["verdict"] == expected[0][1], answer
    assert answer["indexed"] == (answer["verdict"] == "accepted")
    by_outcome = [each for each in answer["records"] if each["outcome"] != "redelivered"]
    told = [(each["source"]["partition"], each["source"]["offset"], each["outcome"]) for each in by_outcome]
    assert told == [(each.partition, each.offset, outcome) for each, outcome in expected]
    again = [each for each in answer["records"] if each["outcome"] == "redelivered"]
    assert {(each["source"]["partition"], each["source"]["offset"]) for each in again} <= {
        (partition, offset) for partition, offset, _ in told
    }
    first = expected[0][0]
    for record, (each, outcome) in zip(by_outcome, expected, strict=True):
        if outcome == "dead_lettered":
            assert record["deadLetter"]["reason"] == each.line.reason
            continue
        assert record["source"]["brokerTime"] == to_millis(each.broker_ms)
        event = read_event(each.line.value)
        assert event is not None
        assert list(record["event"]["metrics"].values()) == list(event.amounts)
        if outcome == "duplicate":
            copied = record["copyOf"]
            assert (copied["partition"], copied["offset"]) == (first.partition, first.offset)
            assert record["windows"] == []
        else:
            assert windows_of(record) == {
                (team, user, window, to_text(event.time_ms // length * length))
                for team, user in {(None, None), (None, event.user), (event.team, None)}
                for window, length in (("hour", HOUR_MS), ("day", 24 * HOUR_MS))
            }
    return len(again)


def windows_of(record: Mapping[str, Any]) -> set[tuple[str | None, str | None, str, str]]:
    return {(each["team"], each["user"], each["window"], each["start"]) for each in record["windows"]}


def to_millis(instant_ms: int) -> str:
    whole = to_text(instant_ms // 1000 * 1000)
    return whole if instant_ms % 1000 == 0 else f"{whole[:-1]}.{instant_ms % 1000:03d}Z"


def check_since(deployment: Deployment, identity: tuple[str, str, str]) -> None:
    """Read nothing but frames that come later: the dedup index still knows that it was counted."""
    organization, source, event_id = identity
    event = EventIdentity(organization=organization, source=source, id=event_id)
    found, reach = asyncio.run(trace_event(deployment.settings, event, since_ms=now_ms() + HOUR_MS))
    assert reach.read_from > reach.begin
    answer = trace_members(event, found, reach)
    assert (answer["verdict"], answer["records"]) == ("accepted", [])
    assert len(answer["countedInFramesNotRead"]) == 1

    # Without time to read anything, what the index knows is told, and of the rest that it is not known.
    found, reach = asyncio.run(trace_event(deployment.settings, event, limit_s=0))
    assert found.verdict is Outcome.ACCEPTED
    topics = deployment.settings.topics
    assert set(reach.cut_off) == {topics.dead_letters, topics.frames}
    nobody = EventIdentity(organization=organization, source=source, id="nobody")
    found, _ = asyncio.run(trace_event(deployment.settings, nobody, limit_s=0))
    assert found.verdict is Outcome.UNKNOWN


def trace(deployment: Deployment, *identity: str) -> dict[str, Any]:
    [answer] = trace_all(deployment, [identity])
    return answer


def trace_all(deployment: Deployment, identities: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        # One after the other: each cuts off what it has not read in its seconds, and together they would share them.
        return [await trace_answer(deployment.settings, *identity) for identity in identities]

    return asyncio.run(ask())


def check_ledger(deployment: Deployment, published: Sequence[Published], counted: Oracle) -> None:
    """Compare the ledger with the oracle: in all, and what was received in each hour of each partition."""
    await_condition(lambda: answer_of(deployment)["balanced"] is not None, "asOf is known", seconds=60)
    found = answer_of(deployment)
    assert found["balanced"] is True, found
    topics = deployment.settings.topics
    of_events = [each for each in found["totals"] if each["topic"] == topics.events]
    sums = {
        name: sum(each[name] for each in of_events) for name in ("received", "counted", "duplicate", "deadLettered")
    }
    assert sums == {
        "received": len(published),
        "counted": counted.good,
        "duplicate": counted.copies,
        "deadLettered": counted.bad,
    }
    assert sum(each["redelivered"] for each in of_events) > 0
    told = {
        (each["partition"], each["hour"]): each["received"] for each in found["hours"] if each["topic"] == topics.events
    }
    assert told == Counter((each.partition, to_text(each.broker_ms // HOUR_MS * HOUR_MS)) for each in published)
    [of_directory] = [each for each in found["totals"] if each["topic"] == topics.directory]
    assert (of_directory["received"], of_directory["deadLettered"]) == (DIRECTORY_EVENTS, DIRECTORY_EVENTS // 10)
    assert of_directory["counted"] > 0
    assert of_directory["duplicate"] > 0


def answer_of(deployment: Deployment) -> dict[str, Any]:
    return asyncio.run(ledger_answer(deployment.settings))


def check_a_changed_number_is_an_alarm(deployment: Deployment, redis_url: str) -> None:
    """Count one more by hand; then put the number back."""
    with redis.Redis.from_url(redis_url) as client:
        key = next(iter(client.scan_iter(f"*:l:{deployment.settings.topics.events}/2/*")))
        field, value = next(iter(client.hgetall(key).items()))
        numbers = unpack([value])
        numbers[0, ENTRIES.index("counted")] += 1
        client.hset(key, field, pack(np.asarray(numbers), len(ENTRIES))[0])
        [alarm] = json.loads(deployment.run("ledger", "--json", code=1).out)["alarms"]
        assert (alarm["partition"], alarm["remainder"]) == (2, -1)
        hour = int(key.rpartition(b"/")[2]) * 24 + int(field)
        assert alarm["hour"] == to_text(hour * HOUR_MS)
        shown = deployment.run("ledger", "--since", alarm["hour"], code=1)
        assert f"{alarm['hour']} {deployment.settings.topics.events}, partition 2" in shown.err
        client.hset(key, field, value)
    assert answer_of(deployment)["balanced"] is True


def check_in_flight(deployment: Deployment, kafka: Broker, ingest: Worker) -> None:
    """Publish one event while no aggregator works: it is on its way, before ingest has packed it and after."""
    identity, line = ("acme", "tests", "on its way"), event_line("on its way", now_ms() // 1000 * 1000)
    ingest.freeze()
    produce(kafka.bootstrap, deployment.settings.topics.events, [Record(line, b"acme", timestamp_ms=now_ms())])
    answer = trace(deployment, *identity)
    assert (answer["verdict"], [each["frame"] for each in answer["records"]]) == ("in_flight", [None])
    ingest.thaw()

    def is_packed() -> bool:
        # In two frames, where the session of its reader ended while that was frozen: it reads it again.
        records = trace(deployment, *identity)["records"]
        assert {each["outcome"] for each in records} == {"in_flight"}
        return all(each["frame"] is not None for each in records)

    await_condition(is_packed, "the event is in a frame", seconds=60)
    found = deployment.run("trace", "--organization", "acme", "--source", "tests", "--id", "on its way")
    assert "in flight: packed into a frame that is not applied yet" in found.out


def check_frames_that_are_gone(deployment: Deployment, kafka: Broker, published: Sequence[Published]) -> None:
    """Take the applied frames out of the log, as retention does: that it was counted is known, not where."""
    before = {number: applied + 1 for number, applied in enumerate(deployment.applied())}
    delete_records(kafka.bootstrap, deployment.settings.topics.frames, before)
    identity = next(identity for identity, found in outcomes_of(published).items() if found[0][1] == "accepted")
    answer = trace(deployment, *identity)
    assert (answer["explanation"], answer["records"]) == ("accepted: counted, its frame is no longer kept", [])
    assert [each["verdict"] for each in trace_all(deployment, [("acme", "tests", "on its way")])] == ["in_flight"]

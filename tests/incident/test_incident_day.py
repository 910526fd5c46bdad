"""A day of incidents: in each, lag, freshness, alerts and ledger say what is so, and the runbook brings it back."""

import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.clock import now_ms
from tests.faults.load import Planned, planned_stream, seeded_load
from tests.faults.publisher import Published, Publisher
from tests.incident.day import Day, frozen
from tests.support.deployment import Deployment
from tests.support.event_lines import event_line
from tests.support.groups import INGEST_GROUP
from tests.support.kafka_server import KafkaServer
from tests.support.oracle import read_event
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.topic_changes import committed, delete_records

pytestmark = [pytest.mark.incident, pytest.mark.guarantee]

RATE = 60
"""Events a second of a day's usual traffic."""

EVENTS = 100_000
"""More than a day has time for."""

QUIET = (
    "TidemarkKafkaAway", "TidemarkRedisAway", "TidemarkLagUnknown", "TidemarkStopped", "TidemarkStalled",
    "TidemarkStale", "TidemarkFreshnessUnknown", "TidemarkApiAbsent", "TidemarkIngestAbsent", "TidemarkLedgerRemainder",
)  # fmt: skip
"""What must not fire when all is well again."""


@pytest.mark.timeout(720)
def test_a_day_of_incidents_is_told_rightly_and_the_runbook_ends_each(
    day: Day, broker: KafkaServer, redis: RedisServer
) -> None:
    with Publisher(day.deployment.settings, usual_traffic(), rate=RATE) as traffic:
        traffic.await_count(RATE)
        day.await_well()
        day.pass_minutes(8)
        day.expect(silent=(*QUIET, "TidemarkDeadLetters"))
        the_broker_is_stopped(day, broker)
        the_aggregator_is_paused(day)
        a_producer_is_poison(day)
        a_producers_clock_is_ahead(day)
        redis_is_restored_from_an_older_file(day, redis)
        traffic.finish()
    retention_overtakes_a_stopped_ingest(day)
    day.pass_minutes(8)
    day.expect(silent=QUIET)
    day.assert_right()
    day.assert_alerts()


def the_broker_is_stopped(day: Day, broker: KafkaServer) -> None:
    broker.kill()
    rows = day.await_states("unknown", of="events")
    assert {row["lag"] for row in rows} == {None}, "unknown is unknown, never 0"
    assert day.api.is_ready(), "what was counted is served on"
    before = day.freshness_seconds()
    # 10 s until the numbers are stale, less what they are old already, and five minutes until that is told.
    day.pass_minutes(16)
    after = day.freshness_seconds()
    assert before is not None
    assert after is not None
    assert after > before, "the numbers say that they grow old"
    day.expect(firing=["TidemarkKafkaAway", "TidemarkLagUnknown", "TidemarkStale"], silent=["TidemarkRedisAway"])
    told = day.deployment.run("lag", "--max-lag", "1000000", code=1)
    assert "unknown" in told.out
    broker.start()
    day.await_well()


def the_aggregator_is_paused(day: Day) -> None:
    with frozen(day.aggregator):
        rows = day.await_states("stalled", "stopped", of="frames")
        assert all(row["lag"] > 0 for row in rows)
        # Its session ends, and nobody takes over.
        rows = day.await_states("stopped", of="frames")
        assert {row["owner"] for row in rows} == {"nobody"}
        day.pass_minutes(9)
        assert (day.freshness_seconds() or 0) > 10
        day.expect(firing=["TidemarkStopped", "TidemarkStale"], silent=["TidemarkKafkaAway", "TidemarkRedisAway"])
        out = day.deployment.run("lag", "--rates", "5", "--max-age", "5s", code=1).out
        assert "stopped" in out
    day.await_well()


def a_producer_is_poison(day: Day) -> None:
    with Publisher(day.deployment.settings, poison(), rate=10) as producer:
        # By minutes: a machine that takes long for a scrape has few of them in the time of so many records.
        day.pass_minutes(14)
        day.expect(firing=["TidemarkDeadLetters"], silent=["TidemarkStopped", "TidemarkKafkaAway"])
        producer.finish()
    day.await_well()
    [listed] = day.commands("tidemark dead-letters list --reason negative --json")
    letters = [json.loads(line) for line in listed.splitlines()]
    assert letters
    [shown] = day.commands(f"tidemark dead-letters show {letters[0]['id']}")
    assert "interactions" in shown
    for letter in letters:
        letter["event"]["data"]["interactions"] = 1
    corrected = day.directory / "corrected.ndjson"
    corrected.write_text("".join(json.dumps(letter) + "\n" for letter in letters))
    day.commands(f"tidemark dead-letters replay --edit {corrected}")
    day.commands(f"tidemark dead-letters replay --edit {corrected} --again")  # counts nothing twice
    day.await_well()


def a_producers_clock_is_ahead(day: Day) -> None:
    ahead = [Planned(partition=0, value=line) for line in lines_ahead(20, seconds=25)]
    with Publisher(day.deployment.settings, ahead) as producer:
        published = producer.wait()
    day.await_well()
    [listed] = day.commands("tidemark dead-letters list --reason in_the_future --json")
    offsets = {(letter["partition"], letter["offset"]) for letter in map(json.loads, listed.splitlines())}
    assert offsets >= {(each.partition, each.offset) for each in published}
    time_has_come(published)
    day.commands("tidemark dead-letters replay --reason in_the_future")
    day.await_well()


def redis_is_restored_from_an_older_file(day: Day, redis: RedisServer) -> None:
    copy = redis.copy_files()
    applied = day.deployment.applied()
    await_condition(
        lambda: all(now > before + 8 for now, before in zip(day.deployment.applied(), applied, strict=True)),
        "each partition is so many frames on that a look a second sees it go back",
        seconds=60,
    )
    before = day.aggregator.pid
    redis.kill()
    redis.restore_files(copy)
    redis.start()
    # The one that sees it ends; the next one tells of it, when it has started.
    await_condition(
        lambda: day.aggregator.pid != before and (day.aggregator.metric("tidemark_redis_rollbacks_total") or 0) > 0,
        "the next aggregator tells of the rollback",
        seconds=60,
    )
    day.pass_minutes(2)
    day.expect(firing=["TidemarkRedisRollback"])
    day.await_states("rewound")
    day.pass_minutes(2)
    day.expect(firing=["TidemarkRewound"])
    day.await_well()
    [out] = day.commands("tidemark verify --json")
    assert json.loads(out)["differences"] == []


def retention_overtakes_a_stopped_ingest(day: Day) -> None:
    day.deployment.catch_up()
    day.read_events()
    day.ingest.stop()
    with Publisher(day.deployment.settings, seeded_load(8, 600, 4)) as producer:
        published = producer.wait()
    day.await_states("stopped", of="events")
    day.pass_minutes(6)
    day.expect(firing=["TidemarkStopped", "TidemarkIngestAbsent"], silent=["TidemarkRecordsLost"])
    lost = taken_by_retention(day.deployment, published)
    day.start_ingest()
    day.await_well()
    day.pass_minutes(3)
    day.expect(firing=["TidemarkRecordsLost"], silent=["TidemarkIngestAbsent"])
    assert day.ingest.metric("tidemark_lost_records_total") == lost


def taken_by_retention(deployment: Deployment, published: Sequence[Published]) -> int:
    """Delete the first half of what ingest has yet to read of two partitions, and return how many records that is."""
    kafka, topic = deployment.settings.kafka.bootstrap_servers, deployment.settings.topics.events
    begin = committed(kafka, INGEST_GROUP, topic)
    ends = {number: max(each.offset for each in published if each.partition == number) + 1 for number in (0, 1)}
    before = {number: (begin[number] + end) // 2 for number, end in ends.items()}
    delete_records(kafka, topic, before)
    return sum(offset - begin[number] for number, offset in before.items())


def usual_traffic() -> Iterator[Planned]:
    """Yield the load, of what is refused a quarter: all of it is about the 1 % from which the alert fires, or not."""
    at_ms, refused = now_ms(), itertools.count()
    for planned in planned_stream(7, EVENTS, 4, end_ms=at_ms):
        if read_event(planned.value, at_ms) is not None or next(refused) % 4 == 0:
            yield planned


def poison() -> Iterator[Planned]:
    """Yield what a producer with a bug sends: three kinds of broken events, again and again."""
    for number in range(10_000):
        event_id, at_ms = f"poison-{number}", now_ms()
        value = (
            event_line(event_id, at_ms, data={"interactions": -1}),
            event_line(event_id, at_ms)[:-20],
            event_line(event_id, at_ms, organizationid="usage"),
        )[number % 3]
        yield Planned(partition=number % 4, value=value)


def lines_ahead(count: int, seconds: float) -> Iterator[bytes]:
    for number in range(count):
        yield event_line(f"ahead-{number}", now_ms() + round(seconds * 1000))


def time_has_come(published: Sequence[Published]) -> None:
    """Wait until the events of a clock that is ahead lie in the present."""
    latest = max(datetime.fromisoformat(json.loads(each.value)["time"]) for each in published)
    await_condition(lambda: datetime.now(UTC) > latest - timedelta(seconds=5), "their time comes", seconds=60)

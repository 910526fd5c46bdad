from collections.abc import Mapping

import pytest

from services.counters import PartitionState, SourcePosition
from services.group_members import NOBODY, Member, group_members
from services.identifiers import Epoch, FrameOffset
from services.lag_limits import LagLimits
from services.lag_looks import Away, Logs, Look, look_of, positions, within_window
from services.lag_metrics import LagMetrics
from services.lag_report import LagRow, freshness_rows, lag_rows
from services.settings import KafkaSettings, TopicSettings
from services.telemetry import Telemetry
from tests.support.groups import AGGREGATOR_GROUP, INGEST_GROUP

pytestmark = pytest.mark.unit

TOPICS = TopicSettings(frames_partitions=2)
EVENTS, FRAMES = TOPICS.events, TOPICS.frames
KAFKA = KafkaSettings()


def slot(applied: int, next_offset: int, read_up_to_ms: int | None = None) -> PartitionState:
    return PartitionState(
        epoch=Epoch(1),
        applied_offset=FrameOffset(applied),
        frame_id=None,
        partitions=2,
        fingerprint="f",
        source_partitions={EVENTS: 1},
        sources={(EVENTS, 0): SourcePosition(next_offset=next_offset, read_up_to_ms=read_up_to_ms)},
    )


INGEST = Member(client_id="ingest-1", host="/10.0.0.7", partitions=((EVENTS, 0),))
LOGS = Logs(
    ends={(EVENTS, 0): 12, (FRAMES, 0): 6, (FRAMES, 1): 6},
    waiting_since_ms={(EVENTS, 0): 95_000},
    groups={INGEST_GROUP: group_members("Stable", [INGEST]), AGGREGATOR_GROUP: group_members("Empty", [])},
)
STATES = [slot(4, 10, 99_000), slot(5, 12, 98_500)]


def look(
    logs: Logs = LOGS,
    states: list[PartitionState | None] | None = None,
    *,
    at_s: float = 0,
    away: Away | None = None,
    before: Look | None = None,
    kafka: KafkaSettings = KAFKA,
) -> Look:
    slots = list(STATES) if states is None else states
    return look_of(TOPICS, logs, slots, away or Away(), before=before, at_s=at_s, at_ms=100_000, kafka=kafka)


def rows(*looks: Look) -> dict[tuple[str, int], LagRow]:
    return {(row.topic, row.partition): row for row in lag_rows(looks, 10.0)}


def test_a_row_says_who_reads_the_partition_and_how_long_the_oldest_record_waits() -> None:
    found = rows(look())
    events = found[EVENTS, 0]
    assert (events.end, events.applied, events.lag, events.age_seconds) == (12, 10, 2, 5.0)
    assert events.owner == "ingest-1 at 10.0.0.7"
    assert (found[FRAMES, 0].lag, found[FRAMES, 0].age_seconds, found[FRAMES, 0].owner) == (1, None, NOBODY)
    assert (found[FRAMES, 1].lag, found[FRAMES, 1].age_seconds, found[FRAMES, 1].state) == (0, 0.0, "ok")
    assert found[FRAMES, 0].state == "stopped"


def test_the_readers_of_another_deployment_on_the_same_topics_are_not_taken_for_this_ones() -> None:
    found = rows(look(kafka=KafkaSettings(group_prefix="tidemark-2")))
    assert found[EVENTS, 0].owner is found[FRAMES, 0].owner is None
    assert (KAFKA.ingest_group, KAFKA.aggregator_group) == (INGEST_GROUP, AGGREGATOR_GROUP)


@pytest.mark.parametrize("state", ["PreparingRebalance", "CompletingRebalance", ""])
def test_the_owners_of_a_group_that_is_being_divided_are_unknown(state: str) -> None:
    assert group_members(state, [INGEST]).owner((EVENTS, 0)) is None


def test_the_owners_are_unknown_where_a_broker_does_not_say_what_a_member_was_given() -> None:
    silent = Member(client_id="m", host="", partitions=None)
    assert group_members("Stable", [INGEST, silent]).owner((EVENTS, 1)) is None
    assert group_members("Stable", [INGEST]).owner((EVENTS, 1)) == NOBODY


def test_with_kafka_away_all_but_applied_and_freshness_is_unknown() -> None:
    seen = look(Logs(), away=Away(kafka="gone"))
    events = rows(seen)[EVENTS, 0]
    assert (events.end, events.applied, events.lag, events.age_seconds, events.owner) == (None, 10, None, None, None)
    assert events.state == "unknown"
    assert [(row.partition, row.seconds) for row in freshness_rows(seen)] == [(0, 1.0), (1, 1.5)]


def test_with_redis_away_ends_are_known_and_the_rest_is_unknown() -> None:
    seen = look(states=[None, None], away=Away(redis="gone"))
    events = rows(seen)[EVENTS, 0]
    assert (events.end, events.applied, events.lag, events.state) == (12, None, None, "unknown")
    assert [row.seconds for row in freshness_rows(seen)] == [None, None]


def test_a_partition_stays_in_sight_while_kafka_is_away_and_goes_when_kafka_says_so() -> None:
    gone = look(Logs(), [None, None], away=Away(kafka="gone", redis="gone"), before=look())
    assert rows(look(), gone).keys() == rows(look()).keys()
    assert {row.state for row in rows(gone).values()} == {"unknown"}
    there = look(Logs(ends={(FRAMES, 0): 6, (FRAMES, 1): 6}), [None, None], before=gone)
    assert (EVENTS, 0) not in rows(there)


def test_a_topic_that_kafka_no_longer_has_is_forgotten_by_the_metrics() -> None:
    telemetry, seen = Telemetry("api"), [look()]
    metrics = LagMetrics(telemetry, lambda: lag_rows(seen, 10.0))
    metrics.seen(seen[-1])
    seen.append(look(Logs(ends={(FRAMES, 0): 6, (FRAMES, 1): 6}), [None, None], before=seen[-1]))
    metrics.seen(seen[-1])
    assert not [labels for labels in series(telemetry, "tidemark_lag_state") if EVENTS in labels]


def test_the_next_record_that_is_not_applied_is_asked_about_where_it_is_known() -> None:
    assert positions(TOPICS, STATES) == {(EVENTS, 0): 10, (FRAMES, 0): 5, (FRAMES, 1): 6}
    assert positions(TOPICS, [slot(4, 10), None]) == {(FRAMES, 0): 5}


def test_a_window_holds_the_looks_of_a_minute_and_two_in_any_case() -> None:
    looks = [look(at_s=at_s) for at_s in (0.0, 30.0, 60.0, 91.0)]
    assert [each.at_s for each in within_window(looks, 91.0)] == [60.0, 91.0]
    assert [each.at_s for each in within_window(looks, 500.0)] == [60.0, 91.0]
    assert [each.at_s for each in within_window(looks, 60.0)] == [0.0, 30.0, 60.0, 91.0]


def test_limits_are_kept_by_what_is_at_them_and_never_by_what_is_unknown() -> None:
    found = list(rows(look()).values())
    assert LagLimits(lag=2).broken(found) == []
    assert LagLimits(lag=1).broken(found) == ["usage.events, partition 0: 2 records wait, and --max-lag is 1"]
    sentences = LagLimits(age_s=5.0).broken(found)
    assert sentences == ["usage.frames, partition 0: the oldest record waits an unknown time, and --max-age is 5 s"]
    away = list(rows(look(Logs())).values())
    assert len(LagLimits(lag=10**9).broken(away)) == len(away)


def series(telemetry: Telemetry, name: str) -> Mapping[str, float]:
    """Return a metric's values by their labels, in the text's order."""
    lines = telemetry.exposition()[1].decode().splitlines()
    return {
        line.partition("{")[2].partition("}")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(name + "{")
    }


def test_metrics_say_what_is_known_and_forget_what_no_longer_is() -> None:
    telemetry, seen = Telemetry("api"), [look()]
    metrics = LagMetrics(telemetry, lambda: lag_rows(seen, 10.0))
    metrics.seen(seen[-1])
    assert series(telemetry, "tidemark_lag_records")['partition="0",topic="usage.events"'] == 2
    assert series(telemetry, "tidemark_oldest_unapplied_seconds")['partition="0",topic="usage.events"'] == 5
    assert 'partition="0",topic="usage.frames"' not in series(telemetry, "tidemark_oldest_unapplied_seconds")
    assert 'partition="0",state="stopped",topic="usage.frames"' in series(telemetry, "tidemark_lag_state")
    assert list(series(telemetry, "tidemark_freshness_seconds").values()) == [1.0, 1.5]
    seen.append(look(Logs(), [None, None], at_s=10, away=Away(kafka="gone", redis="gone"), before=seen[-1]))
    metrics.seen(seen[-1])
    for name in ("lag_records", "oldest_unapplied_seconds", "drain_seconds", "freshness_seconds"):
        assert series(telemetry, f"tidemark_{name}") == {}
    assert set(series(telemetry, "tidemark_lag_state")) == {
        f'partition="{partition}",state="unknown",topic="{topic}"' for topic, partition in LOGS.ends or ()
    }
    assert series(telemetry, "tidemark_looks_total") == {
        'result="kafka_away"': 1,
        'result="ok"': 1,
        'result="redis_away"': 1,
    }

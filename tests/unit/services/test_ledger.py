import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from aggregator.skipping import request_of
from services import ledger_reading
from services.counters import Applied, PartitionState, SourcePosition, StoreRefused
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.ledger import ENTRIES, HourState, Ledger, Row, Slot, sum_up
from services.ledger_gauges import LedgerGauges
from services.ledger_members import ledger_members
from services.ledger_reading import ENDING_S, hours_to_read, read_ledger
from services.settings import EventSettings, Settings, TopicSettings
from services.telemetry import Telemetry
from services.windows import DAY_MS, HOUR_MS, HOURS_PER_DAY
from tests.support.event_lines import event_line
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import DIRECTORY, SECRET, TopicReader

pytestmark = pytest.mark.unit

EVENTS = "events"
AS_OF_MS = 12 * HOUR_MS


def state(as_of_ms: int | None = AS_OF_MS, partitions: int = 2) -> PartitionState:
    return PartitionState(
        epoch=Epoch(1),
        applied_offset=FrameOffset(0),
        frame_id=None,
        partitions=2,
        fingerprint="f",
        source_partitions={EVENTS: partitions},
        sources={
            (EVENTS, number): SourcePosition(next_offset=9, read_up_to_ms=as_of_ms) for number in range(partitions)
        },
    )


def row(received: int = 0, counted: int = 0, duplicate: int = 0, redelivered: int = 0, dead: int = 0) -> list[int]:
    return [received, counted, duplicate, redelivered, dead]


def summed(*slots: Slot) -> Ledger:
    return sum_up(slots, [EVENTS, DIRECTORY], 0, 24)


def two_slots(**changes: Sequence[int]) -> Ledger:
    """Hours 10 and 11 of both partitions over two slots, in which everything is explained, with rows changed."""
    rows: dict[str, dict[Row, Sequence[int]]] = {
        "home": {(EVENTS, 0, 10): row(10, 4, 1, 2, 1), (EVENTS, 0, 11): row(5, 5), (EVENTS, 1, 11): row(0, 3)},
        "other": {(EVENTS, 0, 10): row(0, 3, 1), (EVENTS, 1, 11): row(7, 2, 1, 0, 1)},
    }
    for name, numbers in changes.items():
        slot, partition, hour = name.split("_")
        rows[slot][EVENTS, int(partition), int(hour)] = numbers
    return summed(*[Slot(state=state(), rows=of_slot) for of_slot in rows.values()])


def test_the_equation_holds_over_the_sum_of_all_slots() -> None:
    ledger = two_slots()
    assert ledger.balanced is True
    assert [(each.partition, each.hour, each.received, each.remainder) for each in ledger.hours] == [
        (0, 10, 10, 0),
        (0, 11, 5, 0),
        (1, 11, 7, 0),
    ]


@given(entry=st.sampled_from(ENTRIES), slot=st.sampled_from(["home", "other"]), by=st.integers(1, 1_000))
def test_an_altered_number_is_a_remainder_of_that_hour_and_partition_alone(entry: str, slot: str, by: int) -> None:
    numbers = dict(zip(ENTRIES, row(10, 4, 1, 2, 1) if slot == "home" else row(0, 3, 1), strict=True))
    numbers[entry] += by
    ledger = two_slots(**{f"{slot}_0_10": list(numbers.values())})
    if entry == "redelivered":
        assert ledger.balanced is True
    else:
        assert ledger.balanced is False
        [alarm] = ledger.alarms
        assert (alarm.topic, alarm.partition, alarm.hour) == (EVENTS, 0, 10)
        assert alarm.remainder == (by if entry == "received" else -by)


def test_one_hours_surplus_does_not_hide_anothers_lack() -> None:
    ledger = two_slots(home_0_10=row(11, 4, 1, 2, 1), home_0_11=row(5, 6))
    assert [each.remainder for each in ledger.alarms] == [1, -1]
    assert ledger_members(ledger)["totals"][0]["unexplained"] == 2


@pytest.mark.parametrize(
    ("as_of_ms", "expected"), [(12 * HOUR_MS, HourState.CLOSED), (12 * HOUR_MS - 1, HourState.OPEN)]
)
def test_an_hour_is_closed_once_as_of_has_reached_its_end_in_every_slot(as_of_ms: int, expected: HourState) -> None:
    ledger = summed(
        Slot(state=state(AS_OF_MS + HOUR_MS), rows={(EVENTS, 0, 11): row(5, 3)}), Slot(state=state(as_of_ms), rows={})
    )
    assert [each.state for each in ledger.hours] == [expected]
    assert (ledger.hours[0].remainder, ledger.balanced) == (
        (2, False) if expected is HourState.CLOSED else (None, True)
    )


@pytest.mark.parametrize("other", [None, state(None), state(partitions=1)], ids=["no state", "no time", "no partition"])
def test_what_one_slot_has_not_heard_of_makes_as_of_unknown_and_no_verdict(other: PartitionState | None) -> None:
    ledger = summed(Slot(state=state(), rows={(EVENTS, 0, 1): row(5, 3)}), Slot(state=other, rows={}))
    assert (ledger.as_of_ms, ledger.balanced) == ({EVENTS: None}, None)
    assert [(each.state, each.remainder) for each in ledger.hours] == [(HourState.UNKNOWN, None)]
    members = ledger_members(ledger)
    assert (members["balanced"], members["asOf"], members["hours"][0]["remainder"]) == (None, {EVENTS: None}, None)


def test_a_store_that_has_heard_of_nothing_gives_no_verdict() -> None:
    assert summed(Slot(state=None, rows={})).balanced is None


def test_a_day_whose_rows_are_about_to_end_is_not_read() -> None:
    keep_s, day = 45 * 86_400, 20_000
    end_s = (day + 1) * 86_400 + keep_s
    assert hours_to_read(keep_s, (end_s - ENDING_S - 1) * 1000)[0] == day * HOURS_PER_DAY
    assert hours_to_read(keep_s, (end_s - ENDING_S) * 1000)[0] == (day + 1) * HOURS_PER_DAY
    assert hours_to_read(keep_s, end_s * 1000, first_hour=0)[0] == (day + 1) * HOURS_PER_DAY
    assert hours_to_read(None, end_s * 1000, first_hour=7, next_hour=9) == (7, 9)


def test_metrics_have_the_remainder_and_the_last_day_and_go_when_as_of_is_unknown() -> None:
    telemetry = Telemetry("api")

    def series() -> set[str]:
        lines = telemetry.exposition()[1].decode().splitlines()
        return {line.removeprefix("tidemark_ledger_") for line in lines if line.startswith("tidemark_ledger_")}

    gauges = LedgerGauges(telemetry)
    gauges.show(two_slots(home_0_10=row(12, 4, 1, 2, 1), home_0_11=row(5, 6)))
    assert 'remainder{partition="0",topic="events"} 3.0' in series()
    assert 'remainder{partition="1",topic="events"} 0.0' in series()
    assert 'records{partition="0",result="received",topic="events"} 17.0' in series()
    assert 'records{partition="0",result="redelivered",topic="events"} 2.0' in series()
    later = state(36 * HOUR_MS)
    gauges.show(
        sum_up([Slot(state=later, rows={(EVENTS, 0, 11): row(9, 5), (EVENTS, 0, 12): row(1, 1)})], [EVENTS], 0, 48)
    )
    assert 'remainder{partition="0",topic="events"} 4.0' in series()
    assert 'records{partition="0",result="received",topic="events"} 1.0' in series()
    gauges.show(summed(Slot(state=state(None), rows={})))
    assert series() == set()
    gauges.show(two_slots())
    gauges.show(None)
    assert series() == set()


async def test_usage_and_directory_records_add_up_in_what_the_fold_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_reading, "HASHES_PER_READ", 2)
    first_ms = 20_000 * DAY_MS
    monkeypatch.setattr(ledger_reading, "now_ms", lambda: first_ms + 5 * DAY_MS)
    store = await begun(3)
    reader = TopicReader(3, first_ms=first_ms)
    usage = [event_line(str(number % 20), first_ms, organizationid=f"org{number % 4}") for number in range(60)]
    directory = [_team(f"org{number % 4}", f"t{number % 3}", version=number % 7 + 1) for number in range(40)]
    lines = [*usage[:30], b"broken", *usage[30:]]
    logs = reader.read(lines, [*directory, b"{}"])
    await fold_logs(store, logs, [2])
    await fold_logs(store, reader.read_again(0, 0))

    settings = Settings(topics=TopicSettings(events=EVENTS, directory=DIRECTORY, frames_partitions=3))
    ledger = await read_ledger(settings, store)
    assert ledger.balanced is True
    totals = {each["topic"]: each for each in ledger_members(ledger)["totals"]}
    # 61 and 41 records, three an hour: asOf is the time of the last one, which leaves its hour open.
    assert (totals[EVENTS]["received"], totals[EVENTS]["deadLettered"], totals[EVENTS]["unexplained"]) == (60, 1, 0)
    assert totals[EVENTS]["duplicate"] > 0
    assert totals[EVENTS]["redelivered"] == totals[EVENTS]["received"]
    assert (totals[DIRECTORY]["received"], totals[DIRECTORY]["deadLettered"]) == (41, 1)
    assert totals[DIRECTORY]["counted"] + totals[DIRECTORY]["duplicate"] == 40
    assert totals[DIRECTORY]["duplicate"] > 0
    assert totals[DIRECTORY]["redelivered"] == 41


@pytest.mark.parametrize("field", [(b"3", b"rubbish"), (b"noon", b"")])
async def test_what_is_no_row_is_refused_in_a_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, field: tuple[bytes, bytes]
) -> None:
    monkeypatch.setattr(ledger_reading, "now_ms", lambda: 20_001 * DAY_MS)
    store = await begun(1)
    logs = TopicReader(1, first_ms=20_000 * DAY_MS).read([event_line("a", 20_000 * DAY_MS)])
    await fold_logs(store, logs)
    [key] = [key for key in store.partitions[0].hashes if ":l:" in key]
    store.partitions[0].hashes[key].update([field])
    settings = Settings(topics=TopicSettings(events=EVENTS, directory=DIRECTORY, frames_partitions=1))
    with pytest.raises(StoreRefused, match=f"^{re.escape(key)} in Redis holds what is no row"):
        await read_ledger(settings, store)


def _team(organization: str, team: str, version: int) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{organization}-{team}-{version}",
            "source": "tests",
            "type": "directory.team",
            "time": "2024-10-04T00:00:00Z",
            "subject": team,
            "organizationid": organization,
            "data": {"action": "upsert", "version": version, "name": "T", "isDefaultTeam": False},
        }
    ).encode()


async def test_a_skipped_frame_leaves_exactly_its_events_until_it_is_published_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first_ms = 20_000 * DAY_MS
    monkeypatch.setattr(ledger_reading, "now_ms", lambda: first_ms + DAY_MS)
    settings = Settings(
        topics=TopicSettings(events=EVENTS, directory=DIRECTORY, frames_partitions=1),
        events=EventSettings(identity_secret=SecretStr(SECRET)),
    )
    store, partition = await begun(1), PartitionId(0)
    lines = [event_line(str(number), first_ms) for number in range(9)]
    [frames] = TopicReader(1, first_ms=first_ms).read([*lines, b"broken", event_line("end", first_ms)])
    for frame in frames:
        state = await store.state(partition)
        assert state is not None
        if frame is frames[1]:
            request, events = await request_of(settings, store, partition, state, frame)
            assert (await store.apply(partition, request), events) == (Applied(), 3)
        else:
            await fold_logs(store, [[frame]])
    assert [each.remainder for each in (await read_ledger(settings, store)).alarms] == [3]
    await fold_logs(store, [[frames[1]]])
    ledger = await read_ledger(settings, store)
    assert ledger.balanced is True
    assert [(each.received, each.counted) for each in ledger.hours if each.remainder == 0] == [(3, 3)] * 3

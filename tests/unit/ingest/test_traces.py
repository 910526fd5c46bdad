"""Sampled traces of events go with their partition; what is not sampled, wrong or refused does not."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from ingest.admission import Admission
from ingest.directory_admission import DirectoryAdmission
from ingest.poll import CHUNK, Collector, Poll, Source
from ingest.traces import TRACES_MAX, carried_by_partition
from services.identity import identity_hasher
from services.keyspace import partition_of
from services.trace_context import TRACEPARENT, CarriedTrace, TraceContext
from tests.support.log_of_frames import RULES, SECRET, FakeRecord
from tests.unit.ingest.good_events import DATA, TIME_MS, compact, event

PARTITIONS = 4
FIRST_OFFSET = 100


def context(number: int) -> TraceContext:
    return TraceContext(trace_id=f"{number:032x}", span_id=f"{number:016x}")


def line(number: int, organization: str) -> bytes:
    return compact(event(id=f"id-{number}", organizationid=organization))


def record(at: int, value: bytes, *headers: tuple[str, bytes]) -> FakeRecord:
    return FakeRecord(offset=FIRST_OFFSET + at, timestamp=TIME_MS, value=value, headers=headers)


def traced(at: int, organization: str, trace: TraceContext) -> FakeRecord:
    return record(at, line(at, organization), (TRACEPARENT, str(trace).encode()))


def polled(*sources: Sequence[FakeRecord]) -> Poll:
    """Return what a worker reads of these source partitions in one poll."""
    collector = Collector(Admission(RULES), DirectoryAdmission(RULES), identity_hasher(SECRET), PARTITIONS)
    gathering = collector.begin()
    read = [gathering.collect(number, records) for number, records in enumerate(sources)]
    return collector.poll(
        gathering,
        [
            Source(
                topic="usage.events",
                partition=number,
                first_offset=FIRST_OFFSET,
                next_offset=FIRST_OFFSET + len(offsets),
                read_up_to_ms=None,
                offsets=offsets,
                broker_ms=times,
            )
            for number, (offsets, times) in enumerate(read)
        ],
    )


def carried(trace: TraceContext, at: int, partition: int = 0) -> CarriedTrace:
    return CarriedTrace(context=trace, topic="usage.events", partition=partition, offset=FIRST_OFFSET + at)


@pytest.mark.parametrize("chunk", [2, CHUNK])
def test_a_trace_goes_to_the_partition_of_its_event_with_the_events_coordinates(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.poll.CHUNK", chunk)
    plain = [record(at, line(at, "acme")) for at in range(3)]
    poll = polled(
        [*plain, record(3, b"rubbish"), traced(4, "acme", context(1)), traced(5, "globex", context(2))],
        [record(0, line(90, "acme")), traced(1, "acme", context(3))],
    )
    assert len(poll.partitions) == 7
    expected: dict[int, list[CarriedTrace]] = {partition_of(name, PARTITIONS): [] for name in ("acme", "globex")}
    expected[partition_of("acme", PARTITIONS)].append(carried(context(1), 4))
    expected[partition_of("globex", PARTITIONS)].append(carried(context(2), 5))
    expected[partition_of("acme", PARTITIONS)].append(carried(context(3), 1, partition=1))
    assert carried_by_partition(poll) == expected


def test_what_is_not_sampled_wrong_or_refused_is_not_carried() -> None:
    header = (TRACEPARENT, str(context(5)).encode())
    poll = polled(
        [
            record(0, line(0, "acme"), (TRACEPARENT, str(context(1)).encode()[:-2] + b"00")),
            record(1, line(1, "acme"), (TRACEPARENT, b"rubbish")),
            record(2, line(2, "acme"), ("another", b"header")),
            record(3, b"rubbish", header),
        ]
    )
    assert len(poll.letters) == 1
    assert carried_by_partition(poll) == {}


def test_of_many_traces_the_first_are_carried_each_once() -> None:
    poll = polled([traced(at, "acme", context(1 + at // 2)) for at in range(4 * TRACES_MAX)])
    [traces] = carried_by_partition(poll).values()
    assert traces == [carried(context(1 + number), 2 * number) for number in range(TRACES_MAX)]


def test_an_event_in_binary_mode_carries_its_trace_too() -> None:
    attributes = event("data", organizationid="acme")
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    value = json.dumps(DATA["usage.chat"]).encode()
    poll = polled([record(0, value, *headers, (TRACEPARENT, str(context(1)).encode()))])
    assert not poll.letters
    assert carried_by_partition(poll) == {partition_of("acme", PARTITIONS): [carried(context(1), 0)]}


def test_traces_change_nothing_of_the_events() -> None:
    with_traces = polled([traced(at, "acme", context(1 + at)) for at in range(10)])
    without = polled([record(at, line(at, "acme")) for at in range(10)])
    assert with_traces.events.keys() == without.events.keys()
    for name, column in with_traces.events.items():
        np.testing.assert_array_equal(column, without.events[name])

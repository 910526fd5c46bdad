"""Packing: every event in one frame of its partition, and no frame claims what a later one brings."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ingest.poll
from ingest.admission import Admission
from ingest.directory_admission import DirectoryAdmission
from ingest.packing import Packer, PackingLimits, home_of
from ingest.poll import Collector, Poll, Source
from services.directory import Thing
from services.directory_records import decode_record
from services.frames import COUNTER_COLUMNS, Frame, decode_frame
from services.identifiers import PartitionId
from services.identity import identity_hasher
from services.keyspace import partition_of
from services.metrics_contract import PRODUCTS
from services.windows import HOUR_MS
from tests.support.log_of_frames import FINGERPRINT, RULES, SECRET, FakeRecord

TIME_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, the time of every event
TOPIC = "usage.events"
DIRECTORY = "usage.directory"


def event(number: int, organization: str, **more: object) -> bytes:
    fields: dict[str, object] = {
        "specversion": "1.0",
        "id": f"id-{number}",
        "source": "svc/a",
        "type": "usage.chat",
        "time": "2026-01-01T00:00:00Z",
        "subject": f"user-{number % 3}",
        "organizationid": organization,
        "data": {"interactions": number % 1_000, "model": f"model-{number % 2}"},
    }
    return json.dumps(fields | more).encode()


def change(number: int, organization: str) -> bytes:
    """Return a directory event: every fourth of an organization, whose unit is the tree."""
    kind, subject = ("organization", organization) if number % 4 == 0 else ("group", f"group-{number % 3}")
    data = {"action": "upsert", "version": number, "name": "n" * (number % 100 + 1)}
    if number % 5 == 0:
        data = {"action": "delete", "version": number}
    return event(number, organization, type=f"directory.{kind}", subject=subject, data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What one source partition brought: records, and how far its position went beyond the last one."""

    records: Sequence[FakeRecord]
    beyond: int = 0
    topic: str = TOPIC


@st.composite
def polled(draw: st.DrawFn) -> Polled:
    """Return records with gaps between their offsets, some not accepted, in up to three hours of broker time."""
    topic = draw(st.sampled_from([TOPIC, TOPIC, DIRECTORY]))
    offset, broker_ms, records = draw(st.integers(0, 2**40)), TIME_MS, []
    for _ in range(draw(st.integers(0, 12))):
        offset += draw(st.sampled_from([1, 1, 1, 2, 50]))
        broker_ms += draw(st.sampled_from([0, 0, 1, HOUR_MS // 2]))
        organization = draw(st.sampled_from(["acme", "globex", "initech", "umbrella"]))
        good = change(offset, organization) if topic == DIRECTORY else event(offset, organization)
        value = draw(st.sampled_from([good, good, good, b"{}", None]))
        records.append(FakeRecord(offset=offset, timestamp=broker_ms, value=value))
    return Polled(records=records, beyond=draw(st.integers(0, 3)), topic=topic)


@pytest.fixture(autouse=True, scope="module")
def _small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest.poll, "CHUNK", 3)
        yield


POLLS = st.lists(polled(), min_size=1, max_size=4)
LIMITS = st.builds(
    PackingLimits,
    partitions=st.sampled_from([1, 2, 3, 16]),
    events=st.integers(1, 6),
    bytes=st.sampled_from([1, 700, 900_000]),
)


def poll_of(sources: Sequence[Polled], partitions: int) -> Poll:
    collector = Collector(Admission(RULES), DirectoryAdmission(RULES), identity_hasher(SECRET), partitions)
    gathering = collector.begin()
    rows = []
    for number, each in enumerate(sources):
        collect = gathering.collect_directory if each.topic == DIRECTORY else gathering.collect
        offsets, broker_ms = collect(number, each.records)
        first = int(offsets[0]) if len(offsets) else 7
        rows.append(
            Source(
                topic=each.topic,
                partition=number,
                first_offset=first,
                next_offset=(int(offsets[-1]) + 1 if len(offsets) else first) + each.beyond,
                read_up_to_ms=TIME_MS + number,
                offsets=offsets,
                broker_ms=broker_ms,
            )
        )
    return collector.poll(gathering, rows)


def pack(poll: Poll, limits: PackingLimits) -> list[list[Frame]]:
    """Return each partition's frames, decoded."""
    numbers = iter(range(1, 10_000))
    packer = Packer(limits, FINGERPRINT, lambda: next(numbers))
    return [
        [
            decode_frame(data)
            for data in packer.frames(
                poll,
                PartitionId(partition),
                np.flatnonzero(poll.partitions == partition),
                {TOPIC: len(poll.sources)},
            )
        ]
        for partition in range(limits.partitions)
    ]


def events_of(frame: Frame) -> list[tuple[int, int]]:
    return list(zip(frame.events["source"].tolist(), frame.events["offset"].tolist(), strict=True))


def changes_of(frame: Frame) -> list[tuple[int, int]]:
    return [(row.source, row.offset) for row in frame.directory]


def accepted_of(sources: Sequence[Polled], topic: str) -> dict[tuple[int, int], FakeRecord]:
    """Return the good records of a topic's sources by source and offset."""
    return {
        (number, record.offset): record
        for number, each in enumerate(sources)
        for record in each.records
        if each.topic == topic and record.value not in (None, b"{}")
    }


def rejected_of(frame: Frame) -> list[tuple[int, int]]:
    return list(zip(frame.rejected["source"].tolist(), frame.rejected["offset"].tolist(), strict=True))


@given(POLLS, LIMITS)
def test_every_event_is_in_exactly_one_frame_of_its_organizations_partition(
    sources: list[Polled], limits: PackingLimits
) -> None:
    poll = poll_of(sources, limits.partitions)
    found = []
    for partition, frames in enumerate(pack(poll, limits)):
        for frame in frames:
            found += events_of(frame)
            for row in range(frame.event_count):
                organization = frame.strings[frame.events["organization"][row]]
                assert partition_of(organization, limits.partitions) == partition
    assert Counter(found) == Counter(accepted_of(sources, TOPIC).keys())


@given(POLLS, LIMITS)
def test_every_directory_event_is_in_exactly_one_frame_of_its_units_partition(
    sources: list[Polled], limits: PackingLimits
) -> None:
    accepted = accepted_of(sources, DIRECTORY)
    found = []
    for partition, frames in enumerate(pack(poll_of(sources, limits.partitions), limits)):
        for row in (row for frame in frames for row in frame.directory):
            of_tree = row.thing is Thing.ORGANIZATION
            assert (0 if of_tree else partition_of(row.organization, limits.partitions)) == partition
            record = accepted[row.source, row.offset]
            said = json.loads(record.value or b"")
            assert (row.subject, row.organization) == (said["subject"], said["organizationid"])
            assert (row.version, row.time_ms, row.broker_ms) == (said["data"]["version"], TIME_MS, record.timestamp)
            assert (None if row.record is None else decode_record(row.record)) == (
                {"name": said["data"]["name"]} if "name" in said["data"] else None
            )
        found += [at for frame in frames for at in changes_of(frame)]
    assert Counter(found) == Counter(accepted.keys())


@given(POLLS, LIMITS)
def test_what_a_partition_is_sent_keeps_the_order_of_each_source(sources: list[Polled], limits: PackingLimits) -> None:
    for frames in pack(poll_of(sources, limits.partitions), limits):
        for of in (events_of, changes_of):
            sent = [at for frame in frames for at in of(frame)]
            assert sent == sorted(sent)


@given(POLLS, LIMITS)
def test_what_a_row_says_is_what_the_event_said(sources: list[Polled], limits: PackingLimits) -> None:
    poll = poll_of(sources, limits.partitions)
    sent = {
        (number, record.offset): record
        for number, each in enumerate(sources)
        for record in each.records
        if record.value is not None
    }
    identity_hash = identity_hasher(SECRET)
    for frame in (frame for frames in pack(poll, limits) for frame in frames):
        columns = {name: column.tolist() for name, column in frame.events.items()}
        for row, at in enumerate(events_of(frame)):
            record = sent[at]
            said = json.loads(record.value or b"")
            assert frame.strings[columns["organization"][row]] == said["organizationid"]
            assert frame.strings[columns["user"][row]] == said["subject"]
            assert frame.strings[columns["model"][row] - 1] == said["data"]["model"]
            assert (columns["team"][row], columns["language"][row]) == (0, 0)
            assert PRODUCTS[columns["product"][row]].event_type == said["type"]
            assert columns["counter0"][row] == said["data"]["interactions"]
            assert [columns[name][row] for name in COUNTER_COLUMNS[1:]] == [0] * 8
            assert (columns["time_ms"][row], columns["broker_ms"][row]) == (TIME_MS, record.timestamp)
            identity = identity_hash(said["organizationid"], said["source"], said["id"])
            assert columns["identity"][row] == int.from_bytes(identity, "little", signed=True)


@given(POLLS, LIMITS)
def test_the_ranges_of_a_partitions_frames_follow_each_other_and_cover_the_poll(
    sources: list[Polled], limits: PackingLimits
) -> None:
    poll = poll_of(sources, limits.partitions)
    for frames in pack(poll, limits):
        for number, source in enumerate(poll.sources):
            ranges = [
                (frame.header.sources[number].first_offset, frame.header.sources[number].next_offset)
                for frame in frames
            ]
            assert ranges[0][0] == source.first_offset
            assert ranges[-1][1] == source.next_offset
            assert all(begin <= end for begin, end in ranges)
            assert [end for _, end in ranges[:-1]] == [begin for begin, _ in ranges[1:]]


@given(POLLS, LIMITS)
def test_no_frame_claims_what_a_later_one_brings(sources: list[Polled], limits: PackingLimits) -> None:
    for frames in pack(poll_of(sources, limits.partitions), limits):
        for at, frame in enumerate(frames):
            claimed = [source.next_offset for source in frame.header.sources]
            for later in frames[at + 1 :]:
                for number, offset in events_of(later) + changes_of(later) + rejected_of(later):
                    assert offset >= claimed[number]
            times = {source.read_up_to_ms for source in frame.header.sources}
            assert (times == {None}) == (at < len(frames) - 1)


@given(POLLS, LIMITS)
def test_received_and_rejected_records_stand_once_each_in_their_sources_home(
    sources: list[Polled], limits: PackingLimits
) -> None:
    poll = poll_of(sources, limits.partitions)
    received: Counter[tuple[int, int, int]] = Counter()
    rejected: Counter[tuple[int, int, str]] = Counter()
    for partition, frames in enumerate(pack(poll, limits)):
        for frame in frames:
            for run in frame.header.received:
                assert home_of(run.source, limits.partitions) == partition
                source = frame.header.sources[run.source]
                assert source.first_offset <= run.first_offset
                assert run.first_offset + run.count <= source.next_offset
                received.update((run.source, run.first_offset + step, run.hour) for step in range(run.count))
            reasons = [frame.strings[place] for place in frame.rejected["reason"].tolist()]
            for (number, offset), reason in zip(rejected_of(frame), reasons, strict=True):
                assert home_of(number, limits.partitions) == partition
                rejected[number, offset, reason] += 1
            for number, source in enumerate(frame.header.sources):
                assert source.received == sum(run.count for run in frame.header.received if run.source == number)
                assert source.rejected == sum(1 for at, _ in rejected_of(frame) if at == number)
    records = [(number, record) for number, each in enumerate(sources) for record in each.records]
    assert received == Counter((number, record.offset, record.timestamp // HOUR_MS) for number, record in records)
    assert rejected == Counter(
        (number, record.offset, "null_record" if record.value is None else "missing_attribute")
        for number, record in records
        if record.value in (None, b"{}")
    )


@given(POLLS, LIMITS)
@settings(max_examples=50)
def test_a_frame_stays_within_its_rows_and_bytes_or_holds_one_row(sources: list[Polled], limits: PackingLimits) -> None:
    numbers = iter(range(1, 10_000))
    packer = Packer(limits, FINGERPRINT, lambda: next(numbers))
    poll = poll_of(sources, limits.partitions)
    for partition in range(limits.partitions):
        events = np.flatnonzero(poll.partitions == partition)
        for data in packer.frames(poll, PartitionId(partition), events, {TOPIC: 1}):
            frame = decode_frame(data)
            rows = frame.event_count + len(frame.rejected["offset"]) + len(frame.directory)
            assert rows <= limits.events
            assert len(data) <= limits.bytes or rows <= 1


@given(POLLS, LIMITS)
def test_a_frames_strings_are_those_that_its_rows_use(sources: list[Polled], limits: PackingLimits) -> None:
    for frame in (frame for frames in pack(poll_of(sources, limits.partitions), limits) for frame in frames):
        used = {*frame.events["organization"].tolist(), *frame.events["user"].tolist()}
        used |= {place - 1 for name in ("team", "model", "language", "ide") for place in frame.events[name].tolist()}
        used |= set(frame.rejected["reason"].tolist())
        assert used - {-1} == set(range(len(frame.strings)))
        assert len(set(frame.strings)) == len(frame.strings)


def test_frames_of_one_poll_have_ids_of_their_own() -> None:
    records = [FakeRecord(offset=at, timestamp=TIME_MS, value=event(at, "acme")) for at in range(9)]
    frames = pack(poll_of([Polled(records=records)], 2), PackingLimits(partitions=2, events=2, bytes=900_000))
    ids = [frame.frame_id for each in frames for frame in each]
    assert len(ids) == 6
    assert len(set(ids)) == len(ids)


def test_a_partition_without_a_row_has_one_frame_that_covers_the_poll() -> None:
    records = [FakeRecord(offset=5, timestamp=TIME_MS, value=event(5, "acme"))]
    frames = pack(poll_of([Polled(records=records, beyond=2)], 16), PackingLimits(partitions=16, events=9, bytes=9_000))
    for partition, each in enumerate(frames):
        [frame] = each
        [source] = frame.header.sources
        assert (source.first_offset, source.next_offset, source.read_up_to_ms) == (5, 8, TIME_MS)
        assert source.received == (1 if partition == 0 else 0)


def test_a_position_that_a_rebalance_took_back_is_not_claimed_beyond_what_is_sent() -> None:
    records = [FakeRecord(offset=at, timestamp=TIME_MS, value=event(at, "acme")) for at in range(100, 104)]
    poll = poll_of([Polled(records=records)], 1)
    back = replace(poll, sources=[replace(poll.sources[0], next_offset=100, read_up_to_ms=None)])
    [frames] = pack(back, PackingLimits(partitions=1, events=10, bytes=900_000))
    assert [frame.header.sources[0].next_offset for frame in frames] == [100]
    assert [events_of(frame) for frame in frames] == [[(0, at) for at in range(100, 104)]]


@pytest.mark.parametrize("partitions", [1, 3, 16])
def test_every_source_partition_has_one_home(partitions: int) -> None:
    assert {home_of(source, partitions) for source in range(50)} == set(range(partitions))

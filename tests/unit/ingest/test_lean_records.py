"""Records that are not copied are the same records, from the same offset on."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from ingest.lean_records import LeanRecords
from services.kafka_header_names import TolerantRecords

SOURCE = TopicPartition("usage.events", 3)
FIELDS = ("offset", "timestamp", "key", "value", "headers")


def batch(base_offset: int, count: int, compression: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1_000_000)
    for at in range(count):
        headers = [("a", b"1"), ("b", None)] if at % 2 else []
        key, value = [(b"k", b"v%d" % at), (None, b"v"), (b"k", None), (None, None)][at % 4]
        builder.append(at, 1_700_000_000_000 + at, key, value, headers)
    built = bytearray(builder.build())
    built[:8] = base_offset.to_bytes(8, "big")
    return bytes(built)


def records_of(kind: Any, data: bytes, fetch_offset: int) -> Any:
    return kind(SOURCE, TolerantRecords(data), None, fetch_offset, None, None, True, READ_UNCOMMITTED)


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("fetch_offset", [0, 5, 17])
def test_they_are_what_the_client_gives(compression: int, fetch_offset: int) -> None:
    data = batch(0, 10, compression) + batch(10, 8, compression) + batch(30, 1, compression)
    lean, whole = (records_of(kind, data, fetch_offset) for kind in (LeanRecords, PartitionRecords))
    for ours, theirs in zip(lean, whole, strict=True):
        assert [getattr(ours, name) for name in FIELDS[:-1]] == [getattr(theirs, name) for name in FIELDS[:-1]]
        assert list(ours.headers) == list(theirs.headers)
        assert lean.next_fetch_offset == whole.next_fetch_offset
    assert lean.next_fetch_offset == 31


def test_a_poll_that_stops_on_the_way_is_gone_on_with() -> None:
    lean = records_of(LeanRecords, batch(0, 10, 0), 0)
    first = [record.offset for record, _ in zip(lean, range(4), strict=False)]
    assert (first, lean.next_fetch_offset) == ([0, 1, 2, 3], 5)
    assert [record.offset for record in lean] == [5, 6, 7, 8, 9]

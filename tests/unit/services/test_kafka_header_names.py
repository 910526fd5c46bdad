"""Records with header names that are not UTF-8 are read, and all others as ever."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from services.kafka_header_names import TolerantRecords
from tests.support.strange_headers import NAME, READ_AS, StrangeBatch


def plain_batch(*values: bytes) -> bytes:
    batch = StrangeBatch()
    for value in values:
        batch.append(timestamp=1, key=None, value=value, headers=[("a", b"1")])
    return bytes(batch._build())


def strange_batch(*, before: int, after: int) -> bytes:
    batch = StrangeBatch()
    for at in range(before):
        batch.append(timestamp=1, key=b"k", value=b"before%d" % at, headers=[("a", None)])
    batch.append_strange(b"key", b"strange")
    for at in range(after):
        batch.append(timestamp=1, key=b"k", value=b"after%d" % at)
    return bytes(batch._build())


def test_the_client_itself_cannot_read_such_a_record() -> None:
    assert NAME in strange_batch(before=0, after=0)
    with pytest.raises(UnicodeDecodeError):
        list(DefaultRecordBatch(strange_batch(before=0, after=0)))


def test_every_record_of_every_batch_is_read_once_in_order_and_whole() -> None:
    data = plain_batch(b"1", b"2") + strange_batch(before=2, after=2) + plain_batch(b"3")
    records, values, headers = TolerantRecords(data), [], {}
    assert records.size_in_bytes() == len(data)
    while records.has_next():
        batch = records.next_batch()
        assert batch is not None
        assert batch.validate_crc()
        for record in batch:
            values.append(record.value)
            headers[record.value] = list(record.headers)
    assert values == [b"1", b"2", b"before0", b"before1", b"strange", b"after0", b"after1", b"3"]
    assert headers[b"strange"] == [(READ_AS, b"\x00\xff")]
    assert headers[b"before0"] == [("a", None)]
    assert headers[b"3"] == [("a", b"1")]
    assert records.next_batch() is None


def test_what_the_client_says_of_a_batch_is_said_too() -> None:
    data = plain_batch(b"1", b"2")
    ours, theirs = TolerantRecords(data).next_batch(), MemoryRecords(data).next_batch()
    for name in ("base_offset", "next_offset", "producer_id", "is_control_batch", "is_transactional"):
        assert getattr(ours, name) == getattr(theirs, name)

r"""Lets a consumer read records whose header names are not UTF-8.

Kafka's protocol says that names are UTF-8, and neither the broker nor every client checks it; aiokafka's decoder raises
on such a record, and would again at each start: one record would hold up its partition for ever. Here the batch that
holds one is decoded by the client's slower decoder in Python, with each wrong byte of a name written as `\xNN`.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


def accept_any_header_name() -> None:
    """Let every consumer of this process read such records, from now on."""
    fetcher.MemoryRecords = TolerantRecords


class TolerantRecords:
    """The record batches of one fetched partition, as the client's fetcher asks for them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._next = 0

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> "_TolerantBatch | None":
        batch = self._records.next_batch()
        if batch is None:
            return None
        self._next += 1
        return _TolerantBatch(batch, self._data, self._next - 1)


class _TolerantBatch:
    """One batch; all but its records is the client's.

    Args:
        number: of the batch in `data`, from 0.
    """

    def __init__(self, batch: Any, data: bytes, number: int) -> None:
        self._batch = batch
        self._data = data
        self._number = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            pass
        else:
            return
        yield from list(_decode_slowly(self._data, self._number))[read:]


def _decode_slowly(data: bytes, number: int) -> Iterator[Any]:
    records = _MemoryRecordsPy(data)
    for _ in range(number):
        records.next_batch()
    # The batch itself may be one of the quick kind.
    batch = _DefaultRecordBatchPy(records._next_slice)
    batch._maybe_uncompress()
    batch._buffer = _Buffer(batch._buffer)
    yield from batch


class _Buffer(bytearray):
    """Bytes whose parts decode as UTF-8 whatever they are."""

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return _Buffer(part) if isinstance(at, slice) else part

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "backslashreplace")

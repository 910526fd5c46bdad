"""Record batches with a header name that is not UTF-8, which no client's interface lets one write."""

import struct
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

_PLACEHOLDER = b"x-placeholder"
NAME = b"x-\xff\xfe-origins!"
"""The name that stands in the log, as long as the placeholder."""

READ_AS = "x-\\xff\\xfe-origins!"

_CRC_AT = struct.calcsize(">qiib")
_CRC_FROM = struct.calcsize(">qiibI")


class StrangeBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka has no types
    """A batch of records of which each that is added by `append_strange` has a header called `NAME`."""

    def __init__(self) -> None:
        super().__init__(1_000_000, 0)

    def append_strange(self, key: bytes | None, value: bytes) -> None:
        self.append(timestamp=None, key=key, value=value, headers=[(_PLACEHOLDER.decode(), b"\x00\xff")])

    def _build(self) -> Any:
        return renamed(super()._build())


def renamed(batch: bytes | bytearray) -> bytearray:
    """Return a built batch with the name in place, and its checksum right."""
    data = bytearray(batch).replace(_PLACEHOLDER, NAME)
    struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_CRC_FROM:])))
    return data

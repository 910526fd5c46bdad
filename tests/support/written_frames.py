"""Frames that a test writes itself: one whose fold is a bug of ours, and one of a release that is not out yet."""

import asyncio

import msgspec
import numpy as np

from services.frames import (
    EVENT_COLUMNS,
    REJECTED_COLUMNS,
    VERSION,
    Frame,
    FrameHeader,
    FrameSource,
    encode_frame,
    no_rows,
)
from services.identity import fingerprint
from services.kafka import make_producer
from services.settings import Settings

NEWER_RELEASE = "9.9.0"

NO_SUCH_DAY_MS = 1 << 55
"""Decodes, and lies beyond the calendar: to name its month is an OverflowError."""


def poison_frame(settings: Settings, number: int = 1) -> bytes:
    """Return bytes that decode as a frame of one event, and whose fold raises. Its header claims no record."""
    source = FrameSource(
        topic=settings.topics.events,
        partition=0,
        first_offset=0,
        next_offset=0,
        received=0,
        rejected=0,
        read_up_to_ms=None,
    )
    header = FrameHeader(
        version=VERSION,
        frame_id=number,
        fingerprint=fingerprint(settings.events.identity_secret.get_secret_value()),
        source_partitions={},
        sources=(source,),
        received=(),
    )
    events = {name: np.zeros(1, dtype=np.int64) for name in EVENT_COLUMNS} | {"time_ms": np.array([NO_SUCH_DAY_MS])}
    return encode_frame(Frame(header=header, strings=["poison"], events=events, rejected=no_rows(REJECTED_COLUMNS)))


def newer_frame(settings: Settings) -> bytes:
    """Return a frame whose header says the next version, written by `NEWER_RELEASE`."""
    header, *rest = msgspec.msgpack.decode(poison_frame(settings))
    return msgspec.msgpack.encode([[VERSION + 1, *header[1:6], NEWER_RELEASE], *rest])


def append_frame(settings: Settings, partition: int, value: bytes) -> int:
    """Write bytes behind the last frame of a partition and return their offset."""

    async def send() -> int:
        producer = make_producer(settings.kafka)
        await producer.start()
        try:
            sent = await producer.send_and_wait(settings.topics.frames, value=value, partition=partition)
            return int(sent.offset)
        finally:
            await producer.stop()

    return asyncio.run(send())

"""Looks for one event in the frames of a partition, frame after frame in log order. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.frames import COUNTER_COLUMNS, Frame, FrameHeader, WrongFrame, decode_frame, look_for
from services.metrics_contract import PRODUCTS, Product

Source = tuple[str, int]

KEPT_MAX: Final = 1_000
"""Events kept of one identity; more are counted only. The first, which counts, is always among them."""

UNREADABLE_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameEvent:
    """One event in a frame.

    Attributes:
        frame_offset, frame_ms: of the frame, and its broker time.
        topic, partition, offset, broker_ms: of the record that the event came in.
        again: whether an earlier frame covered that record, so that it was read before.
        counters: amounts in the order of its product.
    """

    frame_offset: int
    frame_ms: int
    topic: str
    partition: int
    offset: int
    broker_ms: int
    again: bool
    time_ms: int
    product: Product
    organization: str
    team: str | None
    user: str
    counters: tuple[int, ...]


class FrameSearch:
    """What was found so far.

    Args:
        identity: signed, as in the frames.
        fingerprint: of the secret that it was hashed with.
        positions: how far the frames before the first one looked at cover each source; empty when that is not known.

    Attributes:
        found: in log order, at most `KEPT_MAX`.
        left_out: how many more there were.
        positions: how far the frames cover each source.
        unreadable: offsets of frames that cannot be read, the first ones; `unreadable_count` counts them all.
        foreign: frames made with another secret, in which nothing can be found.
    """

    def __init__(self, identity: int, fingerprint: str, positions: Mapping[Source, int]) -> None:
        self._identity = identity
        self._fingerprint = fingerprint
        self.positions = dict(positions)
        self.found: list[FrameEvent] = []
        self.left_out = 0
        self.unreadable: list[int] = []
        self.unreadable_count = 0
        self.foreign = 0

    def look(self, offset: int, timestamp_ms: int, value: bytes | None) -> None:
        """Look at the next frame."""
        try:
            header, is_there = look_for(value, self._identity)
            if header.fingerprint != self._fingerprint:
                self.foreign += 1
            elif is_there:
                self._take(offset, timestamp_ms, decode_frame(value))
        except WrongFrame:
            self.unreadable_count += 1
            if len(self.unreadable) < UNREADABLE_MAX:
                self.unreadable.append(offset)
            return
        self._move_on(header)

    def _take(self, offset: int, timestamp_ms: int, frame: Frame) -> None:
        for row in np.flatnonzero(frame.events["identity"] == np.int64(self._identity)).tolist():
            if len(self.found) < KEPT_MAX:
                self.found.append(self._event(offset, timestamp_ms, frame, row))
            else:
                self.left_out += 1

    def _event(self, offset: int, timestamp_ms: int, frame: Frame, row: int) -> FrameEvent:
        of = {name: int(column[row]) for name, column in frame.events.items()}
        source = frame.header.sources[of["source"]]
        product = PRODUCTS[of["product"]]
        return FrameEvent(
            frame_offset=offset,
            frame_ms=timestamp_ms,
            topic=source.topic,
            partition=source.partition,
            offset=of["offset"],
            broker_ms=of["broker_ms"],
            again=of["offset"] < self.positions.get((source.topic, source.partition), 0),
            time_ms=of["time_ms"],
            product=product,
            organization=frame.strings[of["organization"]],
            team=frame.strings[of["team"] - 1] if of["team"] else None,
            user=frame.strings[of["user"]],
            counters=tuple(of[name] for name in COUNTER_COLUMNS[: len(product.counters)]),
        )

    def _move_on(self, header: FrameHeader) -> None:
        positions = self.positions
        for source in header.sources:
            key = (source.topic, source.partition)
            if source.next_offset > positions.get(key, 0):
                positions[key] = source.next_offset

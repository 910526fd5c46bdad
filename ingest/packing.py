"""Events to frames: one poll of records, admitted or rejected, becomes each partition's frames. Pure.

A frame covers a range of coordinates (source, offset): the events of its partition in that range and, in a source's
home partition, the range's received records and dead letters. Where a partition's share of a poll exceeds one frame,
the ranges of its frames follow each other, so that a frame never claims what a later one brings.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingest.poll import Poll, Source
from services.frames import (
    EVENT_COLUMNS,
    REJECTED_COLUMNS,
    SPLIT_COLUMNS,
    VERSION,
    Column,
    Frame,
    FrameHeader,
    FrameSource,
    ReceivedRun,
    encode_frame,
    no_rows,
)
from services.identifiers import PartitionId
from services.release import running_version
from services.windows import HOUR_MS

_POINTING: Final = ("organization", "user")
_POINTING_PLUS_ONE: Final = ("team", *SPLIT_COLUMNS)
_NO_ROWS: Final = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingLimits:
    """`partitions`: P. `events`: most rows of a frame. `bytes`: most bytes of a frame with more than one row."""

    partitions: int
    events: int
    bytes: int


def home_of(source_partition: int, partitions: int) -> PartitionId:
    """Return the frames partition that counts a source partition's received and dead-lettered records."""
    return PartitionId(source_partition % partitions)


class Packer:
    """Makes the frames of one poll after the other.

    Args:
        limits: see there.
        fingerprint: of the identity secret.
        new_frame_id: gives a random unsigned 64-bit number.
    """

    def __init__(self, limits: PackingLimits, fingerprint: str, new_frame_id: Callable[[], int]) -> None:
        self._limits = limits
        self._fingerprint = fingerprint
        self._new_frame_id = new_frame_id
        self._release = running_version()

    def frames(
        self, poll: Poll, partition: PartitionId, events: Column, source_partitions: Mapping[str, int]
    ) -> Iterator[bytes]:
        """Yield the frames of one partition in the order in which they must be sent.

        Args:
            poll: what was read.
            partition: of the frames.
            events: rows of the poll's event columns that belong to the partition, ascending.
            source_partitions: topic -> how many partitions it has.
        """
        at_home = [
            number
            for number, source in enumerate(poll.sources)
            if home_of(source.partition, self._limits.partitions) == partition
        ]
        rejected = (
            np.flatnonzero(np.isin(poll.rejected["source"], at_home)) if len(poll.rejected["source"]) else _NO_ROWS
        )
        directory = np.flatnonzero(poll.directory_partitions == partition) if poll.directory else _NO_ROWS
        share = _Share(poll, events, rejected, directory)
        ranges = [(0, share.size)]
        first = share.begin()
        while ranges:
            start, end = ranges.pop()
            if end - start > self._limits.events:
                ranges += [(start + self._limits.events, end), (start, start + self._limits.events)]
                continue
            last = share.end(end)
            frame = self._frame(share, (start, end), (first, last), at_home, source_partitions)
            data = encode_frame(frame)
            if len(data) > self._limits.bytes and end - start > 1:
                middle = (start + end) // 2
                ranges += [(middle, end), (start, middle)]
                continue
            first = last
            yield data

    def _frame(
        self,
        share: "_Share",
        rows: tuple[int, int],
        cover: tuple[Sequence[int], Sequence[int]],
        at_home: Sequence[int],
        source_partitions: Mapping[str, int],
    ) -> Frame:
        poll = share.poll
        events, rejected, directory = share.rows(*rows)
        strings, event_columns, rejected_columns = _localized(poll, events, rejected)
        final = rows[1] == share.size
        rejected_by_source = Counter(poll.rejected["source"][rejected].tolist())
        received = [run for number in at_home for run in _received(poll.sources[number], number, cover)]
        received_by_source: Counter[int] = Counter()
        for run in received:
            received_by_source[run.source] += run.count
        header = FrameHeader(
            version=VERSION,
            frame_id=self._new_frame_id(),
            fingerprint=self._fingerprint,
            source_partitions=dict(source_partitions),
            sources=tuple(
                FrameSource(
                    topic=source.topic,
                    partition=source.partition,
                    first_offset=cover[0][number],
                    next_offset=cover[1][number],
                    received=received_by_source[number],
                    rejected=rejected_by_source[number],
                    read_up_to_ms=source.read_up_to_ms if final else None,
                )
                for number, source in enumerate(poll.sources)
            ),
            received=tuple(received),
            release=self._release,
        )
        return Frame(
            header=header,
            strings=strings,
            events=event_columns,
            rejected=rejected_columns,
            directory=[poll.directory[row] for row in directory.tolist()],
        )


class _Share:
    """One partition's rows of a poll in the order of their coordinates: events, dead letters, directory events."""

    def __init__(self, poll: Poll, events: Column, rejected: Column, directory: Column) -> None:
        self.poll = poll
        self.size = len(events) + len(rejected) + len(directory)
        changes = [poll.directory[row] for row in directory.tolist()]
        coordinates = [
            np.concatenate(
                [
                    poll.events[name][events],
                    poll.rejected[name][rejected],
                    np.array([getattr(change, name) for change in changes], dtype=np.int64),
                ]
            )
            for name in ("source", "offset")
        ]
        order = np.lexsort(coordinates[::-1])
        self._source, self._offset = (column[order] for column in coordinates)
        self._part = np.repeat(np.arange(3), [len(events), len(rejected), len(directory)])[order]
        self._row = np.concatenate([events, rejected, directory])[order]

    def rows(self, start: int, end: int) -> tuple[Column, Column, Column]:
        """Return the rows of the event columns, the rejected columns and the directory between two places."""
        part, row = self._part[start:end], self._row[start:end]
        return row[part == 0], row[part == 1], row[part == 2]

    def begin(self) -> list[int]:
        return [source.first_offset for source in self.poll.sources]

    def end(self, place: int) -> list[int]:
        """Return, for each source, the offset before which everything stands before `place`."""
        if place == self.size:
            return [source.next_offset for source in self.poll.sources]
        at, offset = int(self._source[place - 1]), int(self._offset[place - 1])
        return [
            source.next_offset if number < at else offset + 1 if number == at else source.first_offset
            for number, source in enumerate(self.poll.sources)
        ]


def _received(source: Source, number: int, cover: tuple[Sequence[int], Sequence[int]]) -> list[ReceivedRun]:
    """Return the runs of a source's records, whatever became of them, between two offsets."""
    begin, end = np.searchsorted(source.offsets, [cover[0][number], cover[1][number]])
    offsets, hours = source.offsets[begin:end], source.broker_ms[begin:end] // HOUR_MS
    if not len(offsets):
        return []
    breaks = np.flatnonzero((np.diff(offsets) != 1) | (np.diff(hours) != 0)) + 1
    starts = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([starts, [len(offsets)]]))
    return [
        ReceivedRun(number, first, count, hour)
        for first, count, hour in zip(offsets[starts].tolist(), counts.tolist(), hours[starts].tolist(), strict=True)
    ]


def _localized(poll: Poll, events: Column, rejected: Column) -> tuple[list[str], dict[str, Column], dict[str, Column]]:
    """Return a string table of what the rows point to, and the rows' columns pointing into it."""
    if not (len(events) or len(rejected)):
        return [], no_rows(EVENT_COLUMNS), no_rows(REJECTED_COLUMNS)
    event_columns = {name: poll.events[name][events] for name in EVENT_COLUMNS}
    rejected_columns = {name: poll.rejected[name][rejected] for name in REJECTED_COLUMNS}
    wanted = [event_columns[name] for name in _POINTING]
    wanted += [event_columns[name] - 1 for name in _POINTING_PLUS_ONE]
    wanted.append(rejected_columns["reason"])
    pointers = np.concatenate(wanted)
    # -1, an absent text, marks the last place, which is none of a string's.
    marks = np.zeros(len(poll.strings) + 1, dtype=np.bool_)
    marks[pointers] = True
    marks[-1] = False
    used = marks.nonzero()[0]
    places = np.full(len(marks), -1)
    places[used] = np.arange(len(used))
    columns = iter(np.split(places[pointers], np.cumsum([len(column) for column in wanted])[:-1]))
    for name in _POINTING:
        event_columns[name] = next(columns)
    for name in _POINTING_PLUS_ONE:
        event_columns[name] = next(columns) + 1
    rejected_columns["reason"] = next(columns)
    return [poll.strings[at] for at in used.tolist()], event_columns, rejected_columns

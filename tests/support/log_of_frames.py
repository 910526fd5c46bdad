"""Frames made by ingest's own packing from event lines, without Kafka: what a partition's log would hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from ingest.admission import Admission
from ingest.directory_admission import DirectoryAdmission
from ingest.packing import Packer, PackingLimits
from ingest.poll import Collector, Source
from ingest.verdicts import AdmissionRules
from services.frames import Column, Frame, decode_frame
from services.identifiers import PartitionId
from services.identity import fingerprint, identity_hasher
from services.windows import HOUR_MS

SECRET = "a secret of the tests"
FINGERPRINT = fingerprint(SECRET)
RULES = AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=None, max_ahead_ms=300_000)
DIRECTORY = "directory"
"""Name of the directory's topic; the events' is `events`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRecord:
    """What ingest reads of a Kafka record."""

    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default_factory=tuple)


class FrameMaker:
    """One ingest worker's checking and packing."""

    def __init__(self, partitions: int, *, frame_events: int = 2_800, frame_bytes: int = 900_000) -> None:
        self.partitions = partitions
        self._collector = Collector(Admission(RULES), DirectoryAdmission(RULES), identity_hasher(SECRET), partitions)
        numbers = count(1)
        limits = PackingLimits(partitions=partitions, events=frame_events, bytes=frame_bytes)
        self._packer = Packer(limits, FINGERPRINT, lambda: next(numbers))

    def poll(
        self,
        records: dict[int, Sequence[FakeRecord]],
        read_up_to_ms: int | None = None,
        directory: Sequence[FakeRecord] = (),
    ) -> list[list[bytes]]:
        """Return each partition's frames of one poll.

        Args:
            records: by source partition of the topic `events`.
            directory: of the one partition of the topic `directory`; none: it is not read at all.
        """
        gathering = self._collector.begin()
        sources: list[Source] = []
        for partition, batch in sorted(records.items()):
            read = gathering.collect(len(sources), batch)
            sources.append(_source("events", partition, *read, read_up_to_ms))
        if directory:
            read = gathering.collect_directory(len(sources), directory)
            sources.append(_source(DIRECTORY, 0, *read, read_up_to_ms))
        poll = self._collector.poll(gathering, sources)
        counts = {"events": len(records)} | ({DIRECTORY: 1} if directory else {})
        return [
            list(self._packer.frames(poll, PartitionId(number), np.flatnonzero(poll.partitions == number), counts))
            for number in range(self.partitions)
        ]


class TopicReader:
    """One ingest worker that reads both topics, of one partition each, from their beginning.

    Args:
        partitions: of the frames.
        first_ms: broker time of each topic's first record; a record comes every 20 minutes.
        frame_events: rows of a frame.
    """

    def __init__(self, partitions: int, *, first_ms: int, frame_events: int = 3) -> None:
        self._maker = FrameMaker(partitions, frame_events=frame_events)
        self._first_ms = first_ms
        self.records: dict[str, list[FakeRecord]] = {"events": [], DIRECTORY: []}
        """What was read, by topic."""

    def read(self, events: Sequence[bytes] = (), directory: Sequence[bytes] = ()) -> list[list[bytes]]:
        """Return each partition's frames of one poll that brings these lines."""
        return self._frames(self._appended("events", events), self._appended(DIRECTORY, directory))

    def read_all(self, lines: Sequence[tuple[str, bytes]], poll_sizes: Sequence[int]) -> list[list[bytes]]:
        """Return each partition's frames of (topic, line) pairs, read in polls of these sizes, the rest in one."""
        logs: list[list[bytes]] = [[] for _ in range(self._maker.partitions)]
        rest = list(lines)
        for size in [*poll_sizes, len(rest)]:
            taken, rest = rest[:size], rest[size:]
            if taken:
                parts = [[line for of, line in taken if of == topic] for topic in ("events", DIRECTORY)]
                for number, frames in enumerate(self.read(*parts)):
                    logs[number] += frames
        return logs

    def read_again(self, events_from: int, directory_from: int) -> list[list[bytes]]:
        """Return the frames of a worker that begins again at these offsets."""
        return self._frames(self.records["events"][events_from:], self.records[DIRECTORY][directory_from:])

    def _frames(self, events: Sequence[FakeRecord], directory: Sequence[FakeRecord]) -> list[list[bytes]]:
        read_up_to_ms = max((record.timestamp for record in [*events, *directory]), default=None)
        return self._maker.poll({0: events} if events else {}, read_up_to_ms, directory)

    def _appended(self, topic: str, lines: Sequence[bytes]) -> list[FakeRecord]:
        held = self.records[topic]
        first = len(held)
        held += [
            FakeRecord(offset=first + at, timestamp=self._first_ms + (first + at) * HOUR_MS // 3, value=line)
            for at, line in enumerate(lines)
        ]
        return held[first:]


def _source(topic: str, partition: int, offsets: Column, times: Column, read_up_to_ms: int | None) -> Source:
    return Source(
        topic=topic,
        partition=partition,
        first_offset=int(offsets[0]) if len(offsets) else 0,
        next_offset=int(offsets[-1]) + 1 if len(offsets) else 0,
        read_up_to_ms=read_up_to_ms,
        offsets=offsets,
        broker_ms=times,
    )


def decoded(frames: Sequence[bytes]) -> list[Frame]:
    return [decode_frame(frame) for frame in frames]

"""What stands in the frames topic: which records each frame brings, and which of them came in an earlier one."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.frames import Frame, decode_frame
from tests.support.deployment import Deployment
from tests.support.records import read_partition

Coordinate = tuple[str, int, int]
"""Topic, partition and offset of a source record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedFrame:
    """A frame with where it stands and its length in bytes."""

    partition: int
    offset: int
    size: int
    frame: Frame

    def events(self) -> Iterator[Coordinate]:
        """Yield the records of its events, in their order."""
        return self._coordinates("events")

    def coordinates(self) -> Iterator[Coordinate]:
        """Yield the records that it brings, accepted or rejected."""
        yield from self._coordinates("events")
        yield from self._coordinates("rejected")

    def _coordinates(self, part: Literal["events", "rejected"]) -> Iterator[Coordinate]:
        rows = self.frame.events if part == "events" else self.frame.rejected
        for source, offset in zip(rows["source"].tolist(), rows["offset"].tolist(), strict=True):
            of = self.frame.header.sources[source]
            yield of.topic, of.partition, offset


def frames_of(deployment: Deployment) -> list[LoggedFrame]:
    """Return every frame, partition after partition in log order."""
    settings = deployment.settings
    return [
        LoggedFrame(partition=partition, offset=offset, size=len(record.value), frame=decode_frame(record.value))
        for partition in range(settings.topics.frames_partitions)
        for offset, record in enumerate(
            read_partition(settings.kafka.bootstrap_servers, settings.topics.frames, partition)
        )
        if record.value is not None
    ]


def repeated(frames: list[LoggedFrame]) -> int:
    """Return how often a record was brought to a partition that had it already."""
    brought = Counter((each.partition, *at) for each in frames for at in each.coordinates())
    return brought.total() - len(brought)


def overtaken(frames: list[LoggedFrame]) -> list[Coordinate]:
    """Return the events that came to a partition only after a later one of their source: a frame was passed over."""
    seen = set[tuple[int, Coordinate]]()
    reached: dict[tuple[int, str, int], int] = {}
    found = []
    for each in frames:
        for topic, number, offset in each.events():
            source, at = (each.partition, topic, number), (each.partition, (topic, number, offset))
            if at not in seen and offset < reached.get(source, 0):
                found.append((topic, number, offset))
            seen.add(at)
            reached[source] = max(offset, reached.get(source, 0))
    return found

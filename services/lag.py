"""How far the counters are behind the logs, in records. Pure; unknown is None, never 0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.counters import PartitionState

States = Sequence[PartitionState | None]
"""One for each partition of `usage.frames`, None where it has none yet or cannot be read."""


SOURCES_ROLE: Final = "ingest+aggregator"
FRAMES_ROLE: Final = "aggregator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """One partition of one topic, as the roles that read it have it.

    Attributes:
        end: offset of the next record of the log.
        applied: everything before this offset is in the counters, or dead-lettered.
        lag: records between the two.
    """

    topic: str
    partition: int
    role: str
    end: int | None
    applied: int | None
    lag: int | None


def covered_up_to(states: States, topic: str, partition: int) -> int | None:
    """Return the source offset before which every record is in the counters of whichever slot it belongs to.

    It is the smallest of all slots, for any slot may own the next record; None while one has not heard of the source.
    """
    smallest: int | None = None
    for state in states:
        position = None if state is None else state.sources.get((topic, partition))
        if position is None:
            return None
        smallest = position.next_offset if smallest is None else min(smallest, position.next_offset)
    return smallest


def source_lags(topic: str, ends: Mapping[int, int] | None, states: States) -> list[Lag]:
    """Return the lag of each partition of a topic that ingest reads, through both roles to the counters.

    Args:
        ends: partition -> end offset; None when they cannot be had, the partitions then being those that states name.
    """
    partitions = sorted(ends) if ends is not None else range(_partitions_heard_of(states, topic))
    return [
        _lag(topic, partition, SOURCES_ROLE, ends, covered_up_to(states, topic, partition)) for partition in partitions
    ]


def frame_lags(topic: str, ends: Mapping[int, int] | None, states: States) -> list[Lag]:
    """Return the lag of each partition of the frames, in frames."""
    return [
        _lag(topic, partition, FRAMES_ROLE, ends, None if state is None else state.applied_offset + 1)
        for partition, state in enumerate(states)
    ]


def _lag(topic: str, partition: int, role: str, ends: Mapping[int, int] | None, applied: int | None) -> Lag:
    end = None if ends is None else ends.get(partition)
    # What was applied between two readings makes no lag below zero.
    lag = None if end is None or applied is None else max(0, end - applied)
    return Lag(topic=topic, partition=partition, role=role, end=end, applied=applied, lag=lag)


def _partitions_heard_of(states: States, topic: str) -> int:
    return max((state.source_partitions.get(topic, 0) for state in states if state is not None), default=0)

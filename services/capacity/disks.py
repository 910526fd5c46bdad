"""Bytes that Kafka keeps, and that go over the network. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.capacity.calls import Call
from services.capacity.demand import Demand
from services.capacity.redis_sizes import Numbers

RECORD_HEAD: Final = 12.0
"""Bytes of a record beside key and value, and its part of its batch's head."""

LETTER_HEAD: Final = 250.0
"""Bytes of a dead letter's headers."""

FRAME_EVENT: Final = 40.0
"""Bytes of an event in a frame, beside its strings: 41 to 51 with those of the benchmark's workload."""

FRAME_STRING: Final = 2.0
"""Bytes of a string beside its text."""

FRAME_HEAD: Final = 180.0
"""Bytes of a frame without events, and of its record."""

FRAME_SOURCE: Final = 36.0
"""Bytes of what each frame says of a partition of usage.events that its writer reads: 197 bytes of a frame without
events with one, 305 with four, 739 with sixteen."""

LINGER_S: Final = 0.15
"""Least time between two polls of an ingest worker that has caught up (setting ingest.linger)."""

DIRECTORY_RECORD: Final = 450.0
"""Bytes of a directory event with its key, as `tidemark simulate --directory` writes it: 425 without."""

CELL_ARGUMENTS: Final = 20.0
"""Bytes that a cell's field, value and lengths take in a call, beside its key."""

ID_ARGUMENTS: Final = 22.0
KEY_ARGUMENTS: Final = 22.0
"""Bytes of a key in a call beside its ids, and of an identity in decimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Seconds that topics are kept (settings topics.…_retention)."""

    events_s: float = 35 * 86_400.0
    frames_s: float = 35 * 86_400.0
    dead_letters_s: float = 90 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """Bytes of each topic on all brokers together, its replicas counted; network bytes a second at the peak.

    Attributes:
        frames_per_second: that ingest writes when it has caught up, at the average rate.
        kafka_in: what producers, ingest and replication write to brokers; kafka_out: what is read, for replicas too.
        redis_in: what aggregators send.
    """

    events: float
    frames: float
    dead_letters: float
    directory: float
    frames_per_second: float
    kafka_in: float
    kafka_out: float
    redis_in: float

    @property
    def all(self) -> float:
        return self.events + self.frames + self.dead_letters + self.directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """How Kafka is set up: `sources`: partitions of usage.events."""

    replication: int
    retention: Retention
    sources: int
    ingest_workers: int


def disks(demand: Demand, shares: Numbers, busy: Call, kafka: Kafka) -> Disks:
    """Return what is kept and sent; all sizes are without compression, which is the producers' and brokers' choice.

    Args:
        shares: of the partitions of usage.frames.
        busy: a call of the largest of these.
    """
    record, keeps, replicas = demand.event_bytes + RECORD_HEAD, kafka.retention, kafka.replication
    event_in_frame = FRAME_EVENT + busy.strings * (demand.id_length + FRAME_STRING)
    frames_per_second = _frames_per_second(demand, shares, kafka.ingest_workers)
    heads = frames_per_second * (FRAME_HEAD + FRAME_SOURCE * kafka.sources / kafka.ingest_workers)
    things = demand.users + demand.teams + demand.organizations if demand.directory else 0
    letters_per_second = demand.events_per_second * demand.dead_letter_share
    through_kafka = (demand.peak_per_second * (record + event_in_frame) + heads) * replicas
    of_cells = busy.cells * (CELL_ARGUMENTS + KEY_ARGUMENTS + 2 * demand.id_length)
    return Disks(
        events=demand.events_per_second * record * keeps.events_s * replicas,
        frames=(demand.events_per_second * event_in_frame + heads) * keeps.frames_s * replicas,
        dead_letters=letters_per_second * (record + LETTER_HEAD) * keeps.dead_letters_s * replicas,
        directory=things * DIRECTORY_RECORD * replicas,
        frames_per_second=frames_per_second,
        kafka_in=through_kafka,
        kafka_out=through_kafka,
        redis_in=demand.peak_per_second * (of_cells + ID_ARGUMENTS + busy.sets * KEY_ARGUMENTS),
    )


def _frames_per_second(demand: Demand, shares: Numbers, ingest_workers: int) -> float:
    """Return the frames that ingest writes when it has caught up, at the average rate.

    Each poll that holds anything of a partition makes a frame of it; a quiet partition gets one a second.
    """
    polls = np.minimum(1 / LINGER_S, np.maximum(demand.events_per_second * shares / ingest_workers, 1.0))
    return ingest_workers * float(np.sum(polls))

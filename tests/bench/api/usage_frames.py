"""400 days of usage as decoded frames: what ingest would have written, column by column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.frames import (
    COUNTER_COLUMNS,
    EVENT_COLUMNS,
    REJECTED_COLUMNS,
    VERSION,
    Column,
    Frame,
    FrameHeader,
    FrameSource,
    no_rows,
)
from services.metrics_contract import PRODUCTS
from services.simulated_population import Member
from services.windows import DAY_MS

DAYS_A_FRAME: Final = 10
ACTIVE_SHARE: Final = 0.15
"""Users that do something on a day."""

PRODUCT_SHARES: Final = (0.8, 0.4, 0.2, 0.1)
"""Of these, who uses each product."""

_LEADING_MAX: Final = 40
_SCALE: Final = 50
"""Characters, keystrokes and tokens are larger numbers than completions and interactions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What all frames of a partition say of themselves."""

    fingerprint: str
    topic: str
    directory_topic: str
    read_up_to_ms: int

    def header(self, frame_id: int) -> FrameHeader:
        sources = [
            FrameSource(
                topic=topic,
                partition=0,
                first_offset=0,
                next_offset=0,
                received=0,
                rejected=0,
                read_up_to_ms=self.read_up_to_ms,
            )
            for topic in (self.topic, self.directory_topic)
        ]
        return FrameHeader(
            version=VERSION,
            frame_id=frame_id,
            fingerprint=self.fingerprint,
            source_partitions={self.topic: 1, self.directory_topic: 1},
            sources=tuple(sources),
            received=(),
        )


def usage_frames(
    users: Sequence[Member], days: range, log: Log, random: np.random.Generator, end_ms: int
) -> Iterator[Frame]:
    """Yield the frames of one partition's users, oldest first; nothing is later than `end_ms`."""
    strings: dict[str, int] = {}

    def places(texts: Sequence[str]) -> Column:
        return np.array([strings.setdefault(text, len(strings)) for text in texts], dtype=np.int64)

    organization, team, user = (
        places([each.organization for each in users]),
        places([each.team or "" for each in users]),
        places([each.user for each in users]),
    )
    for first in days[::DAYS_A_FRAME]:
        width = min(DAYS_A_FRAME, days.stop - first)
        row, time_ms, product = _uses(len(users), first, width, random)
        kept = time_ms < end_ms
        row, time_ms, product = row[kept], time_ms[kept], product[kept]
        events = {
            **dict.fromkeys(EVENT_COLUMNS, np.zeros(len(row), dtype=np.int64)),
            "organization": organization[row],
            "team": team[row] + 1,
            "user": user[row],
            "product": product,
            "time_ms": time_ms,
            "broker_ms": time_ms,
            "identity": random.integers(-(2**63), 2**63, len(row)),
            **dict(zip(COUNTER_COLUMNS, _amounts(product, random), strict=True)),
        }
        yield Frame(
            header=log.header(first),
            strings=list(strings),
            events=events,
            rejected=no_rows(REJECTED_COLUMNS),
        )


def _uses(users: int, first_day: int, days: int, random: np.random.Generator) -> tuple[Column, Column, Column]:
    """Return user, instant and product of each use, by time."""
    day, row = np.nonzero(random.random((days, users)) < ACTIVE_SHARE)
    uses, product = np.nonzero(random.random((len(row), len(PRODUCTS))) < PRODUCT_SHARES)
    time_ms = (first_day + day[uses]) * DAY_MS + random.integers(7, 19, len(uses)) * 3_600_000
    order = np.argsort(time_ms, kind="stable")
    return row[uses][order], time_ms[order], product[order]


def _amounts(product: Column, random: np.random.Generator) -> Iterator[Column]:
    """Yield the counter columns; the second of chat is a part of the first, as the contract has it."""
    counters = np.array([len(each.counters) for each in PRODUCTS])[product]
    leading = random.integers(1, _LEADING_MAX, len(product))
    yield leading
    for place in range(1, len(COUNTER_COLUMNS)):
        scale = np.where((product == 1) & (place == 1), 1, _SCALE)
        yield np.where(place < counters, leading * scale * random.random(len(product)), 0).astype(np.int64)

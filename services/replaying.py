"""Publishes dead letters again, marks them, and finds those that were refused again.

A chunk of records is acknowledged first, then the notes that mark its letters, then comes the next chunk. Whatever ends
this in between, a letter that is marked was sent; one that was sent and not marked is sent again by the next call, and
the dedup index knows it (ADR 0021).
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from services import topics
from services.clock import now_ms
from services.crash_points import CrashPoints
from services.dead_letter_fate import Outgoing
from services.dead_letter_log import DeadLetter, Progress, read_dead_letters, unwatched
from services.publishing import UsagePublisher
from services.replays import notes_of, replay_headers
from services.settings import Settings

CHUNK: Final = 500
"""Letters that are sent before they are marked: so many are sent twice at most by a call that was killed."""

TOLD_MAX: Final = 20
"""Letters that are told one by one; of the others only how many."""


@dataclass(slots=True, kw_only=True)
class Sent:
    """What a call has sent so far.

    Attributes:
        run: names the call in the headers of its records.
        records: acknowledged and marked.
        by_topic: the same.
        letters_from: partition -> offset of the dead-letter topic from which letters of these records can stand.
    """

    run: str = field(default_factory=lambda: secrets.token_hex(8))
    records: int = 0
    by_topic: Counter[str] = field(default_factory=Counter)
    letters_from: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class RefusedAgain:
    """What came back of a call: how many by reason, and the first of them."""

    by_reason: Counter[str] = field(default_factory=Counter)
    told: list[DeadLetter] = field(default_factory=list)


class Replayer:
    """Sends records in chunks; an async context manager, whose clients live as long.

    Args:
        edited: whether they are corrected ones.
        total: how many there will be, for the progress.

    Raises:
        KafkaUnavailable, KafkaRefused: from every method, when something was not acknowledged.
    """

    def __init__(self, settings: Settings, *, edited: bool, total: int = 0, progress: Progress = unwatched) -> None:
        self._settings = settings
        self._edited = edited
        self._progress, self._total = progress, total
        self._crash_points = CrashPoints(settings.testing.crash_point)
        self._stack = AsyncExitStack()
        self._publishers: dict[str, UsagePublisher] = {}
        self._chunk: list[Outgoing] = []
        self.sent = Sent()

    async def __aenter__(self) -> "Replayer":
        self.sent.letters_from = await topics.end_offsets(self._settings, self._settings.topics.dead_letters) or {}
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def send(self, outgoing: Outgoing) -> None:
        """Take a record; those of a full chunk are sent."""
        self._chunk.append(outgoing)
        if len(self._chunk) >= CHUNK:
            await self.flush()

    async def flush(self) -> None:
        """Send what was taken; return when all of it is acknowledged and marked."""
        chunk, self._chunk = self._chunk, []
        if not chunk:
            return
        for each in chunk:
            publisher = await self._publisher(each.topic)
            headers = replay_headers(each.headers, each.letter, each.descent, self.sent.run)
            await publisher.publish_raw(each.value, each.key, headers)
        for topic in {each.topic for each in chunk}:
            await self._publishers[topic].flush()
        self._crash_points.visit("replay.after_sending")
        await self._mark(chunk)
        self.sent.records += len(chunk)
        self.sent.by_topic.update(each.topic for each in chunk)
        self._progress(self.sent.records, self._total)

    async def _mark(self, chunk: list[Outgoing]) -> None:
        publisher = await self._publisher(self._settings.topics.dead_letters)
        letters = [each.letter for each in chunk]
        for partition, value, headers in notes_of(letters, at_ms=now_ms(), edited=self._edited, run=self.sent.run):
            await publisher.publish_raw(value, None, headers, partition)
        await publisher.flush()

    async def _publisher(self, topic: str) -> UsagePublisher:
        if topic not in self._publishers:
            publisher = UsagePublisher(self._settings.kafka, topic, compress_large=True)
            self._publishers[topic] = await self._stack.enter_async_context(publisher)
        return self._publishers[topic]


async def refused_again(settings: Settings, sent: Sent) -> RefusedAgain:
    """Return which records of a call are dead letters by now."""
    refused = RefusedAgain()
    async for letter in _letters_of(settings, sent):
        refused.by_reason[letter.reason or "unknown"] += 1
        if len(refused.told) < TOLD_MAX:
            refused.told.append(letter)
    return refused


async def _letters_of(settings: Settings, sent: Sent) -> AsyncIterator[DeadLetter]:
    async for letter in read_dead_letters(settings, begin=sent.letters_from):
        if letter.descent is not None and letter.descent.run == sent.run:
            yield letter

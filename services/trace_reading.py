"""Gathers what the topics and the store know of one event. Reads only; the verdict is `services.trace`."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from services import topics
from services.clock import monotonic_s
from services.counters import NOTHING_APPLIED, CounterStore, PartitionState
from services.dead_letter_log import read_dead_letters
from services.dedup_index import COPY_MS
from services.event_identity import EventIdentity, Match
from services.frame_search import FrameSearch
from services.identity import fingerprint, identity_hasher
from services.keyspace import partition_of
from services.letter_search import LetterSearch
from services.lifecycle import Refused
from services.log_reader import ONE_BATCH, LogReader, Span, open_log
from services.settings import Settings
from services.stores import open_store
from services.trace import Evidence, Trace, Waiting, judge
from services.trace_index import Known, look_up
from services.trace_reach import Reach

ROUNDS_MAX: Final = 3
"""Times that frames are read which were applied while those before them were read."""

FOUND_MAX: Final = 1_000
"""Waiting records that are kept."""

LETTERS_SHARE: Final = 0.4
"""Of a limited time, the part that dead letters and the frames each may take; the rest is for waiting records."""

NEVER_MS: Final = 1 << 62

Progress = Callable[[str, int, int | None], None]
"""Takes what is read, how much is done, and of how much where that is known."""


async def trace_event(
    settings: Settings,
    event: EventIdentity,
    *,
    since_ms: int | None = None,
    limit_s: float | None = None,
    progress: Progress = lambda *_: None,
) -> tuple[Trace, Reach]:
    """Return what became of an event, and how far the answer reaches.

    Args:
        since_ms: frames and dead letters written before are not read.
        limit_s: what is not read by then is cut off, and the answer says so; about a second more is needed.

    Raises:
        StoreUnavailable, StoreRefused, KafkaUnavailable, KafkaRefused: a server is away.
        Refused: the settings are not this deployment's.
    """
    async with open_store(settings) as store, open_log(settings, ONE_BATCH) as probe, open_log(settings) as log:
        gathering = _Gathering(
            settings, store, probe, log, event, since_ms=since_ms, limit_s=limit_s, progress=progress
        )
        return await gathering.answer()


class _Gathering:
    """One question being answered."""

    def __init__(
        self,
        settings: Settings,
        store: CounterStore,
        probe: LogReader,
        log: LogReader,
        event: EventIdentity,
        *,
        since_ms: int | None,
        limit_s: float | None,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._store = store
        self._probe, self._log = probe, log
        self._event = event
        self._since_ms = since_ms
        self._began_s = monotonic_s()
        self._limit_s = limit_s
        self._progress = progress
        secret = settings.events.identity_secret.get_secret_value()
        self._fingerprint = fingerprint(secret)
        hashed = identity_hasher(secret)(event.organization, event.source, event.id)
        self._identity = int.from_bytes(hashed, "little", signed=True)
        self._partition = partition_of(event.organization, settings.topics.frames_partitions)
        margin_s, age_s = settings.events.dedup_margin, settings.events.max_age
        self._reach = Reach(
            partition=self._partition, since_ms=since_ms, dedup_s=None if age_s is None else age_s + margin_s
        )
        self._letters = LetterSearch(event, self._topics, self._partition, lambda: self._new_search({}))
        self._waiting: list[Waiting] = []

    def _new_search(self, positions: Mapping[tuple[str, int], int]) -> FrameSearch:
        return FrameSearch(self._identity, self._fingerprint, positions)

    async def answer(self) -> tuple[Trace, Reach]:
        events, frames = self._topics.events, self._topics.frames
        ends = await topics.ends_of(self._settings, events, frames)
        state = await self._store.state(self._partition)
        self._check(state)
        await self._read_letters()
        end = ends.get(frames, {}).get(self._partition, 0)
        search = await self._begin_frames(end, state)
        await self._read_frames(search, end)
        await self._read_waiting(ends.get(events, {}), search, state)
        known = await self._look_up()
        for _ in range(ROUNDS_MAX):
            # What was applied meanwhile is in the index: its frames must be seen too.
            if _applied(known.state) < self._reach.end or self._reach.cut_off:
                break
            end = (await topics.ends_of(self._settings, frames)).get(frames, {}).get(self._partition, 0)
            if end <= self._reach.end:
                break
            await self._read_frames(search, end)
            known = await self._look_up()
        return judge(self._evidence(search, known)), self._reach

    async def _look_up(self) -> Known:
        return await look_up(self._store, self._partition, self._topics.frames_partitions, self._identity)

    def _check(self, state: PartitionState | None) -> None:
        if state is None:
            return
        if state.fingerprint != self._fingerprint:
            raise Refused(
                "the counters were made with another TIDEMARK_EVENTS__IDENTITY_SECRET: give the deployment's own, or"
                " no event can be found"
            )
        if state.partitions != self._topics.frames_partitions:
            raise Refused(
                f"the counters are spread over {state.partitions} partitions, but topics.frames_partitions is"
                f" {self._topics.frames_partitions}: give the deployment's own number"
            )

    def _until_s(self, share: float) -> float | None:
        return None if self._limit_s is None else self._began_s + self._limit_s * share

    def _is_over(self, until_s: float | None, what: str) -> bool:
        """Return whether a part's time is over, and note what was cut off."""
        if until_s is None or monotonic_s() < until_s:
            return False
        if what not in self._reach.cut_off:
            self._reach.cut_off.append(what)
        return True

    async def _read_letters(self) -> None:
        topic, until_s, number = self._topics.dead_letters, self._until_s(LETTERS_SHARE), 0
        async with aclosing(read_dead_letters(self._settings)) as letters:
            async for letter in letters:
                if self._is_over(until_s, topic):
                    return
                number += 1
                self._progress(topic, number, None)
                if self._since_ms is None or letter.timestamp_ms >= self._since_ms:
                    self._letters.look(letter)

    async def _begin_frames(self, end: int, state: PartitionState | None) -> FrameSearch:
        """Find out where to begin to read the frames, and return the search for it."""
        reach, at = self._reach, self._partition
        if not end:
            return self._new_search({})
        topic, applied = self._topics.frames, _applied(state)
        reach.begin = reach.read_from = (await self._log.begins(topic, [at]))[at]
        if self._since_ms is not None:
            since = await self._log.offset_at(topic, at, self._since_ms, end)
            if since is not None:
                # What is not applied yet is read in any case: it is on its way.
                reach.read_from = max(reach.begin, min(since, applied + 1))
        reach.end = reach.read_from
        whole = Span(topic=topic, partition=at, begin=reach.begin, end=end)
        reach.begin_ms = await self._first_ms(whole)
        reach.read_from_ms = await self._first_ms(replace(whole, begin=reach.read_from))
        # Right behind the applied frames it is known what is covered; elsewhere only from what is read.
        known = state is not None and reach.read_from == applied + 1
        return self._new_search(_next_offsets(state) if known else {})

    async def _first_ms(self, span: Span) -> int | None:
        return (await self._probe.first_times([span])).get((span.topic, span.partition))

    async def _read_frames(self, search: FrameSearch, end: int) -> None:
        reach, topic = self._reach, self._topics.frames
        until_s = self._until_s(2 * LETTERS_SHARE)
        span = Span(topic=topic, partition=self._partition, begin=reach.end, end=end)
        async with aclosing(self._log.records([span], until_s)) as records:
            async for record in records:
                search.look(record.offset, record.timestamp, record.value)
                reach.end = record.offset + 1
                self._progress(topic, reach.end - reach.read_from, end - reach.read_from)
        if reach.end < end:
            self._is_over(until_s, topic)
        reach.unreadable, reach.unreadable_count = search.unreadable, search.unreadable_count
        reach.foreign, reach.left_out = search.foreign, search.left_out

    async def _read_waiting(self, ends: Mapping[int, int], search: FrameSearch, state: PartitionState | None) -> None:
        """Look at the records of usage.events that no frame covers yet."""
        topic = self._topics.events
        begins = await self._log.begins(topic, list(ends)) if ends else {}
        kept = [Span(topic=topic, partition=number, begin=begins[number], end=end) for number, end in ends.items()]
        times = await self._probe.first_times(kept)
        self._reach.events = {each.partition: (each.begin, times.get((topic, each.partition))) for each in kept}
        # A record below either position is in a frame that was read, or applied before.
        covered = [_next_offsets(state), search.positions]
        spans = [
            replace(each, begin=max(each.begin, *[of.get((topic, each.partition), 0) for of in covered]))
            for each in kept
        ]
        until_s, done, total = self._until_s(1.0), 0, sum(max(0, each.end - each.begin) for each in spans)
        async with aclosing(self._log.records(spans, until_s)) as records:
            async for record in records:
                done += 1
                self._progress(topic, done, total)
                self._look_at_waiting(record)
        if done < total:
            self._is_over(until_s, topic)

    def _look_at_waiting(self, record: Any) -> None:
        match = self._event.match(record.value, record.headers)
        if match is not Match.NO and len(self._waiting) < FOUND_MAX:
            self._waiting.append(
                Waiting(
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    broker_ms=record.timestamp,
                    exact=match is Match.EXACT,
                )
            )

    def _evidence(self, search: FrameSearch, known: Known) -> Evidence:
        reach = self._reach
        sound_ms = None
        if reach.read_from > 0:
            # An earlier copy is at most 24 h from the event, and no event is further ahead of its record.
            ahead_ms = round(self._settings.events.max_ahead * 1000)
            sound_ms = NEVER_MS if reach.read_from_ms is None else reach.read_from_ms + COPY_MS + ahead_ms
        return Evidence(
            applied_offset=_applied(known.state),
            events=[*self._letters.in_frames_before(reach.read_from), *search.found],
            letters=self._letters.found,
            waiting=self._waiting,
            skipped_frames=self._letters.skipped,
            known_periods=known.periods,
            sound_from_ms=sound_ms,
            complete=not (reach.cut_off or reach.unreadable_count or reach.foreign),
        )


def _applied(state: PartitionState | None) -> int:
    return NOTHING_APPLIED if state is None else state.applied_offset


def _next_offsets(state: PartitionState | None) -> dict[tuple[str, int], int]:
    return {} if state is None else {source: position.next_offset for source, position in state.sources.items()}

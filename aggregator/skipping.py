"""Passes a frame that cannot be folded, by an operator's word: its bytes are kept, its events are not counted.

What its header says (positions, records received and dead-lettered) is applied where it can be read, by the fold and
the apply script that every frame goes through: the ledger then lacks exactly the events of the frame (ADR 0014).
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from aggregator.branch import Keeping, Place
from aggregator.folding import Fold
from aggregator.known import Knowledge
from aggregator.log_probe import LogProbe
from aggregator.run import join
from services.clock import now_ms
from services.counters import CRASHES_MAX, Applied, ApplyRequest, CounterStore, PartitionState
from services.dead_letters import Reason, dead_letter_headers
from services.frames import Frame, UnknownVersion, WrongFrame, decode_frame, digest, without_events
from services.identifiers import FrameOffset, PartitionId
from services.kafka import make_producer, translated
from services.keyspace import epoch_prefix, tags
from services.lifecycle import Refused
from services.settings import Settings
from services.stores import open_store

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A frame that was skipped.

    Attributes:
        size: bytes.
        events: how many it would have brought; None where its header cannot be read.
        letter_partition, letter_offset: where its bytes are kept among the dead letters.
    """

    partition: int
    offset: int
    size: int
    events: int | None
    letter_partition: int
    letter_offset: int


async def skip_frame(settings: Settings, partition: int, offset: int, *, force: bool) -> Skipped:
    """Keep the bytes of the next frame of a partition as a dead letter, then move the partition on by one.

    Args:
        force: also a frame that no worker failed on often enough.

    Raises:
        Refused: it is not the next frame, or one that can be folded as far as anybody knows.
        StoreUnavailable, StoreRefused, KafkaUnavailable, KafkaRefused: a server is away. Calling again is safe.
    """
    at, where = PartitionId(partition), FrameOffset(offset)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        state = await store.state(at)
        check_next(settings, at, where, state)
        assert state is not None
        probe = LogProbe(settings.kafka, settings.topics.frames)
        await probe.start()
        stack.push_async_callback(probe.stop)
        record = await _record(settings, probe, at, where)
        if not force:
            check_hopeless(at, where, state, record.value)
        request, events = await request_of(settings, store, at, state, record.value)
        letter = await _keep(settings, at, record)
        outcome = await store.apply(at, request)
    if outcome != Applied():
        raise Refused(
            f"partition {partition} moved on meanwhile, so that the frame at offset {offset} was not skipped; its dead"
            f" letter at offset {letter.offset} of partition {letter.partition} has no meaning"
        )
    return Skipped(
        partition=partition,
        offset=offset,
        size=len(record.value or b""),
        events=events,
        letter_partition=letter.partition,
        letter_offset=letter.offset,
    )


def check_next(settings: Settings, partition: PartitionId, offset: FrameOffset, state: PartitionState | None) -> None:
    """Check that a frame is the one that a partition waits for.

    Raises:
        Refused: it is not.
    """
    if state is None:
        raise Refused(f"partition {partition} was not begun: start an aggregator before anything can be skipped")
    if state.partitions != settings.topics.frames_partitions:
        raise Refused(
            f"the counters were made with {state.partitions} partitions of usage.frames, the settings say"
            f" {settings.topics.frames_partitions}: set topics.frames_partitions back"
        )
    expected = state.applied_offset + 1
    if offset != expected:
        why = "was applied already" if offset < expected else "comes later"
        raise Refused(
            f"the frame at offset {offset} of partition {partition} {why}: only the next one, at {expected}, can be"
            " skipped"
        )


def check_hopeless(partition: PartitionId, offset: FrameOffset, state: PartitionState, value: bytes | None) -> None:
    """Check that nobody can fold a frame: workers failed on it, or its bytes are no frame.

    Raises:
        Refused: it may well be folded.
    """
    where = f"the frame at offset {offset} of partition {partition}"
    try:
        decode_frame(value)
    except UnknownVersion as error:
        raise Refused(f"{where} is good for another release: {error}; --force skips it all the same") from error
    except WrongFrame:
        return
    crash = state.crash
    crashes = 0 if crash is None or crash.last != offset else crash.count
    if crashes < CRASHES_MAX:
        raise Refused(
            f"{where} can be read, and {crashes or 'no'} workers failed on it; it is held for skipping after"
            f" {CRASHES_MAX}; --force skips it all the same, and its events are not counted"
        )


async def request_of(
    settings: Settings, store: CounterStore, partition: PartitionId, state: PartitionState, value: bytes | None
) -> tuple[ApplyRequest, int | None]:
    """Return what to apply in place of a frame, and how many events that leaves out; None if nobody can tell."""
    bare = ApplyRequest(
        epoch=state.epoch,
        first=FrameOffset(state.applied_offset + 1),
        last=FrameOffset(state.applied_offset + 1),
        frame_id=digest(value),
    )
    try:
        frame, events = without_events(value)
        fold = _fold(settings, partition, state, frame)
        read = await store.read(partition, fold.request)
        if read.state is None or (read.state.epoch, read.state.applied_offset) != (state.epoch, state.applied_offset):
            raise Refused(f"partition {partition} moved on meanwhile: nothing was skipped")
        return replace(fold.finish(read).request, frame_id=bare.frame_id), events
    except (WrongFrame, ArithmeticError, LookupError, TypeError, ValueError):
        # The bug may lie in what is read here too.
        return bare, None


def _fold(settings: Settings, partition: PartitionId, state: PartitionState, frame: Frame) -> Fold:
    events = settings.events
    run = join(FrameOffset(state.applied_offset + 1), [frame], state.sources, state.source_partitions)
    return Fold(
        run,
        epoch=state.epoch,
        periods={},
        place=Place(
            prefix=epoch_prefix(tags(state.partitions)[partition], state.epoch),
            keeping=Keeping(hours_s=events.keep_hours, days_s=events.keep_days, ids_s=None),
            knowledge=Knowledge(),
            now_s=now_ms() // 1000,
            elapsed_s=0.0,
        ),
    )


async def _record(settings: Settings, probe: LogProbe, partition: PartitionId, offset: FrameOffset) -> Any:
    begin, end = (await probe.bounds([partition]))[partition]
    record = await probe.record(partition, offset) if begin <= offset < end else None
    if record is None:
        raise Refused(
            f"partition {partition} of {settings.topics.frames} holds offsets {begin} to {end - 1}, and none at"
            f" {offset}: there is nothing to skip"
        )
    return record


async def _keep(settings: Settings, partition: PartitionId, record: Any) -> Any:
    """Write the dead letter and return where it stands, once it is acknowledged."""
    topics = settings.topics
    headers = dead_letter_headers(
        record.headers,
        reason=Reason.SKIPPED_FRAME,
        field=None,
        topic=topics.frames,
        partition=partition,
        offset=record.offset,
        rejected_at_ms=now_ms(),
    )
    producer = make_producer(settings.kafka)
    with translated(f"keeping the frame in {topics.dead_letters}"):
        await producer.start()
        try:
            # A batch of its own: the client's `send` refuses a record that has neither key nor value.
            batch = producer.create_batch()
            batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
            target = min(await producer.partitions_for(topics.dead_letters))
            return await (await producer.send_batch(batch, topics.dead_letters, partition=target))
        finally:
            await producer.stop()

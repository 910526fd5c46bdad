"""Reads the ledger from the slots of all partitions: bounded calls, each slot's rows as of one state or later.

It is read beside users' requests too: a call brings few rows, and what is made of many is made in a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import product
from typing import Any, Final

import structlog

from services.clock import now_ms
from services.closed_days import ClosedDays, Sums
from services.counter_codec import unpack
from services.counters import CounterStore, PartitionState, ReadRequest, StoreRefused, StoreUnavailable
from services.identifiers import PartitionId
from services.keyspace import epoch_prefix, ledger_key, tags
from services.ledger import ENTRIES, Ledger, Row, add_to, heard_of, ledger_of
from services.ledger_members import ledger_members
from services.redis_client import STRANGER
from services.settings import Settings
from services.stores import open_store, read_states
from services.windows import HOURS_PER_DAY

HASHES_PER_READ: Final = 40
"""Of 24 fields: their numbers are read out within some milliseconds, in which nothing else goes on."""

DAYS_BY_DEFAULT: Final = 45
"""Where hours are kept for ever, this many days are read unless the caller says from when."""

DAY_S: Final = 86_400
ENDING_S: Final = 600
"""A day whose rows end within this time is not read any more."""

HASHES_MAX: Final = 100_000
"""Of one slot: 1,024 source partitions for three months take minutes."""


async def ledger_answer(settings: Settings) -> dict[str, Any]:
    """Return the ledger of all hours that are kept, as a JSON object.

    Raises:
        StoreUnavailable, StoreRefused: it cannot be read.
    """
    async with open_store(settings) as store:
        ledger = await read_ledger(settings, store)
    return await asyncio.to_thread(ledger_members, ledger)


async def read_ledger(
    settings: Settings,
    store: CounterStore,
    first_hour: int | None = None,
    next_hour: int | None = None,
    known: ClosedDays | None = None,
) -> Ledger:
    """Return the ledger of usage.events and usage.directory.

    Args:
        first_hour, next_hour: half-open; all that are kept by default.
        known: from earlier readings of all that are kept, which this one goes by and is added to.

    Raises:
        StoreUnavailable, StoreRefused: as the store does; an epoch that changes meanwhile is unavailable, and what is
            no row is refused.
    """
    first, end = hours_to_read(settings.events.keep_hours, now_ms(), first_hour, next_hour)
    topics = (settings.topics.events, settings.topics.directory)
    states = await read_states(store, settings.topics.frames_partitions)
    _check(states)
    sources = [(topic, number) for topic in topics for number in range(heard_of(states, topic))]
    days = range(first // HOURS_PER_DAY, (end - 1) // HOURS_PER_DAY + 1)
    if len(sources) * len(days) > HASHES_MAX:
        raise StoreRefused(
            f"{len(sources) * len(days)} days of source partitions are more than can be read at once: give --since"
        )
    known = known or ClosedDays()
    known.stand_at(states, topics, days)
    wanted = known.to_read(days)
    read: dict[int, Sums] = {day: {} for day in wanted}
    for number, state in enumerate(states):
        async for day, rows in _rows_of(store, PartitionId(number), state, len(states), sources, wanted):
            add_to(read[day], rows)
    known.take(read)
    return await asyncio.to_thread(ledger_of, states, [known.day(day) for day in days], topics, first, end)


async def keep_reading_ledger(settings: Settings, interval_s: float, seen: Callable[[Ledger | None], None]) -> None:
    """Read it at every interval until cancelled, and hand each on; None where it could not be read."""
    known = ClosedDays()
    async with open_store(settings) as store:
        while True:
            try:
                seen(await read_ledger(settings, store, known=known))
            except (StoreUnavailable, StoreRefused) as error:
                structlog.get_logger().warning("ledger_unknown", error=str(error))
                seen(None)
            await asyncio.sleep(interval_s)


def hours_to_read(
    keep_s: float | None, at_ms: int, first_hour: int | None = None, next_hour: int | None = None
) -> tuple[int, int]:
    """Return the hours to read, half-open: those asked for, as far as they are kept for another while.

    The rows of a day end in every slot at once; read at that moment, some slots would have them and others not.
    By default up to a day ahead, for a broker whose clock is.
    """
    at_s = at_ms // 1000
    kept_from = at_s - DAYS_BY_DEFAULT * DAY_S if keep_s is None else at_s + ENDING_S - int(keep_s)
    first = kept_from // DAY_S * HOURS_PER_DAY
    if first_hour is not None:
        first = first_hour if keep_s is None else max(first, first_hour)
    return first, max(first + 1, (at_s // DAY_S + 2) * HOURS_PER_DAY if next_hour is None else next_hour)


def _check(states: Sequence[PartitionState | None]) -> None:
    for state in states:
        if state is not None and state.partitions != len(states):
            raise StoreRefused(
                f"the counters are spread over {state.partitions} partitions, but topics.frames_partitions is"
                f" {len(states)}: give the deployment's own number"
            )


async def _rows_of(
    store: CounterStore,
    partition: PartitionId,
    state: PartitionState | None,
    partitions: int,
    sources: Sequence[tuple[str, int]],
    days: Sequence[int],
) -> AsyncIterator[tuple[int, Mapping[Row, Sequence[int]]]]:
    """Yield one slot's rows, hash by hash, with the day of each.

    They are read after the state: what was closed then is whole in them, and no longer changes.
    """
    if state is None:
        return
    prefix = epoch_prefix(tags(partitions)[partition], state.epoch)
    wanted = [(*source, day) for source, day in product(sources, days)]
    for start in range(0, len(wanted), HASHES_PER_READ):
        some = wanted[start : start + HASHES_PER_READ]
        read = await store.read(partition, ReadRequest(whole=[ledger_key(prefix, *each) for each in some]))
        if read.state is None or read.state.epoch != state.epoch:
            raise StoreUnavailable("a rebuild replaced the counters while the ledger was read: read it again")
        for (topic, number, day), fields in zip(some, read.whole, strict=True):
            try:
                yield day, _rows(topic, number, day, fields)
            except ValueError as error:
                raise StoreRefused(
                    f"{ledger_key(prefix, topic, number, day)} in Redis holds what is no row of the ledger: {STRANGER}"
                ) from error


def _rows(topic: str, partition: int, day: int, fields: Mapping[bytes, bytes]) -> dict[Row, Sequence[int]]:
    numbers = unpack(list(fields.values()))[:, : len(ENTRIES)].tolist()
    hours = [day * HOURS_PER_DAY + int(name) for name in fields]
    return {(topic, partition, hour): of_hour for hour, of_hour in zip(hours, numbers, strict=True)}

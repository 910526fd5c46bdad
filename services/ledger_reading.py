"""Reads the ledger from the slots of all partitions: bounded calls, each slot's rows as of one state or later."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Final

import structlog

from services.clock import now_ms
from services.counter_codec import unpack
from services.counters import CounterStore, PartitionState, ReadRequest, StoreRefused, StoreUnavailable
from services.identifiers import PartitionId
from services.keyspace import epoch_prefix, ledger_key, tags
from services.ledger import ENTRIES, Ledger, Row, Slot, heard_of, sum_up
from services.ledger_members import ledger_members
from services.redis_client import STRANGER
from services.settings import Settings
from services.stores import open_store, read_states
from services.windows import HOURS_PER_DAY

HASHES_PER_READ: Final = 800
"""Of 24 fields: a script call stays under 20,000 (design.md, invariant 10)."""

DAYS_BY_DEFAULT: Final = 45
"""Where hours are kept for ever, this many days are read unless the caller says from when."""

DAY_S: Final = 86_400
ENDING_S: Final = 600
"""A day whose rows end within this time is not read any more."""

HASHES_MAX: Final = 100_000
"""Of one slot: 1,024 source partitions for three months take a second or two."""


async def ledger_answer(settings: Settings) -> dict[str, Any]:
    """Return the ledger of all hours that are kept, as a JSON object.

    Raises:
        StoreUnavailable, StoreRefused: it cannot be read.
    """
    async with open_store(settings) as store:
        return ledger_members(await read_ledger(settings, store))


async def read_ledger(
    settings: Settings, store: CounterStore, first_hour: int | None = None, next_hour: int | None = None
) -> Ledger:
    """Return the ledger of usage.events and usage.directory.

    Args:
        first_hour, next_hour: half-open; all that are kept by default.

    Raises:
        StoreUnavailable, StoreRefused: as the store does; an epoch that changes meanwhile is unavailable, and what is
            no row is refused.
    """
    first, end = hours_to_read(settings.events.keep_hours, now_ms(), first_hour, next_hour)
    topics = (settings.topics.events, settings.topics.directory)
    partitions = settings.topics.frames_partitions
    states = await read_states(store, partitions)
    counts = {topic: heard_of([Slot(state=state, rows={}) for state in states], topic) for topic in topics}
    days = range(first // HOURS_PER_DAY, (end - 1) // HOURS_PER_DAY + 1)
    wanted = [(topic, number, day) for topic in topics for number, day in product(range(counts[topic]), days)]
    if len(wanted) > HASHES_MAX:
        raise StoreRefused(f"{len(wanted)} days of source partitions are more than can be read at once: give --since")
    slots = await asyncio.gather(
        *[_slot(store, PartitionId(number), partitions, state, wanted) for number, state in enumerate(states)]
    )
    return sum_up(slots, topics, first, end)


async def keep_reading_ledger(settings: Settings, interval_s: float, seen: Callable[[Ledger | None], None]) -> None:
    """Read it at every interval until cancelled, and hand each on; None where it could not be read."""
    async with open_store(settings) as store:
        while True:
            try:
                seen(await read_ledger(settings, store))
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


async def _slot(
    store: CounterStore,
    partition: PartitionId,
    partitions: int,
    state: PartitionState | None,
    wanted: Sequence[tuple[str, int, int]],
) -> Slot:
    if state is None:
        return Slot(state=None, rows={})
    if state.partitions != partitions:
        raise StoreRefused(
            f"the counters are spread over {state.partitions} partitions, but topics.frames_partitions is {partitions}:"
            " give the deployment's own number"
        )
    prefix = epoch_prefix(tags(partitions)[partition], state.epoch)
    rows: dict[Row, Sequence[int]] = {}
    for start in range(0, len(wanted), HASHES_PER_READ):
        some = wanted[start : start + HASHES_PER_READ]
        read = await store.read(partition, ReadRequest(whole=[ledger_key(prefix, *each) for each in some]))
        if read.state is None or read.state.epoch != state.epoch:
            raise StoreUnavailable("a rebuild replaced the counters while the ledger was read: read it again")
        for (topic, number, day), fields in zip(some, read.whole, strict=True):
            try:
                rows |= _rows(topic, number, day, fields)
            except ValueError as error:
                raise StoreRefused(
                    f"{ledger_key(prefix, topic, number, day)} in Redis holds what is no row of the ledger: {STRANGER}"
                ) from error
    # Rows were read after the state: what was closed then is whole in them, and no longer changes.
    return Slot(state=state, rows=rows)


def _rows(topic: str, partition: int, day: int, fields: Mapping[bytes, bytes]) -> dict[Row, Sequence[int]]:
    numbers = unpack(list(fields.values()))[:, : len(ENTRIES)].tolist()
    hours = [day * HOURS_PER_DAY + int(name) for name in fields]
    return {(topic, partition, hour): of_hour for hour, of_hour in zip(hours, numbers, strict=True)}

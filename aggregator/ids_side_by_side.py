"""Compares the identities of the dedup index with those that the log gives, by membership, each side in the other."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from aggregator.both_sides import SOON_S, BothSides
from aggregator.identities import Sought
from aggregator.shadow_store import PacedStore, taken_over
from services.clock import now_ms
from services.counters import ReadRequest
from services.dedup_index import PERIOD_MS, Generation, read_period
from services.frames import Column
from services.keyspace import ids_key
from services.verification import Difference, Part, Verification
from services.windows import rfc3339

SETS_AT_ONCE: Final = 40
"""Of at most some 512 identities each."""


async def compare_ids(both: BothSides, names: Sequence[str], found: Verification) -> None:
    """Look each side's identities up in the other side's index, period by period.

    Args:
        names: of the periods and their sets.
    """
    sets = by_period(names)
    sound_ms = both.shadow.sound_ms
    of_sound = {period for period in sets if sound_ms is None or period * PERIOD_MS >= sound_ms}
    if ended := [period for period in of_sound if not _stays(period, both.keeping.ids_s)]:
        found.unverified.append(
            f"partition {both.shadow.partition}: identities of events before"
            f" {rfc3339((max(ended) + 1) * PERIOD_MS)}, whose sets may have ended by now"
        )
    for period in sorted(of_sound.difference(ended)):
        await _compare_counts(both, period, found)
        for start in range(0, len(sets[period]), SETS_AT_ONCE):
            batch = sets[period][start : start + SETS_AT_ONCE]
            await _look_up(both, period, batch, found, of_live=False)
            await _look_up(both, period, batch, found, of_live=True)


def by_period(names: Sequence[str]) -> Mapping[int, Sequence[str]]:
    """Return the sets of each period, given the names of the periods and of their sets."""
    sets: dict[int, list[str]] = defaultdict(list)
    for name in names:
        text, slash, _ = name.removeprefix("x:").partition("/")
        sets[int(text)] += [name] if slash else []
    return sets


def _stays(period: int, keep_s: float | None) -> bool:
    """Return whether no set of a period can have ended: its first event came no earlier than its begin."""
    return keep_s is None or period * PERIOD_MS / 1000 + keep_s > now_ms() / 1000 + SOON_S


async def _compare_counts(both: BothSides, period: int, found: Verification) -> None:
    [pair], _ = await both.pairs([ids_key("", period)])
    live, log = (sum(generation.count for generation in read_period(side)) for side in pair)
    if live != log:
        place = {"period": _span(period), "field": "count"}
        found.note([Difference(partition=both.shadow.partition, part=Part.IDS, place=place, live=live, log=log)])


async def _look_up(both: BothSides, period: int, names: Sequence[str], found: Verification, *, of_live: bool) -> None:
    """Look up identities that one side holds in the index of the other, which is not behind it."""
    run, shadow = both.run, both.shadow
    prefix, other = (both.live_prefix, both.log_prefix) if of_live else (both.log_prefix, both.live_prefix)
    members = await run.call(lambda: run.shadows.members([prefix + name for name in names]))
    known = [both.strangers.known_members(name, of_set) for name, of_set in zip(names, members, strict=True)]
    ids: Column = np.array([member for of_set in known for member in of_set], dtype=np.int64)
    if of_live:
        # Identities are only ever added: once the shadow is where the live ones are now, it has all of these.
        await shadow.follow(await run.state(shadow.partition))
    store = shadow.store if of_live else run.live
    sought = Sought(ids, other, period, await _generations(both, store, ids_key("", period), other))
    answers: Sequence[int] = ()
    if sought.groups:
        read = await run.retrying(lambda: store.read(shadow.partition, ReadRequest(members=sought.groups)))
        if not of_live and (read.state is None or read.state.epoch != shadow.live_epoch):
            raise taken_over(shadow.partition)
        answers = read.members
    found.ids += len(ids)
    live, log = ("known", None) if of_live else (None, "known")
    found.note(
        [
            Difference(
                partition=shadow.partition,
                part=Part.IDS,
                place={"period": _span(period), "identity": identity},
                live=live,
                log=log,
            )
            for identity in sought.missing(answers)
        ]
    )


async def _generations(both: BothSides, store: PacedStore, name: str, prefix: str) -> tuple[Generation, ...]:
    read = await both.run.retrying(lambda: store.read(both.shadow.partition, ReadRequest(whole=[prefix + name])))
    return read_period(both.strangers.known_fields(name, read.whole[0]))


def _span(period: int) -> str:
    return f"{rfc3339(period * PERIOD_MS)}/{rfc3339((period + 1) * PERIOD_MS)}"

"""Carries over identities that only the live dedup index has: a generation of their own in each period."""

from collections.abc import Sequence

import numpy as np

from aggregator.both_sides import BothSides
from aggregator.dedup import ranges_for, sets_of
from aggregator.identities import Sought
from aggregator.ids_side_by_side import SETS_AT_ONCE, by_period
from aggregator.shadow_run import ShadowRun
from services.counters import ReadRequest
from services.dedup_index import PERIOD_MS, generation_key, read_period
from services.frames import Column
from services.keyspace import ids_key
from services.redis_shadows import CarriedIds


async def carry_ids(run: ShadowRun, both: BothSides, names: Sequence[str], sound_ms: int) -> None:
    """Add what the shadow's index lacks of the live one's, in the periods that its log does not decide.

    Args:
        names: of the periods and their sets.
    """
    sets = by_period(names)
    for period in sorted(period for period in sets if period * PERIOD_MS < sound_ms):
        carried = _Period(run, both, period)
        for start in range(0, len(sets[period]), SETS_AT_ONCE):
            await carried.carry(sets[period][start : start + SETS_AT_ONCE])


class _Period:
    def __init__(self, run: ShadowRun, both: BothSides, period: int) -> None:
        self._run = run
        self._both = both
        self._period = period
        self._number: int | None = None
        self._ranges = 0

    async def carry(self, names: Sequence[str]) -> None:
        run, shadow = self._run, self._both.shadow
        members = await run.call(lambda: run.shadows.members([self._both.live_prefix + name for name in names]))
        ids: Column = np.array(
            sorted(
                {
                    each
                    for name, of_set in zip(names, members, strict=True)
                    for each in self._both.strangers.known_members(name, of_set)
                }
            ),
            dtype=np.int64,
        )
        # Identities are only ever added: once the shadow is where the live ones are now, it lacks old ones alone.
        await shadow.follow(await run.state(shadow.partition))
        key = ids_key(self._both.log_prefix, self._period)
        read = await run.retrying(lambda: shadow.store.read(shadow.partition, ReadRequest(whole=[key])))
        generations = read_period(read.whole[0])
        sought = Sought(ids, self._both.log_prefix, self._period, generations)
        answers: Sequence[int] = ()
        if sought.groups:
            found = await run.retrying(lambda: shadow.store.read(shadow.partition, ReadRequest(members=sought.groups)))
            answers = found.members
        missing: Column = np.array(sought.missing(answers), dtype=np.int64)
        if not len(missing):
            return
        if self._number is None:
            self._number, self._ranges = len(generations), ranges_for(await self._live_count())
        held = generations[self._number].count if self._number < len(generations) else 0
        await self._add(key, missing, held + len(missing))

    async def _live_count(self) -> int:
        [(live, _)], _ = await self._both.pairs([ids_key("", self._period)])
        return sum(generation.count for generation in read_period(live))

    async def _add(self, key: str, missing: Column, count: int) -> None:
        assert self._number is not None
        of_generation = generation_key(self._both.log_prefix, self._period, self._number)
        places, members = sets_of(missing, np.arange(len(missing)), self._ranges)
        sets = {
            f"{of_generation}/{place}": missing[rows].tolist()
            for place, rows in zip(places.tolist(), members, strict=True)
        }
        keep_s = self._both.keeping.ids_s
        carried = CarriedIds(
            key=key,
            fields={b"%d" % self._number: b"%d:%d" % (self._ranges, count)},
            sets=sets,
            lifetime_s=0 if keep_s is None else round(keep_s),
        )
        self._run.leave_the_fold(self._both.shadow, [key, *sets])
        await self._run.call(lambda: self._run.shadows.carry_ids(carried))

"""Carries over into a shadow what a log that begins late does not decide: the live values, level with the frames.

`BothSides` reads both sides at one applied offset, and the shadow stands still until it is told to follow. So what is
written to it then is level with the live counters, and each later frame is folded on top of it. Identities come first:
until the shadow has them it takes copies for new events, which only tells in windows that are set to the live values
afterwards. Users are carried by name, since ordinals belong to their epoch.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from aggregator.both_sides import BothSides, Pair
from aggregator.carried_ids import carry_ids
from aggregator.carried_users import OrdinalMap
from aggregator.comparing import Fields, index_of, ledger_hour, read_key, sound_fields, window_start_ms
from aggregator.shadow_run import ShadowRun
from services.partition_state import write_months
from services.redis_shadows import Carried
from services.windows import HOUR_MS

_AT_ONCE: Final = 40
"""Hashes that are read of both sides, compared and written in one go: at most 124 fields of counters each."""

_RECORDS_AT_ONCE: Final = 4
_COUNTERS: Final = ("h", "d", "l")
_BITMAPS: Final = ("ha", "da")


async def carry_over(run: ShadowRun, both: BothSides, sound_ms: int) -> None:
    """Make the shadow hold what its log does not decide, as the live counters have it.

    Args:
        both: that reads whole hashes, whatever the log decides of them.
        sound_ms: windows that begin then or later are left as the log has them.

    Raises:
        Refused, StoreUnavailable, StoreRefused: as `BothSides.pairs` does.
    """
    carrying = _Carrying(run, both, sound_ms)
    of_kind: dict[str, list[str]] = defaultdict(list)
    for name in sorted(await both.names()):
        of_kind[name.partition(":")[0]].append(name)
    await carry_ids(run, both, of_kind["x"], sound_ms)
    bitmaps: dict[str, list[str]] = defaultdict(list)
    for name in filter(carrying.begins_before, (name for kind in _BITMAPS for name in of_kind[kind])):
        bitmaps[index_of(name)].append(name)
    for index in sorted({*of_kind["i"], *bitmaps}):
        await carrying.carry_users(index, bitmaps[index])
    await carrying.carry([name for kind in _COUNTERS for name in filter(carrying.begins_before, of_kind[kind])])
    await carrying.carry([*of_kind["r"], *of_kind["rv"]], at_once=_RECORDS_AT_ONCE)
    await carrying.carry_months()


class _Carrying:
    def __init__(self, run: ShadowRun, both: BothSides, sound_ms: int) -> None:
        self._run = run
        self._both = both
        self._sound_ms = sound_ms

    def begins_before(self, name: str) -> bool:
        """Return whether a hash of windows has any that the log does not decide, and stays."""
        key = read_key(name)
        begin = ledger_hour(name, b"0") * HOUR_MS if key is None else window_start_ms(key, b"0")
        return begin < self._sound_ms and self._both.is_kept(name)

    async def carry(self, names: Sequence[str], at_once: int = _AT_ONCE) -> None:
        for start in range(0, len(names), at_once):
            batch = names[start : start + at_once]
            pairs, _ = await self._both.pairs(batch)
            carried = [self._merged(name, pair) for name, pair in zip(batch, pairs, strict=True)]
            await self._write(carried)

    async def carry_users(self, index: str, names: Sequence[str]) -> None:
        """Give each user that only the live index has an ordinal of the shadow, and translate bitmaps."""
        ordinals = OrdinalMap()
        for start in range(0, max(1, len(names)), _AT_ONCE):
            batch = names[start : start + _AT_ONCE]
            (users, *pairs), _ = await self._both.pairs([index, *batch])
            ordinals.take(*users)
            bitmaps = []
            for name, (live, log) in zip(batch, pairs, strict=True):
                translated = {field: ordinals.translated(value) for field, value in self._unsound(name, live).items()}
                bitmaps.append(self._change(name, log, {**self._sound(name, log), **translated}))
            # The index first: should the run end between, a user without a bit is nobody's.
            await self._write([self._change(index, users[1], {**users[1], **ordinals.added()})])
            await self._write(bitmaps)

    async def carry_months(self) -> None:
        """Take over which frames the months were last changed by that the log has no event of."""
        _, (live, log) = await self._both.pairs([])
        gone = {month: frame for month, frame in live.months.items() if month not in log.months}
        if gone:
            flat = write_months(gone)
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            await self._run.call(lambda: self._run.shadows.carry_state(self._both.shadow.partition, fields))

    def _merged(self, name: str, pair: Pair) -> Carried:
        live, log = pair
        return self._change(name, log, {**self._sound(name, log), **self._unsound(name, live)})

    def _sound(self, name: str, fields: Fields) -> Fields:
        """Return the fields that the log decides; none of what is not kept by windows."""
        if name.startswith(("r:", "rv")):
            return {}
        return sound_fields(name, fields, self._sound_ms)

    def _unsound(self, name: str, fields: Fields) -> Fields:
        sound = self._sound(name, fields)
        return {field: value for field, value in fields.items() if field not in sound}

    def _change(self, name: str, before: Fields, after: Fields) -> Carried:
        return Carried(
            key=self._both.log_prefix + name,
            fields={field: value for field, value in after.items() if before.get(field) != value},
            gone=[field for field in before if field not in after],
            end_s=self._both.end_s(name),
        )

    async def _write(self, carried: Iterable[Carried]) -> None:
        changed = [each for each in carried if each.fields or each.gone]
        if changed:
            self._run.leave_the_fold(self._both.shadow, [each.key for each in changed])
            await self._run.call(lambda: self._run.shadows.carry(changed))

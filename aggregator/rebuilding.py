"""`tidemark rebuild`: the log folded from its start into a shadow, which takes the live counters' place (ADR 0023).

The swap is one script a partition. It compares epoch, applied offset and frame of both, so that nothing is lost or
counted twice, whatever is applied meanwhile; when the live counters moved on, the shadow follows and it is tried again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from aggregator.both_sides import BothSides
from aggregator.branch import keeping_of
from aggregator.carrying import carry_over
from aggregator.shadow import Shadow
from aggregator.shadow_run import ShadowRun, on_each, shadow_run
from services.clock import monotonic_s
from services.counters import StoreRefused
from services.identifiers import PartitionId
from services.lifecycle import Refused
from services.settings import Settings
from services.verification import Progress, Rebuilt

SWAP_WITHIN_S: Final = 60.0
"""A partition gets a frame or a few in a second: the shadow stands level with it most of the time."""


async def rebuild(
    settings: Settings,
    partitions: Sequence[int],
    redis_share: float,
    progress: Callable[[Progress], object],
    *,
    trust_log: bool,
) -> Rebuilt:
    """Make the counters of some partitions anew from the log, while traffic goes on.

    Args:
        trust_log: also by a log that begins late, or that the counters were not made from: what only they hold is lost.

    Raises:
        Refused: the log does not hold what the counters were made from, or another run is under way.
        KafkaUnavailable, KafkaRefused, StoreUnavailable, StoreRefused: a server is away. Partitions that were swapped
            stay so; to run it again is safe.
    """
    rebuilt = Rebuilt()
    async with shadow_run(settings, redis_share, progress) as run:
        left = run.keys.unlinked

        async def renew(partition: PartitionId) -> None:
            async with run.shadow(partition, to_swap=True, trust_log=trust_log) as shadow:
                if shadow.sound_ms is not None and not trust_log:
                    both = BothSides(run, shadow, keeping_of(settings.events), None)
                    await carry_over(run, both, shadow.sound_ms)
                    rebuilt.unverified.append(shadow.what_is_unsound())
                await _swap(run, shadow)
            rebuilt.partitions.append(partition)
            run.crash_points.visit("rebuild.after_swap")
            await run.keys.unlink_replaced(shadow)

        await on_each(map(PartitionId, partitions), renew)
        await run.keys.sweep()
        rebuilt.unlinked = run.keys.unlinked - left
        rebuilt.events, rebuilt.seconds = run.events, monotonic_s() - run.began_s
    rebuilt.partitions.sort()
    return rebuilt


async def _swap(run: ShadowRun, shadow: Shadow) -> None:
    gives_up_s = monotonic_s() + SWAP_WITHIN_S
    while True:
        if shadow.stuck is None:
            await shadow.follow(await run.state(shadow.partition))
        if await _is_swapped(run, shadow):
            run.is_live(shadow)
            return
        if monotonic_s() > gives_up_s:
            raise Refused(
                f"partition {shadow.partition} moved on with every try to swap for {SWAP_WITHIN_S:g} s, or its last"
                " frame was skipped by hand: nothing was changed there; run it again when there is less traffic"
            )


async def _is_swapped(run: ShadowRun, shadow: Shadow) -> bool:
    """Try the swap; also when its answer was lost, it is known what became of it."""
    try:
        reached = shadow.fold.reached
        # Level with each other, both stand at one frame of one log, by its id.
        live = shadow.stuck or replace(reached, epoch=shadow.live_epoch)
        return await run.call(lambda: run.shadows.swap(shadow.partition, live, reached))
    except StoreRefused:
        if (await run.state(shadow.partition)).epoch == shadow.epoch:
            return True
        raise

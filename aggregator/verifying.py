"""`tidemark verify`: the log folded from its start into a shadow, and the live counters compared with it."""

from collections.abc import Callable, Sequence

from aggregator.both_sides import BothSides
from aggregator.branch import keeping_of
from aggregator.shadow_run import on_each, shadow_run
from aggregator.side_by_side import SideBySide
from services.clock import monotonic_s
from services.identifiers import PartitionId
from services.settings import Settings
from services.verification import Progress, Verification


async def verify(
    settings: Settings, partitions: Sequence[int], redis_share: float, progress: Callable[[Progress], object]
) -> Verification:
    """Compare some partitions; nothing that is live changes, and of the shadow nothing stays.

    Raises:
        Refused: the log cannot say, or another run is under way.
        KafkaUnavailable, KafkaRefused, StoreUnavailable, StoreRefused: a server is away.
    """
    found = Verification(partitions=len(partitions))
    keeping = keeping_of(settings.events)
    async with shadow_run(settings, redis_share, progress) as run:

        async def compare(partition: PartitionId) -> None:
            async with run.shadow(partition, to_swap=False) as shadow:
                await SideBySide(BothSides(run, shadow, keeping, shadow.sound_ms), found).compare()

        await on_each(map(PartitionId, partitions), compare)
        found.events, found.seconds = run.events, monotonic_s() - run.began_s
    return found

"""As-of and lag arithmetic. Pure; unknown is None, never 0."""

from services.counters import PartitionState


def as_of_ms(state: PartitionState | None, topic: str) -> int | None:
    """Return the broker time before which every record of `topic` is in the partition's numbers, or dead-lettered.

    It is the smallest time of any of the topic's partitions; None when the partition has never heard of one of them.
    It stays true, and grows old, when nothing new arrives (ADR 0006).
    """
    if state is None or not (expected := state.source_partitions.get(topic, 0)):
        return None
    times = []
    for partition in range(expected):
        position = state.sources.get((topic, partition))
        if position is None or position.read_up_to_ms is None:
            return None
        times.append(position.read_up_to_ms)
    return min(times)

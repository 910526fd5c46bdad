"""Which traces go with a partition's share of a poll. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from ingest.poll import Poll
from services.identifiers import PartitionId
from services.trace_context import CarriedTrace

TRACES_MAX: Final = 8
"""Traces that one record of `usage.frames` carries: some of many show where time goes, in at most 3 KB."""


def carried_by_partition(poll: Poll) -> Mapping[PartitionId, Sequence[CarriedTrace]]:
    """Return the first distinct traces of each partition's events, with the coordinates of their first event."""
    carried: defaultdict[PartitionId, dict[str, CarriedTrace]] = defaultdict(dict)
    for row, context in poll.traces.items():
        traces = carried[PartitionId(int(poll.partitions[row]))]
        if len(traces) < TRACES_MAX and context.trace_id not in traces:
            source = poll.sources[poll.events["source"][row]]
            traces[context.trace_id] = CarriedTrace(
                context=context,
                topic=source.topic,
                partition=source.partition,
                offset=int(poll.events["offset"][row]),
            )
    return {partition: list(traces.values()) for partition, traces in carried.items()}

"""The JSON of blocks, remembered by the months that they lie in: months that are over are not read again.

The state of a slot names, for each month, the last frame that holds an event of it (`services.counters`). While that
stays, so do all counters and bitmaps of the month, and so does what was made of them. A dashboard that asks for a year
over and over costs one month's reading, that of the month which goes on.

Whether a block is complete changes with time alone. It is part of what is remembered, and of the tag of the answer: a
client that holds a block as not complete must not be told that nothing changed.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice
from typing import Final, NamedTuple

import msgspec

from query_api.cells import RawBlock, block_cells
from query_api.ranges import RANGES_REMEMBERED, PlannedBlock
from query_api.usage import usage_blocks
from services.counters import PartitionState
from services.identifiers import Epoch, FrameId
from services.keyspace import Scope
from services.windows import HOURS_PER_DAY, month_of_day

BYTES_REMEMBERED: Final = 32 * 2**20
"""Of JSON in one process, some 1,600 months of days; what was not asked for longest goes when there is no room."""

_encoder: Final = msgspec.json.Encoder()


class Span(NamedTuple):
    """Blocks next to each other that lie in the same months."""

    months: range
    blocks: tuple[PlannedBlock, ...]


class Revision(NamedTuple):
    """What the blocks of a span are a function of, beside their scope; `complete` as `complete_blocks`."""

    epoch: Epoch
    frames: tuple[FrameId, ...]
    complete: int | None


@lru_cache(maxsize=RANGES_REMEMBERED)
def spans_of(blocks: tuple[PlannedBlock, ...]) -> tuple[Span, ...]:
    """Return blocks, ascending and gapless, as spans."""
    return tuple(Span(months, tuple(of_months)) for months, of_months in groupby(blocks, _months_of))


def complete_blocks(span: Span, until_ms: int | None) -> int | None:
    """Return how many of a span's blocks end at or before an instant; None where that is unknown."""
    if until_ms is None or span.blocks[-1].end_ms <= until_ms:
        return None if until_ms is None else len(span.blocks)
    return bisect_right(span.blocks, until_ms, key=_end_ms)


def revision_of(state: PartitionState | None, span: Span, complete_until_ms: int | None) -> Revision | None:
    """Return the revision of a span's blocks, None where a month of it has no event: there is little to read."""
    if state is None:
        return None
    frames = tuple(state.months[month] for month in span.months if month in state.months)
    if len(frames) != len(span.months):
        return None
    return Revision(state.epoch, frames, complete_blocks(span, complete_until_ms))


def make_blocks(spans: Sequence[Span], raw: Sequence[RawBlock], complete_until_ms: int | None) -> Iterator[bytes]:
    """Yield the JSON objects of each span's blocks, commas between them.

    Args:
        raw: of all the spans' blocks, one after the other.
        complete_until_ms: blocks that end at or before it are complete; None where that is unknown.
    """
    if not spans:
        return
    blocks = [block for span in spans for block in span.blocks]
    complete = [None if complete_until_ms is None else block.end_ms <= complete_until_ms for block in blocks]
    members = iter(usage_blocks(blocks, block_cells(raw), complete))
    for span in spans:
        yield _encoder.encode(list(islice(members, len(span.blocks))))[1:-1]


class FinishedBlocks:
    """The blocks that one process made last, span by span."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[Scope, Span], tuple[Revision, bytes]] = OrderedDict()
        self._bytes = 0

    def find(self, scope: Scope, span: Span, revision: Revision | None) -> bytes | None:
        """Return the JSON objects of a span's blocks, commas between them, if they were made at this revision."""
        held = self._held.get((scope, span))
        if held is None or held[0] != revision:
            return None
        self._held.move_to_end((scope, span))
        return held[1]

    def remember(self, scope: Scope, span: Span, revision: Revision | None, json: bytes) -> bytes:
        """Hold a span's blocks, if they have a revision, and return them."""
        if revision is None:
            return json
        self._drop(self._held.pop((scope, span), None))
        self._held[scope, span] = (revision, json)
        self._bytes += len(json)
        while self._bytes > BYTES_REMEMBERED:
            self._drop(self._held.popitem(last=False)[1])
        return json

    def _drop(self, held: tuple[Revision, bytes] | None) -> None:
        self._bytes -= 0 if held is None else len(held[1])


def _end_ms(block: PlannedBlock) -> int:
    return block.end_ms


def _months_of(block: PlannedBlock) -> range:
    first, last = (month_of_day(hour // HOURS_PER_DAY) for hour in (block.start_hour, block.end_hour - 1))
    return range(first, last + 1)

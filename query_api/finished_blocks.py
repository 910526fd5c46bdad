"""Makes the JSON of blocks, and remembers it by all that it is made of: the store's own bytes.

A day that is over hardly changes, and a dashboard asks for it again and again: to look its block up takes a third of
the time that it takes to make it. What is remembered cannot be old, for other counters or bitmaps are another key.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from query_api.cells import RawBlock, Values, block_cells
from query_api.ranges import PlannedBlock
from query_api.usage import usage_blocks
from services.metrics_contract import PRODUCTS

BLOCKS_REMEMBERED: Final = 8_192
"""Of one window each. Some 2 kB, at most 6; the one that was made first goes when there is no room."""

BITMAP_BYTES_MAX: Final = 1_024
"""Of a block that is remembered, 8,192 users: of a larger organization the bytes would weigh more than the work."""

_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Finished:
    bitmaps: Values
    json: bytes


class FinishedBlocks:
    """The blocks that one process made last.

    Bitmaps are compared, not hashed with the rest of the key: they are most of its bytes, and to compare bytes takes a
    tenth of the time. Of blocks that differ in their bitmaps alone the last one is remembered.
    """

    def __init__(self) -> None:
        # To take the first of an ordinary dict, its places that were left are gone through one by one.
        self._held: OrderedDict[tuple[PlannedBlock, Values], _Finished] = OrderedDict()

    def of(self, planned: Sequence[PlannedBlock], raw: Sequence[RawBlock]) -> list[bytes]:
        """Return the JSON object of each block."""
        found: list[bytes | None] = []
        for block, (counters, bitmaps) in zip(planned, raw, strict=True):
            held = self._held.get((block, counters)) if len(counters) == len(PRODUCTS) else None
            found.append(held.json if held is not None and held.bitmaps == bitmaps else None)
        missing = [at for at, json in enumerate(found) if json is None]
        if missing:
            made = usage_blocks([planned[at] for at in missing], block_cells([raw[at] for at in missing]))
            for at, members in zip(missing, made, strict=True):
                found[at] = self._remembered(planned[at], raw[at], _encoder.encode(members))
        return [json for json in found if json is not None]

    def _remembered(self, block: PlannedBlock, raw: RawBlock, json: bytes) -> bytes:
        counters, bitmaps = raw
        longest = max(map(len, filter(None, bitmaps)), default=0)
        if len(counters) == len(PRODUCTS) and longest <= BITMAP_BYTES_MAX:
            self._held[block, counters] = _Finished(bitmaps, json)
            if len(self._held) > BLOCKS_REMEMBERED:
                self._held.popitem(last=False)
        return json

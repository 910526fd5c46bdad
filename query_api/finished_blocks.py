"""Makes the JSON of blocks, and remembers it by all that it is made of: the store's own bytes.

A day that is over hardly changes, and a dashboard asks for it again and again: to look its block up takes a third of
the time that it takes to make it. What is remembered cannot be old, for other counters or bitmaps are another key.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from query_api.cells import RawBlock, block_cells
from query_api.ranges import PlannedBlock
from query_api.usage import usage_blocks
from services.metrics_contract import PRODUCTS

BLOCKS_REMEMBERED: Final = 8_192
"""Of one window each. Some 2 kB, at most 6; the one that was made first goes when there is no room."""

BITMAP_BYTES_MAX: Final = 1_024
"""Of a block that is remembered, 8,192 users: of a larger organization the bytes would weigh more than the work."""

_encoder: Final = msgspec.json.Encoder()


class FinishedBlocks:
    """The blocks that one process made last."""

    def __init__(self) -> None:
        # To take the first of an ordinary dict, its places that were left are gone through one by one.
        self._held: OrderedDict[tuple[PlannedBlock, RawBlock], bytes] = OrderedDict()

    def of(self, planned: Sequence[PlannedBlock], raw: Sequence[RawBlock]) -> list[bytes]:
        """Return the JSON object of each block."""
        keys = list(zip(planned, raw, strict=True))
        found = [self._held.get(key) if len(key[1][0]) == len(PRODUCTS) else None for key in keys]
        missing = [at for at, block in enumerate(found) if block is None]
        if missing:
            made = usage_blocks([planned[at] for at in missing], block_cells([raw[at] for at in missing]))
            for at, members in zip(missing, made, strict=True):
                found[at] = self._remembered(keys[at], _encoder.encode(members))
        return [block for block in found if block is not None]

    def _remembered(self, key: tuple[PlannedBlock, RawBlock], block: bytes) -> bytes:
        _, (counters, bitmaps) = key
        longest = max(map(len, filter(None, bitmaps)), default=0)
        if len(counters) == len(PRODUCTS) and longest <= BITMAP_BYTES_MAX:
            if len(self._held) >= BLOCKS_REMEMBERED:
                self._held.popitem(last=False)
            self._held[key] = block
        return block

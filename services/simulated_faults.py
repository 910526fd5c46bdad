"""Lines that no usage event is, for a demonstration of dead letters. Pure and seeded."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Final

FAULTS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda line: line[: len(line) // 2],
    lambda line: b"[" + line + b"]",
    lambda line: line.replace(b'"specversion":"1.0"', b'"specversion":"0.3"', 1),
    lambda line: line.replace(b'"type":"usage.', b'"type":"abusage.', 1),
    lambda line: line.replace(b'"data":{', b'"data":{"mood":"good",', 1),
    lambda line: line.replace(b'"data":{', b'"data":{"lines":-3,"unusual":', 1),
    lambda line: line.replace(b'"time":"2', b'"time":"1', 1),
    lambda line: line.replace(b'"subject":"', b'"subject":"a/', 1),
)
"""Each makes a bad line of a good one."""


def with_faults(lines: Iterable[bytes], fraction: float, seed: int) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, whether it is good): every line as it is, or spoilt with the chance `fraction`."""
    draw = random.Random(seed)
    for line in lines:
        if draw.random() < fraction:
            yield FAULTS[draw.randrange(len(FAULTS))](line), False
        else:
            yield line, True

"""The soak's load: published from a generator, and made again afterwards from its seed, so that nothing is held."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from services.settings import Settings
from tests.faults.load import Planned, planned_stream
from tests.faults.publisher import Published, Publisher
from tests.faults.soak.system import EVENT_PARTITIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be published; iterating gives the same records each time."""

    seed: int
    events: int
    end_ms: int

    def __iter__(self) -> Iterator[Planned]:
        return planned_stream(self.seed, self.events, EVENT_PARTITIONS, end_ms=self.end_ms)


class StreamPublisher(Publisher):
    """Keeps of each acknowledged record where it came to lie and when: 16 bytes."""

    def __init__(self, settings: Settings, load: Iterable[Planned], *, rate: float) -> None:
        super().__init__(settings, load, rate=rate)
        self._load = load
        self._offsets = array("q")
        self._times = array("q")

    def records(self) -> Iterator[Published]:
        """Yield what was acknowledged, in the order in which it was sent; only after `finish`."""
        for planned, offset, broker_ms in zip(self._load, self._offsets, self._times, strict=False):
            assert offset >= 0, "the broker acknowledged a record and did not say where it is"
            yield Published(
                partition=planned.partition,
                offset=offset,
                broker_ms=broker_ms,
                value=planned.value,
                key=planned.key,
                headers=tuple(planned.headers),
            )

    def _keep(self, at: int, planned: Planned, record: Any) -> None:
        missing = at + 1 - len(self._offsets)
        if missing > 0:
            self._offsets.extend([-1] * missing)
            self._times.extend([-1] * missing)
        self._offsets[at], self._times[at] = record.offset, record.timestamp

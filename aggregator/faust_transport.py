"""A Faust transport whose consumer reads each partition from where the counters are, not from Kafka's commit.

Faust seeks after every rebalance by `seek_to_committed`; a seek made in its signals is overwritten later (ADR 0004).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from faust.transport.drivers.aiokafka import Consumer as AiokafkaConsumer
from faust.transport.drivers.aiokafka import Transport as AiokafkaTransport
from faust.types import TP

Positions = Callable[[Iterable[TP]], Awaitable[Mapping[TP, int]]]


class PositioningConsumer(AiokafkaConsumer):
    """Faust's consumer, positioned by `transport.positions`."""

    def why_no_member(self) -> BaseException | None:
        """Return what keeps this worker out of its group for good, such as a user who may not read by it.

        The client keeps it for the next call of a method that Faust does not use, and Faust waits for ever.
        """
        coordinator = getattr(getattr(self._thread, "_consumer", None), "_coordinator", None)
        return getattr(coordinator, "_pending_exception", None)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Look at nothing: our watchdog does, and ends what is stuck; Faust's look only logs.

        And while a position is set back, as after the log lost its tail, Faust's would end the worker by an assertion.
        """

    async def seek_to_committed(self) -> Mapping[TP, int]:
        transport = self.transport
        assert isinstance(transport, PositioningTransport)
        positions = await transport.positions(self.assignment())
        await self.seek_wait(positions)
        return positions


class PositioningTransport(AiokafkaTransport):
    """Faust's aiokafka transport with a `PositioningConsumer`."""

    Consumer = PositioningConsumer

    def __init__(self, *args: Any, positions: Positions, **kwargs: Any) -> None:
        self.positions = positions
        super().__init__(*args, **kwargs)

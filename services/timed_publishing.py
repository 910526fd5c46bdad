"""Publishes records and tells at which broker time each one arrived."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.kafka import KafkaUnavailable, abandon_producer, make_producer, translated
from services.settings import KafkaSettings

DELIVERY_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A record to publish; `turn` picks its partition."""

    value: bytes
    key: bytes
    turn: int


class TimedPublisher:
    """Publishes to one topic. It connects with the first records, and anew after a failure."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._producer: Any = None

    async def publish(self, records: Sequence[Timed]) -> list[int]:
        """Return the broker time of each record, in milliseconds, once all are acknowledged.

        Raises:
            KafkaUnavailable, KafkaRefused: some are not, or may not be.
        """
        doing = f"publishing to {self._topic}"
        try:
            with translated(doing):
                async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                    return await self._publish(records)
        except TimeoutError as error:
            await self.close()
            raise KafkaUnavailable(f"{doing}: not acknowledged within {DELIVERY_TIMEOUT_S:g} s") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect without waiting for what is not acknowledged."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await abandon_producer(producer)

    async def _publish(self, records: Sequence[Timed]) -> list[int]:
        if self._producer is None:
            self._producer = make_producer(self._settings)
            await self._producer.start()
        partitions = sorted(await self._producer.partitions_for(self._topic))
        sent = [
            await self._producer.send(
                self._topic, value=each.value, key=each.key, partition=partitions[each.turn % len(partitions)]
            )
            for each in records
        ]
        return [int(record.timestamp) for record in await asyncio.gather(*sent)]

"""The publisher: usage events to Kafka, checked, keyed by organization, acknowledged by every replica in sync.

Records are gathered in one open batch a partition and sent batch by batch, since a call into the client for each record
costs more than all the rest. A partition's batches go one after the other, so its records keep their order, and nothing
is sent to a partition after a batch that failed.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from services.event_check import ContractViolation, encode_event
from services.events import UsageEvent
from services.kafka import (
    KafkaRefused,
    KafkaUnavailable,
    abandon_producer,
    compressing_batch,
    make_producer,
    translated,
)
from services.settings import KafkaSettings

__all__ = ["ContractViolation", "UsagePublisher"]

BATCH_BYTES: Final = 256 * 1024
BATCHES_OUTSTANDING_MAX: Final = 32
"""Closed batches in memory, 8 MB together; beyond it `publish_raw` waits."""

PLAIN_BYTES_MAX: Final = 1_000_000
"""Longest value that is never compressed: the topics take records of 1 MiB."""

DELIVERY_TIMEOUT_S: Final = 120.0
"""As in Kafka's own clients: outlasts the restart of a broker."""

TOPIC_WAIT_S: Final = 10.0
"""For a topic that is just being made; the client itself would ask for longer."""

KEYS_REMEMBERED_MAX: Final = 100_000


class UsagePublisher:
    """Publishes to one topic; an async context manager, which ends when everything is acknowledged.

    Not for several event loops or threads. After an error it takes nothing more: what was not acknowledged may or may
    not be in the topic, and sending the same events again is safe, since each is counted once.

    Args:
        settings: of the brokers.
        topic: usually `settings.topics.events`.
        delivery_timeout_s: longest that a batch may take from being sent to being acknowledged, retries included.
        compress_large: whether a value that no topic takes as it is goes out compressed, as it must have come.

    Raises:
        KafkaUnavailable, KafkaRefused: from every method, when a batch failed.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
        compress_large: bool = False,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._delivery_timeout_s = delivery_timeout_s
        self._compress_large = compress_large
        self._producer: Any = None
        self._partitions: list[int] = []
        self._partition_of = DefaultPartitioner()
        self._known: dict[bytes, int] = {}
        self._turn = 0
        self._open: dict[int, Any] = {}
        self._tails: dict[int, asyncio.Task[None]] = {}
        self._urgent: set[int] = set()
        self._room = asyncio.Semaphore(BATCHES_OUTSTANDING_MAX)
        self._failure: KafkaUnavailable | KafkaRefused | None = None
        self._acknowledged = 0

    @property
    def acknowledged(self) -> int:
        """How many records Kafka has acknowledged so far."""
        return self._acknowledged

    async def __aenter__(self) -> Self:
        # The client is made here since it wants a running event loop.
        self._producer = make_producer(self._settings, max_batch_size=BATCH_BYTES)
        with translated(f"connecting to Kafka at {self._settings.bootstrap_servers}"):
            try:
                await self._producer.start()
                self._partitions = await self._find_partitions()
            except BaseException:
                await self._producer.stop()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            for tail in self._tails.values():
                tail.cancel()
            await asyncio.gather(*self._tails.values(), return_exceptions=True)
            await abandon_producer(self._producer)

    async def publish(self, event: UsageEvent) -> None:
        """Send one event; return when it is acknowledged.

        Events of one organization published one after the other keep their order. Many at once (`asyncio.gather`)
        share batches.

        Raises:
            ContractViolation: the event breaks the contract; nothing was sent.
        """
        partition = await self._gather(encode_event(event), event.organizationid.encode())
        # Whoever publishes at the same time adds to the batch before it is sent.
        await asyncio.sleep(0)
        await self._send(partition)
        await self._settled(partition)

    async def publish_raw(
        self,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> None:
        """Take a record without checking it; return when there is room for more. `flush` says when all are safe.

        Args:
            value, headers: as they will stand in the topic.
            key: decides the partition as Kafka's own clients do; None: partitions take turns.
            partition: this one, whatever the key.
        """
        await self._gather(value, key, headers, partition)

    async def push(self) -> None:
        """Send what is gathered, each partition's once its batch on the way is acknowledged; do not wait for that."""
        for partition in list(self._open):
            tail = self._tails.get(partition)
            if tail is None or tail.done():
                await self._send(partition)
            else:
                self._urgent.add(partition)

    async def flush(self) -> None:
        """Send what is gathered; return when everything taken so far is acknowledged."""
        for partition in list(self._open):
            await self._send(partition)
        for partition in list(self._tails):
            await self._settled(partition)

    async def _find_partitions(self) -> list[int]:
        try:
            async with asyncio.timeout(TOPIC_WAIT_S):
                return sorted(await self._producer.partitions_for(self._topic))
        except (TimeoutError, UnknownTopicOrPartitionError) as error:
            raise KafkaRefused(f"there is no topic {self._topic}; `tidemark topics create` makes it") from error

    async def _gather(
        self,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> int:
        """Put a record into the open batch of its partition, and return the partition."""
        if self._failure is not None:
            raise self._failure
        if partition is None:
            partition = self._choose(key)
        if self._compress_large and value is not None and len(value) > PLAIN_BYTES_MAX:
            await self._send(partition)
            self._open[partition] = compressing_batch()
        while True:
            batch = self._open.get(partition)
            if batch is None:
                batch = self._open[partition] = self._producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value, headers=list(headers)) is not None:
                return partition
            await self._send(partition)

    def _choose(self, key: bytes | None) -> int:
        if key is None:
            self._turn = (self._turn + 1) % len(self._partitions)
            return self._partitions[self._turn]
        partition = self._known.get(key)
        if partition is None:
            if len(self._known) >= KEYS_REMEMBERED_MAX:
                self._known.clear()
            partition = int(self._partition_of(key, self._partitions, self._partitions))
            self._known[key] = partition
        return partition

    async def _send(self, partition: int) -> None:
        """Send the open batch of a partition, and wait until there is room for another one."""
        self._start(partition)
        async with self._room:
            pass

    def _start(self, partition: int) -> None:
        self._urgent.discard(partition)
        batch = self._open.pop(partition, None)
        if batch is not None:
            batch.close()
            delivery = self._deliver(batch, partition, self._tails.get(partition))
            self._tails[partition] = asyncio.create_task(delivery)

    async def _deliver(self, batch: Any, partition: int, before: asyncio.Task[None] | None) -> None:
        async with self._room:
            if before is not None:
                await before
            if self._failure is not None:
                return
            try:
                with translated(f"publishing to {self._topic}"):
                    async with asyncio.timeout(self._delivery_timeout_s):
                        await (await self._producer.send_batch(batch, self._topic, partition=partition))
            except TimeoutError:
                self._failure = KafkaUnavailable(
                    f"publishing to {self._topic}: not acknowledged within {self._delivery_timeout_s:g} s"
                )
            except (KafkaUnavailable, KafkaRefused) as error:
                self._failure = error
            if self._failure is not None:
                return
        self._acknowledged += batch.record_count()
        if partition in self._urgent:
            self._start(partition)

    async def _settled(self, partition: int) -> None:
        if (tail := self._tails.get(partition)) is not None:
            await asyncio.wait([tail])
            tail.result()
        if self._failure is not None:
            raise self._failure

"""Publishes planned records and remembers what was acknowledged: the truth that everything is held against."""

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from services.kafka import abandon_producer, make_producer
from services.settings import Settings
from tests.faults.load import Planned
from tests.support.pipeline import await_condition

IN_FLIGHT_MAX = 2_000
TICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One acknowledged record; `broker_ms` is its broker timestamp."""

    partition: int
    offset: int
    broker_ms: int
    value: bytes
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Publisher:
    """Sends records to `usage.events` from a thread of its own, with `acks=all` and idempotence.

    Use it as a context manager; `wait` for the end of the load, or add to it on the way.

    Args:
        rate: records a second; as fast as Kafka takes them if None.
        bootstrap: another way to the broker than the settings'.
    """

    def __init__(
        self, settings: Settings, planned: Iterable[Planned], *, rate: float | None = None, bootstrap: str | None = None
    ) -> None:
        kafka = settings.kafka
        self._kafka = kafka if bootstrap is None else kafka.model_copy(update={"bootstrap_servers": bootstrap})
        self._topic = settings.topics.events
        self._planned = planned
        self._rate = rate
        self._count = 0
        self._whole = False
        self._acknowledged: dict[int, Published] = {}
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    @property
    def count(self) -> int:
        """How many records are acknowledged so far."""
        return self._count

    @property
    def published(self) -> list[Published]:
        """What is acknowledged, in the order in which it was sent."""
        return [self._acknowledged[at] for at in sorted(self._acknowledged)]

    def await_count(self, count: int, seconds: float = 60) -> None:
        """Return once so many records are acknowledged."""
        await_condition(lambda: self._failed() or self.count >= count, f"{count} records published", seconds=seconds)

    def wait(self, seconds: float = 120) -> list[Published]:
        """Return everything, once all of it is acknowledged."""
        self._thread.join(seconds)
        self._failed()
        assert not self._thread.is_alive(), f"only {self.count} records published in {seconds:g} s"
        assert self._whole, "publishing was stopped"
        return self.published

    def finish(self, seconds: float = 60) -> None:
        """Publish no more, and return when what was sent is acknowledged."""
        self._stop.set()
        self._thread.join(seconds)
        self._failed()
        assert not self._thread.is_alive(), f"something is not acknowledged after {seconds:g} s"

    def _failed(self) -> bool:
        if self._error is not None:
            raise self._error
        return False

    def _run(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as error:  # noqa: BLE001 -- told by whoever waits
            self._error = error

    async def _publish(self) -> None:
        producer = make_producer(self._kafka, linger_ms=5)
        await producer.start()
        try:
            await self._send_all(producer)
        except BaseException:
            await abandon_producer(producer)
            raise
        await producer.stop()

    async def _send_all(self, producer: AIOKafkaProducer) -> None:
        waiting: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at, planned in enumerate(self._planned):
            if self._stop.is_set():
                break
            if self._rate is not None:
                ahead_s = at / self._rate - (loop.time() - began)
                if ahead_s > TICK_SECONDS:
                    await asyncio.sleep(ahead_s)
            sent = await producer.send(
                self._topic,
                value=planned.value,
                key=planned.key,
                partition=planned.partition,
                headers=list(planned.headers),
            )
            waiting.add(asyncio.create_task(self._acknowledge(at, planned, sent)))
            if len(waiting) >= IN_FLIGHT_MAX:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        else:
            self._whole = True
        await asyncio.gather(*waiting)

    async def _acknowledge(self, at: int, planned: Planned, sent: "asyncio.Future[Any]") -> None:
        self._keep(at, planned, await sent)
        self._count += 1

    def _keep(self, at: int, planned: Planned, record: Any) -> None:
        """Remember what became of the record that was sent as so many-th, from 0."""
        self._acknowledged[at] = Published(
            partition=record.partition,
            offset=record.offset,
            broker_ms=record.timestamp,
            value=planned.value,
            key=planned.key,
            headers=tuple(planned.headers),
        )

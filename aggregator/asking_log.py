"""Asks the log of frames, and again while Kafka is away: to end and start again would not bring it back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from services.clock import monotonic_s
from services.health import HealthServer
from services.kafka import KafkaUnavailable
from services.telemetry import Telemetry

KAFKA_LIMIT_S: Final = 120.0
"""How long an answer is waited for; then the worker ends, as one of ingest does that nothing acknowledges."""

KAFKA_PAUSE_S: Final = 1.0
_PART: Final = "kafka"
_SILENT: Final = "Kafka does not say where the log of frames ends"

Answer = TypeVar("Answer")


class AskingLog:
    """Calls something of the log until it answers; readiness follows."""

    def __init__(self, telemetry: Telemetry, health: HealthServer) -> None:
        self._telemetry = telemetry
        self._health = health
        self._log = structlog.get_logger()

    async def __call__(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer.

        Raises:
            KafkaUnavailable: Kafka stays away for longer than `KAFKA_LIMIT_S`.
        """
        gives_up_s = monotonic_s() + KAFKA_LIMIT_S
        while True:
            try:
                return await self.once(ask)
            except KafkaUnavailable:
                if monotonic_s() > gives_up_s:
                    raise
            await asyncio.sleep(KAFKA_PAUSE_S)

    async def once(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer, or say that there is none.

        Raises:
            KafkaUnavailable: Kafka is away; it was counted and logged.
        """
        try:
            with self._health.awaiting(_PART, _SILENT):
                return await ask()
        except KafkaUnavailable as error:
            self._health.not_ready(_PART, str(error))
            self._telemetry.count("tidemark_kafka_retries_total")
            self._log.warning("log_not_checked", error=str(error))
            raise

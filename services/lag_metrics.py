"""Lag and freshness as metrics: what is not known is taken away, never set to 0."""

from collections.abc import Callable

import structlog

from services.group_members import Source
from services.lag_looks import Away, Look
from services.lag_report import LagRow, freshness_rows
from services.lag_states import LagState
from services.telemetry import Telemetry


class LagMetrics:
    """Sets the gauges of one process at each look, and logs when a server goes away or comes back.

    Args:
        rows: what the looks so far say of each partition.
    """

    def __init__(self, telemetry: Telemetry, rows: Callable[[], list[LagRow]]) -> None:
        self._telemetry = telemetry
        self._rows = rows
        self._states: dict[Source, LagState] = {}
        self._away = Away()

    def seen(self, look: Look) -> None:
        """Say what a look changed."""
        rows = {(row.topic, row.partition): row for row in self._rows()}
        for source in self._states.keys() - rows.keys():
            self._forget(source)
        for source, row in rows.items():
            self._publish(source, row)
        for slot in freshness_rows(look):
            self._set("tidemark_freshness_seconds", slot.seconds, partition=slot.partition)
        self._count(look.away)

    def _publish(self, source: Source, row: LagRow) -> None:
        topic, partition = source
        self._set("tidemark_lag_records", row.lag, topic=topic, partition=partition)
        self._set("tidemark_oldest_unapplied_seconds", row.age_seconds, topic=topic, partition=partition)
        self._set("tidemark_drain_seconds", row.drain_seconds, topic=topic, partition=partition)
        before = self._states.get(source)
        if before is not row.state:
            self._forget_state(source)
            self._set("tidemark_lag_state", 1, topic=topic, partition=partition, state=row.state)
            self._states[source] = row.state

    def _forget(self, source: Source) -> None:
        topic, partition = source
        for name in ("tidemark_lag_records", "tidemark_oldest_unapplied_seconds", "tidemark_drain_seconds"):
            self._set(name, None, topic=topic, partition=partition)
        self._forget_state(source)

    def _forget_state(self, source: Source) -> None:
        if (state := self._states.pop(source, None)) is not None:
            self._set("tidemark_lag_state", None, topic=source[0], partition=source[1], state=state)

    def _set(self, name: str, value: float | None, **labels: str | int) -> None:
        if value is None:
            self._telemetry.forget(name, **labels)
        else:
            self._telemetry.set(name, value, **labels)

    def _count(self, away: Away) -> None:
        results = [name for name, why in (("kafka_away", away.kafka), ("redis_away", away.redis)) if why is not None]
        for result in results or ["ok"]:
            self._telemetry.count("tidemark_looks_total", result=result)
        if (away.kafka is None, away.redis is None) != (self._away.kafka is None, self._away.redis is None):
            structlog.get_logger().warning(
                "lag_unknown" if results else "lag_known", kafka=away.kafka, redis=away.redis
            )
        self._away = away

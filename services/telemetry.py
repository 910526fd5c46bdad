"""Every metric of Tidemark, declared once, and the form of the log lines.

Labels are bounded: role, topic, partition, result, reason, route, status; never an id of an organization, a team,
a user or an event. A gauge that is not known is absent, never 0: `Telemetry.forget` takes it away.
"""

import logging
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from services.array_histogram import ArrayHistogram, Values
from services.release import running_version

_CALL_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_FRAME_BYTES: Final = (256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 131_072.0, 262_144.0, 524_288.0, 1_048_576.0)
_EVENTS: Final = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0)

_VISIBLE: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0, 300.0, 3600.0)
"""With the 10 s of the objective: 99 % of events visible within it (deploy/prometheus/rules.yaml)."""

_DAY: Final = 86_400.0
_AGES: Final = (60.0, 600.0, 3600.0, 6 * 3600.0, _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY, 35 * _DAY, 37 * _DAY)
"""Up to the time that identities are kept by default."""


class Kind(Enum):
    """What a metric does: a counter only rises, a gauge is set, a histogram sorts observations into ranges."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the table.

    Attributes:
        ranges: upper bounds of a histogram, in the unit that ends the name.
        in_arrays: whether the histogram is observed by `Telemetry.observe_many`; it then has no labels.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    ranges: tuple[float, ...] = ()
    in_arrays: bool = False


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=help_text, labels=labels)


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=help_text, labels=labels)


def _histogram(name: str, help_text: str, ranges: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.HISTOGRAM, help=help_text, labels=labels, ranges=ranges)


def _array_histogram(name: str, help_text: str, ranges: tuple[float, ...]) -> Metric:
    return Metric(name=name, kind=Kind.HISTOGRAM, help=help_text, ranges=ranges, in_arrays=True)


METRICS: Final = (
    _counter(
        "tidemark_events_total",
        "Usage and directory events by what became of them: accepted or dead_lettered (ingest), counted, duplicate or"
        " redelivered (aggregator).",
        "role",
        "result",
    ),
    _counter(
        "tidemark_lost_records_total",
        "Records of a source that its topic's retention took before ingest read them.",
        "topic",
        "partition",
    ),
    _counter("tidemark_dead_letters_total", "Records kept as dead letters, by reason code.", "reason"),
    _counter(
        "tidemark_frames_total",
        "Frames by what became of them: sent or heartbeat (ingest), applied, duplicate or gap (aggregator).",
        "role",
        "result",
    ),
    _histogram("tidemark_frame_bytes", "Size of a frame that ingest sent.", _FRAME_BYTES),
    _histogram("tidemark_read_seconds", "Time of one read script call, from request to reply.", _CALL_SECONDS),
    _histogram("tidemark_fold_seconds", "Time to fold one run of frames into increments.", _CALL_SECONDS),
    _histogram("tidemark_apply_seconds", "Time of one apply script call, from request to reply.", _CALL_SECONDS),
    _array_histogram(
        "tidemark_visible_seconds",
        "Age of each counted usage event, by its broker time, as the aggregator learns that its counters are applied,"
        " by that worker's clock. Events that are applied again, after Redis lost writes, or late, by catching up,"
        " count too.",
        _VISIBLE,
    ),
    _histogram("tidemark_events_per_call", "Usage events in one applied run of frames.", _EVENTS),
    _histogram(
        "tidemark_duplicate_age_seconds",
        "Age of the oldest duplicate in one applied run of frames, from its event's time to its broker time. One that"
        " comes after events.max_age plus events.dedup_margin would be counted again.",
        _AGES,
    ),
    _gauge("tidemark_applied_offset", "Offset of the last applied frame of a partition that is owned.", "partition"),
    _gauge(
        "tidemark_held_frame",
        "Offset of the frame of a partition that this aggregator cannot fold and is down for (ADR 0014).",
        "partition",
    ),
    _gauge(
        "tidemark_ingest_position",
        "Next source offset that ingest will read; everything before it is in frames or dead letters.",
        "topic",
        "partition",
    ),
    _counter("tidemark_store_retries_total", "Calls to Redis that were made again because it was away."),
    _counter("tidemark_kafka_retries_total", "Calls to Kafka that were made again because it was away."),
    _counter(
        "tidemark_saturated_counters_total",
        "Counters that a run of frames would have brought beyond 2^53 - 1, where they stay: their sums are too low.",
    ),
    _counter(
        "tidemark_redis_rollbacks_total",
        "Times that Redis was found to have lost acknowledged writes: the deployment's, as known at a worker's start.",
    ),
    _gauge(
        "tidemark_ledger_remainder",
        "Records of a source partition that the ledger does not explain (received less counted, duplicate and"
        " dead-lettered), amounts without sign summed over the kept hours that ended before asOf. Above 0 is an alarm.",
        "topic",
        "partition",
    ),
    _gauge(
        "tidemark_ledger_records",
        "Records of a source partition in the last 24 hours of broker time that ended before asOf, by what the ledger"
        " says: received, counted, duplicate, redelivered or dead_lettered.",
        "topic",
        "partition",
        "result",
    ),
    _gauge(
        "tidemark_lag_records",
        "Records of a topic's partition that are not in the counters yet, at the API's last look (api.ops_interval).",
        "topic",
        "partition",
    ),
    _gauge(
        "tidemark_oldest_unapplied_seconds",
        "Age of the oldest record that is not in the counters yet, by its broker time; 0 when none waits.",
        "topic",
        "partition",
    ),
    _gauge(
        "tidemark_lag_state",
        "1 for the state that holds, the others being absent: ok, behind, stalled, stopped, rewound or unknown.",
        "topic",
        "partition",
        "state",
    ),
    _gauge(
        "tidemark_drain_seconds",
        "Until nothing waits at the rates of the last minute; 0 when nothing does, absent when it does not shrink.",
        "topic",
        "partition",
    ),
    _gauge(
        "tidemark_freshness_seconds",
        "How long ago asOf of a partition of the frames was, at the API's last look.",
        "partition",
    ),
    _counter(
        "tidemark_looks_total",
        "The API's looks at lag, by what they met: ok, kafka_away, redis_away (both where both were).",
        "result",
    ),
    _counter("tidemark_api_requests_total", "Requests answered, by route template and status.", "route", "status"),
    _histogram("tidemark_api_seconds", "Time to answer a request, by route template.", _CALL_SECONDS, "route"),
    _counter("tidemark_api_timeouts_total", "Requests answered with 503 because their time was over.", "route"),
    _gauge(
        "tidemark_canary_age_seconds",
        "Age of the newest of the canary's events that the query API has counted, by the event's time; it rises to"
        " canary.interval and half of that where all is well.",
        "role",  # without a label it would be 0 where it is not known
    ),
    _gauge(
        "tidemark_canary_difference",
        "Events of the canary that should be counted and are not (missing), or are counted beyond all that there are"
        " (surplus), in the hours of canary.lookback.",
        "direction",
    ),
    _counter(
        "tidemark_canary_events_total",
        "Events of the canary by what became of them: published (acknowledged by Kafka, copies left out), seen (counted"
        " by the query API since the last look).",
        "result",
    ),
    _gauge("tidemark_build_info", "Always 1; the labels say what is running.", "role", "version", "python"),
)
"""Every metric. A new one is a row here; `services.metrics_page` makes `deploy/docs/metrics.md` from them."""


class Telemetry:
    """The metrics of one process, in a registry of their own. Thread-safe.

    The label `role` is filled in. An unknown name is a KeyError, a wrong set of labels a ValueError.
    """

    def __init__(self, role: str) -> None:
        # Two series for each counter for a time that nobody asks for; the client offers only a global switch.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.role = role
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._rows = {row.name: row for row in METRICS}
        self._counters = {row.name: self._new_counter(row) for row in METRICS if row.kind is Kind.COUNTER}
        self._gauges = {row.name: self._new_gauge(row) for row in METRICS if row.kind is Kind.GAUGE}
        histograms = [row for row in METRICS if row.kind is Kind.HISTOGRAM]
        self._histograms = {row.name: self._new_histogram(row) for row in histograms if not row.in_arrays}
        self._array_histograms = {row.name: self._new_array_histogram(row) for row in histograms if row.in_arrays}
        self.set("tidemark_build_info", 1, version=running_version(), python=platform.python_version())

    def count(self, name: str, amount: float = 1, **labels: str | int) -> None:
        """Add to a counter."""
        counter = self._counters[name]
        (counter.labels(*self._values(name, labels)) if self._rows[name].labels else counter).inc(amount)

    def set(self, name: str, value: float, **labels: str | int) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*self._values(name, labels)) if self._rows[name].labels else gauge).set(value)

    def forget(self, name: str, **labels: str | int) -> None:
        """Take a gauge with these labels away: it is no longer known. Nothing happens when it is not there."""
        self._gauges[name].remove_by_labels({k: str(v) for k, v in self._with_role(name, labels).items()})

    def observe(self, name: str, value: float, **labels: str | int) -> None:
        """Add an observation to a histogram, in the unit that ends its name (seconds, bytes, events)."""
        histogram = self._histograms[name]
        (histogram.labels(*self._values(name, labels)) if self._rows[name].labels else histogram).observe(value)

    def observe_many(self, name: str, values: Values) -> None:
        """Add an array of observations to a histogram that takes arrays."""
        self._array_histograms[name].observe_many(values)

    def exposition(self) -> tuple[str, bytes]:
        """Return content type and text of the metrics page."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)

    def _new_counter(self, row: Metric) -> Counter:
        return Counter(row.name, row.help, row.labels, registry=self.registry)

    def _new_gauge(self, row: Metric) -> Gauge:
        return Gauge(row.name, row.help, row.labels, registry=self.registry)

    def _new_histogram(self, row: Metric) -> Histogram:
        return Histogram(row.name, row.help, row.labels, registry=self.registry, buckets=row.ranges)

    def _new_array_histogram(self, row: Metric) -> ArrayHistogram:
        histogram = ArrayHistogram(row.name, row.help, row.ranges)
        self.registry.register(histogram)
        return histogram

    def _with_role(self, name: str, labels: Mapping[str, str | int]) -> Mapping[str, str | int]:
        return {"role": self.role, **labels} if "role" in self._rows[name].labels else labels

    def _values(self, name: str, labels: Mapping[str, str | int]) -> list[str]:
        given = self._with_role(name, labels)
        expected = self._rows[name].labels
        if set(given) != set(expected):
            raise ValueError(f"{name} has the labels {list(expected)}, not {sorted(given)}")
        return [str(given[label]) for label in expected]


def configure_logs(role: str) -> None:
    """Send every log line of this process, libraries' warnings too, to stderr as one JSON object a line.

    Members: `time`, `level`, `role`, `event` and the fields given with it.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_role(role),
        structlog.processors.format_exc_info,
    ]
    lines = structlog.processors.JSONRenderer(default=str)
    structlog.configure(
        processors=[*shared, lines],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, lines],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _add_role(role: str) -> structlog.types.Processor:
    def add(_logger: Any, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
        line.setdefault("role", role)
        return line

    return add

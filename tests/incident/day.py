"""A deployment with its API, scraped and asked as an operator would, and what is expected of its alerts."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import httpx
from aiokafka import TopicPartition

from services.clock import now_ms
from services.identifiers import UserId
from services.kafka import make_consumer
from services.tokens import issue_ops_token, token_key
from tests.faults.publisher import Published
from tests.faults.verdict import judge
from tests.incident.alerts import Expected, assert_alerts
from tests.incident.scraping import Scraping
from tests.support.deployment import Deployment
from tests.support.pipeline import await_condition
from tests.support.ports import free_ports
from tests.support.topic_changes import ends
from tests.support.worker import Worker

SOON_SECONDS: Final = 120
"""Above the minute for which the looks remember that a partition was rewound."""

LOOKS: Final = {"api__ops_interval": "1s", "api__ledger_interval": "1s", "events__max_ahead": "10s"}
"""A second stands for a minute here, so it is looked as often as it may be. No clock may be ahead for long."""


class Day:
    """One ingest, one aggregator and one API on a broker and a Redis, from the first scrape to the last."""

    def __init__(self, directory: Path, kafka: str, redis: str) -> None:
        self.directory = directory
        port = str(free_ports(1)[0])
        self.deployment = Deployment(directory, kafka, redis, api__port=port, **LOOKS).begin()
        self.ingest, self.aggregator, self.api = self.deployment.start("ingest", "aggregator", "api")
        self._workers = [self.ingest, self.aggregator, self.api]
        self._scraping = Scraping(self._workers)
        self._expected: list[Expected] = []
        self._read: list[Published] = []

    def __enter__(self) -> Self:
        self._scraping.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._scraping.__exit__()
        self.deployment.close()

    def pass_minutes(self, minutes: int) -> None:
        """Return after so many scrapes."""
        until = self._scraping.minutes + minutes
        await_condition(lambda: self._scraping.minutes >= until, f"{minutes} scrapes", seconds=SOON_SECONDS)

    def expect(self, *, firing: Sequence[str] = (), silent: Sequence[str] = ()) -> None:
        """Note which alerts fire now and which do not; promtool is asked at the day's end."""
        minute = self._scraping.minutes - 1
        self._expected += [Expected(alert=name, minute=minute, fires=True) for name in firing]
        self._expected += [Expected(alert=name, minute=minute, fires=False) for name in silent]

    def assert_alerts(self) -> None:
        assert_alerts(self._scraping.series(), self._expected, self.directory)

    def lag(self) -> list[dict[str, Any]]:
        """The rows of /ops/lag; none while the API cannot say."""
        return self._told("lag")

    def freshness_seconds(self) -> float | None:
        """How old the oldest numbers are; None when that is not known of some."""
        ages = [row["seconds"] for row in self._told("freshness")]
        return None if None in ages else max(ages, default=None)

    def await_states(self, *states: str, of: str | None = None) -> list[dict[str, Any]]:
        """Wait until a partition (of a topic, by its setting's name) is in such a state; return those that are."""
        topic = None if of is None else getattr(self.deployment.settings.topics, of)
        found: list[dict[str, Any]] = []

        def is_so() -> bool:
            found[:] = [row for row in self.lag() if topic in (None, row["topic"])]
            return any(row["state"] in states for row in found)

        await_condition(is_so, f"{of or 'some topic'} is {' or '.join(states)}: {found}", seconds=SOON_SECONDS)
        return [row for row in found if row["state"] in states]

    def await_well(self) -> None:
        """Wait until everything is applied, and the API says so: all states ok, numbers fresh, the ledger right."""
        self.deployment.catch_up(SOON_SECONDS)

        def is_well() -> bool:
            rows = self.lag()
            fresh = self.freshness_seconds()
            return bool(rows) and all(row["state"] == "ok" for row in rows) and fresh is not None and fresh < 10

        await_condition(is_well, "all is ok and fresh again", seconds=SOON_SECONDS, every=0.3)
        self.assert_ledger()

    def assert_ledger(self, *, at_rest: bool = False) -> None:
        """Fail where a received record is not explained.

        Args:
            at_rest: nothing is published: the running hour's numbers must add up too.
        """
        told = json.loads(self.deployment.run("ledger", "--json").out)
        assert not told["alarms"], told["alarms"]
        assert told["hours"]
        for hour in told["hours"] if at_rest else ():
            assert hour["received"] == hour["counted"] + hour["duplicate"] + hour["deadLettered"], hour

    def commands(self, *lines: str) -> list[str]:
        """Run commands of the runbook, and return what each printed."""
        return [self.deployment.run(*line.split()[1:]).out for line in lines]

    def read_events(self) -> None:
        """Note what stands in usage.events and was not read yet: the truth of the verdict."""
        self._read += asyncio.run(_records(self.deployment, self._read))

    def assert_right(self) -> None:
        """Hold counters, dead letters and ledger against all that stood in the topic when it was read."""
        self.deployment.catch_up(SOON_SECONDS)
        self.read_events()
        self.assert_ledger(at_rest=True)
        verdict = judge(self.deployment, self._read)
        assert verdict.right, f"{verdict}\n{self.deployment.logs()}"

    def start_ingest(self) -> None:
        """Start an ingest where the last one was stopped for good."""
        [self.ingest] = self.deployment.start("ingest")
        self._workers[:] = [self.ingest, self.aggregator, self.api]

    def _told(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of one part of /ops/lag; none while the API cannot say."""
        with suppress(httpx.HTTPError, OSError):
            answer = self._ops("/ops/lag")
            if answer.status_code == 200:
                rows: list[dict[str, Any]] = answer.json()[part]
                return rows
        return []

    def _ops(self, path: str) -> httpx.Response:
        key = token_key(self.deployment.settings.api)
        token = issue_ops_token(UserId("ada"), key, issued_s=now_ms() // 1000, lifetime_s=60)
        return httpx.get(f"http://{self.api.address()}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=20)


@contextmanager
def frozen(worker: Worker) -> Iterator[None]:
    worker.freeze()
    try:
        yield
    finally:
        worker.thaw()


async def _records(deployment: Deployment, known: Sequence[Published]) -> list[Published]:
    settings = deployment.settings
    last = {each.partition: each.offset for each in known}
    until = ends(settings.kafka.bootstrap_servers, settings.topics.events)
    consumer = make_consumer(settings.kafka)
    found: list[Published] = []
    await consumer.start()
    try:
        for partition, end in until.items():
            tp = TopicPartition(settings.topics.events, partition)
            consumer.assign([tp])
            consumer.seek(tp, last.get(partition, -1) + 1)
            while await consumer.position(tp) < end:
                found += map(_published, (await consumer.getmany(tp, timeout_ms=500)).get(tp, []))
    finally:
        await consumer.stop()
    return found


def _published(record: Any) -> Published:
    return Published(
        partition=record.partition,
        offset=record.offset,
        broker_ms=record.timestamp,
        value=record.value,
        key=record.key,
        headers=tuple(record.headers),
    )

"""The canary beside a pipeline: equal where all is well, and it sees what is altered, and what stands still."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.clock import now_ms
from services.counter_codec import pack, unpack
from services.identifiers import Epoch, OrganizationId
from services.keyspace import Kind, Scope, counter_key, epoch_prefix, partition_of, period_and_place, tags
from services.metrics_contract import CHAT, PRODUCTS
from services.redis_client import connect
from services.windows import Window, hour_of
from tests.support.pipeline import PipelineUnderTest, await_condition, running_pipeline
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee]

ORGANIZATION = "tidemark-canary-2s"
SECONDS = 60
OLD_SECONDS = 6


class Watched:
    """The metrics of a pipeline's canary."""

    def __init__(self, pipeline: PipelineUnderTest) -> None:
        self._pipeline = pipeline

    def value(self, name: str, **labels: str) -> float | None:
        with suppress(httpx.HTTPError, LookupError, ValueError):
            [address] = self._pipeline.state()["health"]["canary"]
            page = httpx.get(f"http://{address}/metrics", timeout=5).text
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    if sample.name == name and sample.labels == labels:
                        return sample.value
        return None

    def differences(self) -> tuple[float | None, float | None]:
        name = "tidemark_canary_difference"
        return self.value(name, direction="missing"), self.value(name, direction="surplus")

    def age_s(self) -> float:
        age_s = self.value("tidemark_canary_age_seconds", role="canary")
        return float("inf") if age_s is None else age_s

    def await_equal(self) -> None:
        await_condition(
            lambda: self.differences() == (0, 0) and self.age_s() < OLD_SECONDS,
            "the counters are those of the canary",
            seconds=SECONDS,
        )

    def await_differences(self, *wanted: float) -> None:
        await_condition(lambda: self.differences() == wanted, f"missing and surplus are {wanted}", seconds=SECONDS)


@pytest.mark.timeout(240)
def test_the_canary_is_equal_until_a_counter_is_altered_or_an_aggregator_stands_still(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    with running_pipeline(
        tmp_path,
        kafka.bootstrap,
        redis_url,
        topics__frames_partitions="2",
        canary__enabled="true",
        canary__interval="2s",
        canary__lookback="2h",
    ) as pipeline:
        canary = Watched(pipeline)
        canary.await_equal()
        assert (canary.value("tidemark_canary_events_total", result="published") or 0) > 0
        copies_were_published(pipeline)

        # What it must know after a restart it makes anew from the time.
        [pid] = pipeline.pids("canary")
        os.kill(pid, signal.SIGKILL)
        await_condition(lambda: pipeline.pids("canary") not in ([], [pid]), "it is started again", seconds=SECONDS)
        canary.await_equal()

        with altered(pipeline, 3):
            canary.await_differences(0, 3)
        with altered(pipeline, -2):
            canary.await_differences(2, 0)
        canary.await_equal()

        [aggregator] = pipeline.pids("aggregator")
        os.kill(aggregator, signal.SIGSTOP)
        try:
            await_condition(lambda: canary.age_s() > OLD_SECONDS, "what stands still grows old", seconds=SECONDS)
            assert canary.differences() == (0, 0)
        finally:
            os.kill(aggregator, signal.SIGCONT)


def copies_were_published(pipeline: PipelineUnderTest) -> None:
    """Copies came, and were known as such."""
    [address] = pipeline.state()["health"]["aggregator"]
    page = httpx.get(f"http://{address}/metrics", timeout=5).text
    assert 'tidemark_events_total{result="duplicate"' in page


@contextmanager
def altered(pipeline: PipelineUnderTest, by: int) -> Iterator[None]:
    """Add to a counter of the last whole hour behind Tidemark's back, and put it back."""
    hour = hour_of(now_ms()) - 1
    asyncio.run(add(pipeline, hour, by))
    yield
    asyncio.run(add(pipeline, hour, -by))


async def add(pipeline: PipelineUnderTest, hour: int, by: int) -> None:
    settings = pipeline.settings()
    partitions = settings.topics.frames_partitions
    organization = OrganizationId(ORGANIZATION)
    prefix = epoch_prefix(tags(partitions)[partition_of(organization, partitions)], Epoch(1))
    period, place = period_and_place(Window.HOUR, hour)
    key = counter_key(prefix, Kind.HOURS, Scope(organization=organization), period)
    field = str(place * len(PRODUCTS) + CHAT.code)
    client = connect(settings.redis)
    held = unpack([cast(bytes, await client.hget(key, field))])
    held[0, 1] += by
    await client.hset(key, field, pack(held, len(CHAT.counters))[0])
    await client.aclose()

"""Scrapes every role once a second, as Prometheus would once a minute."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.beside import Beside
from tests.support.worker import Worker

EVERY_SECONDS: Final = 1.0
SCRAPE_SECONDS: Final = 3.0
"""Far above what a scrape takes: one that a busy machine makes late would end an alert, as if a series were gone."""

Series = Mapping[str, Sequence[float | None]]
"""Name with labels, as Prometheus writes it -> its value at each minute; None where it was not there."""


class Scraping(Beside):
    """Scrapes from a thread of its own while its block runs. Of a worker that does not answer there is `up` 0."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        super().__init__()
        self._workers = workers
        self._samples: dict[str, dict[int, float]] = {}
        self._minutes = 0

    @property
    def minutes(self) -> int:
        """How many scrapes are done: the minute of the next one."""
        return self._minutes

    def series(self) -> Series:
        """Return all that was seen up to now."""
        count = self._minutes
        return {name: [values.get(at) for at in range(count)] for name, values in self._samples.copy().items()}

    def _work(self) -> None:
        with httpx.Client(timeout=SCRAPE_SECONDS) as client:
            while self._goes_on(EVERY_SECONDS):
                for worker in self._workers:
                    self._scrape(client, worker)
                self._minutes += 1

    def _scrape(self, client: httpx.Client, worker: Worker) -> None:
        labels = {"job": f"tidemark-{worker.role}", "instance": worker.name}
        page = ""
        with suppress(httpx.HTTPError, OSError):
            page = client.get(f"http://{worker.address()}/metrics").text
        self._keep("up", labels, 1.0 if page else 0.0)
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                self._keep(sample.name, sample.labels | labels, sample.value)

    def _keep(self, name: str, labels: Mapping[str, str], value: float) -> None:
        written = ",".join(f'{label}="{text}"' for label, text in sorted(labels.items()))
        self._samples.setdefault(f"{name}{{{written}}}", {})[self._minutes] = value

"""A Prometheus histogram that takes a whole array of observations at once; the client's own takes one a call."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Values = npt.NDArray[np.float64]


class ArrayHistogram(Collector):
    """A histogram without labels, for a registry. Thread-safe.

    Args:
        bounds: upper bounds of the ranges, ascending; one without a bound comes after them.
    """

    def __init__(self, name: str, help_text: str, bounds: Sequence[float]) -> None:
        self._name, self._help = name, help_text
        self._bounds = np.array(bounds, dtype=np.float64)
        self._edges = [*map(floatToGoString, bounds), "+Inf"]
        self._counts = np.zeros(len(self._edges), dtype=np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe_many(self, values: Values) -> None:
        """Add observations; a value on a bound lies in the range below it, as in the client's own."""
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._edges))
        total = float(values.sum())
        with self._lock:
            self._counts += counts
            self._sum += total

    def collect(self) -> Iterator[Metric]:
        """Yield the one family, as a registry asks for it."""
        with self._lock:
            up_to, total = np.cumsum(self._counts).tolist(), self._sum
        family = HistogramMetricFamily(self._name, self._help)
        family.add_metric([], list(zip(self._edges, up_to, strict=True)), total)
        yield family

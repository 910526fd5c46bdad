"""Resident memory of each role over a run in which processes come and go."""

import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.clock import monotonic_s
from tests.support.beside import Beside
from tests.support.process_memory import resident_bytes
from tests.support.worker import Worker

EVERY_SECONDS = 1.0
WARM_UP_SECONDS = 60.0
SHARE = 5
"""The first and the last fifth of what is looked at stand for its begin and its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`at_s` is since the soak began, `age_s` since the process was first seen."""

    role: str
    pid: int
    at_s: float
    age_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Memory of one role: its median in the first fifth and in the last, in bytes.

    Attributes:
        seconds: how long it was looked at, after the warm-up.
    """

    seconds: float
    begin_bytes: int
    end_bytes: int

    @property
    def percent(self) -> float:
        return 100 * (self.end_bytes - self.begin_bytes) / self.begin_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleMemory:
    """What one role used.

    Attributes:
        over_the_run: of all its processes that are past their warm-up, early in the run against late.
        longest: of the process that lived longest, after its warm-up.
    """

    role: str
    processes: int
    most_bytes: int
    over_the_run: Growth | None
    longest: Growth | None


class MemorySampler(Beside):
    """Looks at each worker's process once a second, from a thread of its own, while its block runs."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        super().__init__()
        self.samples: list[Sample] = []
        self._workers = workers

    def _work(self) -> None:
        began_s = monotonic_s()
        seen_s: dict[int, float] = {}
        while self._goes_on(EVERY_SECONDS):
            now_s = monotonic_s()
            for worker in list(self._workers):
                if not worker.pids:  # about to start
                    continue
                with suppress(OSError, IndexError):  # it ended just now
                    pid = worker.pids[-1]
                    rss = resident_bytes(pid)
                    if not rss:  # it ended, and nobody has asked yet how
                        continue
                    age_s = now_s - seen_s.setdefault(pid, now_s)
                    sample = Sample(role=worker.role, pid=pid, at_s=now_s - began_s, age_s=age_s, rss_bytes=rss)
                    self.samples.append(sample)


def by_role(samples: Iterable[Sample], warm_up_s: float = WARM_UP_SECONDS) -> list[RoleMemory]:
    """Return what each role used; a growth is None where no process lived past the warm-up."""
    of_role: dict[str, list[Sample]] = {}
    for sample in samples:
        of_role.setdefault(sample.role, []).append(sample)
    return [_memory(role, of, warm_up_s) for role, of in sorted(of_role.items())]


def _memory(role: str, samples: Sequence[Sample], warm_up_s: float) -> RoleMemory:
    warm = [sample for sample in samples if sample.age_s >= warm_up_s]
    oldest = max(samples, key=lambda sample: sample.age_s)
    return RoleMemory(
        role=role,
        processes=len({sample.pid for sample in samples}),
        most_bytes=max(sample.rss_bytes for sample in samples),
        over_the_run=_growth(warm),
        longest=_growth([sample for sample in warm if sample.pid == oldest.pid]),
    )


def _growth(samples: Sequence[Sample]) -> Growth | None:
    if not samples:
        return None
    begin_s, end_s = samples[0].at_s, samples[-1].at_s
    share_s = (end_s - begin_s) / SHARE
    return Growth(
        seconds=end_s - begin_s,
        begin_bytes=_median(sample for sample in samples if sample.at_s <= begin_s + share_s),
        end_bytes=_median(sample for sample in samples if sample.at_s >= end_s - share_s),
    )


def _median(samples: Iterable[Sample]) -> int:
    return int(statistics.median(sample.rss_bytes for sample in samples))

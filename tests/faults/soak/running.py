"""One soak from beginning to end: load, faults, questions to the API, and the comparison of everything."""

import gc
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from services.clock import monotonic_s, now_ms
from tests.faults.soak.asking import ORGANIZATIONS, AnswerJudge, Asking
from tests.faults.soak.faults_drawn import draw_for
from tests.faults.soak.load import Load, StreamPublisher
from tests.faults.soak.memory import WARM_UP_SECONDS, MemorySampler, RoleMemory, by_role
from tests.faults.soak.system import SETTLE_SECONDS, System
from tests.faults.verdict import Judge, Verdict, compare_all, limits_of

GAP_SECONDS = 20
"""Between the beginnings of two faults, on average; less in a short soak, so that it has some."""

FAULTS_MIN = 3
HASTY_SHARE = 0.2
"""Of the faults: the next one comes while the system may still recover from it."""

SPARE_SECONDS = 120
"""Of load, beyond the minutes asked for: the last fault is waited for under load, and the publisher then stopped."""

CATCH_UP_SECONDS = 120
PROGRESS_SECONDS = 10
TICK_SECONDS = 0.2


@dataclass(slots=True, kw_only=True)
class Happened:
    """One fault; seconds are since the beginning.

    Attributes:
        over_s: when it was undone.
        caught_up_s: seconds from then until what was published till then was applied; None where the next fault
            did not wait for it.
    """

    name: str
    row: int
    at_s: float
    over_s: float = 0.0
    caught_up_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a soak found; `problems` is what was wrong beside the verdict's differences."""

    seed: int
    minutes: float
    rate: float
    faults: list[Happened] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    judged_s: float = 0.0
    answers: int = 0
    unavailable: int = 0
    slowest_answer_s: float = 0.0
    memory: list[RoleMemory] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return self.verdict is not None and self.verdict.right and not self.problems


class Soak:
    """Runs once."""

    def __init__(self, system: System, *, seed: int, minutes: float, rate: float) -> None:
        self.outcome = Outcome(seed=seed, minutes=minutes, rate=rate)
        self._system = system
        seconds = 60 * minutes
        self._seconds = seconds
        self._gap_s = min(GAP_SECONDS, seconds / (FAULTS_MIN + 2))
        self._warm_up_s = min(WARM_UP_SECONDS, seconds / 4)
        load = Load(seed=seed, events=round(rate * (seconds + SPARE_SECONDS)), end_ms=now_ms() // 1000 * 1000)
        self._publisher = StreamPublisher(system.deployment.settings, load, rate=rate)
        self._asking = Asking(system.deployment, seed, load.end_ms)
        self._began_s = 0.0
        self._said_s = 0.0

    def run(self) -> Outcome:
        """Return what was found; a fault that does not end as it should is a problem, and the last one."""
        with self._publisher:
            self._publisher.await_count(1)
            self._system.settle()
            with self._asking, MemorySampler(self._system.workers) as sampler:
                self._began_s = monotonic_s()
                self._note(self._disturb)
            self._note(self._publisher.finish)
        self.outcome.memory = by_role(sampler.samples, self._warm_up_s)
        self._note(lambda: self._system.settle(CATCH_UP_SECONDS))
        self._note(self._compare)
        return self.outcome

    def _note(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- whatever went wrong, the rest is to be looked at and told
            self.outcome.problems.append(f"{type(error).__name__}: {error}")

    def _disturb(self) -> None:
        gaps = random.Random(f"gaps of {self.outcome.seed}")
        next_s = self._gap_s * gaps.uniform(0.25, 0.75)
        for fault, rng in draw_for(self._system, self.outcome.seed):
            hasty, gap_s = gaps.random() < HASTY_SHARE, self._gap_s * gaps.uniform(0.5, 1.5)
            if not self._wait_until(next_s):
                break
            happened = Happened(name=fault.name, row=fault.row, at_s=self._now_s())
            self.outcome.faults.append(happened)
            self._say_where_it_is(happened.at_s)
            fault.inject(self._system, rng)
            happened.over_s = self._now_s()
            if not hasty:
                self._settle(happened)
            next_s = happened.at_s + gap_s
        if self.outcome.faults[-1].caught_up_s is None:
            self._settle(self.outcome.faults[-1])

    def _settle(self, happened: Happened) -> None:
        self._system.deployment.catch_up(SETTLE_SECONDS)
        happened.caught_up_s = self._now_s() - happened.over_s
        self._system.settle()

    def _wait_until(self, at_s: float) -> bool:
        """Wait until then, or until the soak's time is over; return whether there is time for another fault."""
        enough = len(self.outcome.faults) >= FAULTS_MIN
        until_s = min(at_s, self._seconds) if enough else at_s
        while (now_s := self._now_s()) < until_s:
            if now_s - self._said_s >= PROGRESS_SECONDS:
                self._say_where_it_is(now_s)
            time.sleep(TICK_SECONDS)
        return not enough or self._now_s() < self._seconds

    def _say_where_it_is(self, now_s: float) -> None:
        self._said_s = now_s
        last = self.outcome.faults[-1].name if self.outcome.faults else "none yet"
        say(
            f"{now_s:5.0f} of {self._seconds:.0f} s: {self._publisher.count:,} events,"
            f" {len(self.outcome.faults)} faults, the last: {last}"
        )

    def _compare(self) -> None:
        say(f"{self._publisher.count:,} events published; now the oracle counts them by brute force")
        began_s = monotonic_s()
        asking = self._asking
        for organization in ORGANIZATIONS:
            asking.ask(organization)
        judging, answers = Judge(limits_of(self._system.deployment.settings)), AnswerJudge()
        # Millions of small objects without a cycle among them: looking for cycles would take most of the time.
        gc.disable()
        for record in self._publisher.records():
            event = judging.add(record)
            if event is not None:
                answers.add(event, record.broker_ms)
        self.outcome.verdict = compare_all(self._system.deployment, judging)
        self.outcome.problems += [f"API: {sentence}" for sentence in asking.wrong]
        self.outcome.problems += [f"API: {sentence}" for sentence in answers.differences(asking.answers)]
        for answer in asking.answers[-len(ORGANIZATIONS) :]:
            if answer.numbers != answers.total(answer.organization):
                self.outcome.problems.append(f"API, in the end: {answer}, not {answers.total(answer.organization)}")
        self.outcome.answers, self.outcome.unavailable = len(asking.answers), asking.unavailable
        self.outcome.slowest_answer_s = asking.slowest_s
        self.outcome.judged_s = monotonic_s() - began_s

    def _now_s(self) -> float:
        return monotonic_s() - self._began_s


def say(line: str) -> None:
    """Write a line for a person who waits."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

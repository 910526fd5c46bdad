"""When a process is stuck: its event loop does not turn, or its work stands still with nothing to wait for. Pure.

A clock would jump when the process was frozen and goes on, and on a busy machine a turn of the loop may take long for
want of a processor. So a second counts in which the watchdog ran, and the loop could have.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

DOUBT_SHARE: Final = 0.5
"""Of its limit, for which work has stood still when the dependencies are asked for the first time.

One that was away and came back leaves the work the other half to go on.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One thing that a process has to do.

    Attributes:
        waits: whether there is something to do.
        mark: changes with every step.
    """

    waits: bool
    mark: Hashable


class Doing:
    """What a process does now and then; each time is to end before its limit."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()
        self._now: set[str] = set()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Do it during the block."""
        self._times[name] += 1
        self._now.add(name)
        try:
            yield
        finally:
            self._now.discard(name)

    def works(self) -> dict[str, Work]:
        return {name: Work(waits=True, mark=self._times[name]) for name in self._now}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a process shows of itself.

    Attributes:
        turns: of the event loop, so far.
        works: by what they are called in a sentence.
        outages: how often it was said so far that a dependency is away; None while none is.
    """

    turns: int
    works: Mapping[str, Work] = field(default_factory=dict)
    outages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long is too long; None lifts a limit.

    Attributes:
        loop_s: without a turn of the event loop.
        work_s: without a step of work that waits.
        believed_s: for which one word that a dependency is away is believed. Who retries says it again and again; a
            call that hangs for ever after it does not.
    """

    loop_s: float | None
    work_s: float | None
    believed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why a process seems to be stuck.

    Attributes:
        cause: a sentence.
        certain: whether the limit is reached.
        may_wait: whether it is no fault when a dependency is away.
    """

    cause: str
    certain: bool
    may_wait: bool


class OwnTime:
    """Counts the seconds that count.

    Args:
        interval_s: from one look to the next, if nothing comes between.
        now_s: of a clock.
        waited_s: for which the loop's thread has waited for a processor so far.
    """

    def __init__(self, interval_s: float, now_s: float, waited_s: float) -> None:
        self._interval_s = interval_s
        self._now_s = now_s
        self._waited_s = waited_s

    def passed_s(self, now_s: float, waited_s: float) -> float:
        """Return what counts of the time since the last call; a frozen process has one look that comes late."""
        elapsed_s, delayed_s = now_s - self._now_s, waited_s - self._waited_s
        self._now_s, self._waited_s = now_s, waited_s
        return max(0.0, min(elapsed_s, self._interval_s) - delayed_s)


class Judge:
    """Judges one process by looks at it, one after the other."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = -1
        self._still_s = 0.0
        self._standing: dict[str, tuple[Hashable, float]] = {}
        self._outages: int | None = None
        self._told_s = 0.0

    def judge(self, look: Look, passed_s: float) -> Finding | None:
        """Return what is wrong, None when nothing is.

        Args:
            look: at the process now.
            passed_s: since the look before (`OwnTime`).
        """
        self._note_outages(look.outages, passed_s)
        self._note_works(look.works, passed_s)
        return self._loop(look.turns, passed_s) or self._work()

    def dependency_was_away(self) -> None:
        """Begin to count anew: the work had something to wait for."""
        self._standing = {name: (mark, 0.0) for name, (mark, _) in self._standing.items()}

    def _loop(self, turns: int, passed_s: float) -> Finding | None:
        self._still_s = self._still_s + passed_s if turns == self._turns else 0.0
        self._turns = turns
        if self._limits.loop_s is None or self._still_s < self._limits.loop_s:
            return None
        return Finding(cause=f"the event loop has not turned for {self._still_s:.0f} s", certain=True, may_wait=False)

    def _work(self) -> Finding | None:
        limit_s = self._limits.work_s
        name, (_, stood_s) = max(self._standing.items(), key=lambda each: each[1][1], default=("", (None, 0.0)))
        if limit_s is None or stood_s < limit_s * DOUBT_SHARE:
            return None
        cause = f"{name} waits and has not gone on for {stood_s:.0f} s, with no dependency away"
        return Finding(cause=cause, certain=stood_s >= limit_s, may_wait=True)

    def _note_works(self, works: Mapping[str, Work], passed_s: float) -> None:
        away = self._outages is not None and self._told_s < self._limits.believed_s
        before, self._standing = self._standing, {}
        for name, work in works.items():
            if work.waits:
                mark, stood_s = before.get(name, (work.mark, 0.0))
                stands = mark == work.mark and name in before and not away
                self._standing[name] = (work.mark, stood_s + passed_s if stands else 0.0)

    def _note_outages(self, outages: int | None, passed_s: float) -> None:
        self._told_s = self._told_s + passed_s if outages == self._outages else 0.0
        self._outages = outages
